//! Reads what a `Bind` carries, and the types of parameters; it never decodes a value.

/// One value of a `Bind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundValue<'b> {
    /// In the binary format of its type; as text otherwise.
    pub binary: bool,
    /// Its bytes; nothing for NULL.
    pub bytes: Option<&'b [u8]>,
}

/// The values of a whole `Bind` body, in order; nothing when the server could not read them either.
pub fn values(body: &[u8]) -> Option<Vec<BoundValue<'_>>> {
    let (_portal, rest) = crate::frame::cstr(body)?;
    let (_statement, mut rest) = crate::frame::cstr(rest)?;
    let formats = count(&mut rest)?;
    let (formats, behind) = rest.split_at_checked(formats * 2)?;
    rest = behind;
    let total = count(&mut rest)?;
    let mut values = Vec::with_capacity(total);
    let (formats, _) = formats.as_chunks::<2>();
    for place in 0..total {
        let binary = match (formats, formats.get(place)) {
            ([], _) | ([[0, 0]], _) | (_, Some([0, 0])) => false,
            ([[0, 1]], _) | (_, Some([0, 1])) => true,
            _ => return None,
        };
        let (length, behind) = rest.split_first_chunk::<4>()?;
        rest = behind;
        let bytes = match i32::from_be_bytes(*length) {
            -1 => None,
            length => {
                let (bytes, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                rest = behind;
                Some(bytes)
            }
        };
        values.push(BoundValue { binary, bytes });
    }
    Some(values)
}

/// Formats and values of a whole `Bind` body, as they are, without names and the formats of results; nothing when the
/// server could not read them either.
pub fn bound_values(body: &[u8]) -> Option<&[u8]> {
    let (_portal, rest) = crate::frame::cstr(body)?;
    let (_statement, start) = crate::frame::cstr(rest)?;
    let mut rest = start;
    let formats = count(&mut rest)?;
    (_, rest) = rest.split_at_checked(formats * 2)?;
    for _ in 0..count(&mut rest)? {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        (_, rest) = behind.split_at_checked(length)?;
    }
    start.get(..start.len() - rest.len())
}

/// Numbers of the types of parameters: a count of 16 bits, then 32 bits each, as far as they are there.
pub(crate) fn types(body: &[u8]) -> Box<[u32]> {
    let (types, _) = body.get(2..).unwrap_or_default().as_chunks::<4>();
    types.iter().map(|kind| u32::from_be_bytes(*kind)).collect()
}

fn count(rest: &mut &[u8]) -> Option<usize> {
    let (count, behind) = rest.split_first_chunk::<2>()?;
    *rest = behind;
    Some(u16::from_be_bytes(*count).into())
}
