//! The few server messages whose content the session must know. It never reads a row.

use crate::frame::cstr;

/// SQLSTATE of an `ErrorResponse` body; the field comes early, so that the first bytes are enough.
pub(crate) fn sqlstate(mut body: &[u8]) -> Option<[u8; 5]> {
    while let Some((field, rest)) = body.split_first() {
        if *field == 0 {
            return None;
        }
        let (value, rest) = cstr(rest)?;
        if *field == b'C' {
            return value.try_into().ok();
        }
        body = rest;
    }
    None
}

/// One field of an `ErrorResponse` body, such as `M` for the message.
pub(crate) fn field(mut body: &[u8], wanted: u8) -> Option<String> {
    while let Some((field, rest)) = body.split_first() {
        let (value, rest) = cstr(rest)?;
        if *field == wanted {
            return Some(String::from_utf8_lossy(value).into_owned());
        }
        body = rest;
    }
    None
}

/// The columns of a `DataRow` body; `None` for null, and in whole where it is not well formed.
pub(crate) fn columns(body: &[u8]) -> Option<Vec<Option<Vec<u8>>>> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut columns = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        rest = behind;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            columns.push(None);
            continue;
        };
        columns.push(Some(rest.get(..length)?.to_vec()));
        rest = rest.get(length..)?;
    }
    rest.is_empty().then_some(columns)
}

/// Rows of a `CommandComplete` body such as `INSERT 0 5\0` or `SELECT 5\0`; `None` where the tag has no number.
pub(crate) fn rows(body: &[u8]) -> Option<u64> {
    let (tag, _) = cstr(body)?;
    let digits = tag.rsplit(|byte| *byte == b' ').next()?;
    if digits.is_empty() || digits.len() == tag.len() || digits.len() > 19 {
        return None;
    }
    digits
        .iter()
        .try_fold(0_u64, |rows, byte| byte.is_ascii_digit().then(|| rows * 10 + u64::from(byte - b'0')))
}

/// Name and value of a `ParameterStatus` body.
pub(crate) fn parameter(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = cstr(body)?;
    let (value, _) = cstr(rest)?;
    Some((name, value))
}

/// What ends copy data in binary form, and is no row.
pub(crate) const COPY_TAIL: &[u8] = &[0xff, 0xff];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_give_rows() {
        let table: [(&[u8], Option<u64>); 8] = [
            (b"INSERT 0 5\0", Some(5)),
            (b"SELECT 12\0", Some(12)),
            (b"COPY 3\0", Some(3)),
            (b"BEGIN\0", None),
            (b"CREATE TABLE\0", None),
            (b"UPDATE 0\0", Some(0)),
            (b"SELECT 99999999999999999999\0", None),
            (b"", None),
        ];
        for (tag, expected) in table {
            assert_eq!(rows(tag), expected, "{}", tag.escape_ascii());
        }
    }

    #[test]
    fn sqlstate_is_found_before_the_text() {
        assert_eq!(sqlstate(b"SERROR\0VERROR\0C42601\0Mno"), Some(*b"42601"));
        assert_eq!(sqlstate(b"SERROR\0C42\0"), None);
        assert_eq!(sqlstate(b"\0"), None);
        assert_eq!(sqlstate(b"SERR"), None);
    }
}
