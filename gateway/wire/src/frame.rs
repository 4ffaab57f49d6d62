//! Cuts one message off the front of a buffer: tag, length, body. It never reads a body.

use crate::WireError;

/// Bytes of tag and length.
pub(crate) const HEAD_BYTES: usize = 5;

/// The head of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) tag: u8,
    /// Bytes of the whole message, tag included.
    pub(crate) total: usize,
}

/// The head of the message at the front of `bytes`, or `None` while fewer than five bytes are there.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<Head>, WireError> {
    let [tag, a, b, c, d, ..] = *bytes else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]);
    if !(4..=LENGTH_MAX).contains(&length) {
        return Err(WireError::Length { tag, length });
    }
    Ok(Some(Head { tag, total: length as usize + 1 }))
}

/// The body of a message that lies whole at the front of `bytes`.
pub(crate) fn body(bytes: &[u8], head: Head) -> Option<&[u8]> {
    bytes.get(HEAD_BYTES..head.total)
}

/// Splits a NUL-terminated string off the front of `bytes`.
pub fn cstr(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

/// PostgreSQL itself takes no message of a gigabyte or more (`PQ_LARGE_MESSAGE_LIMIT`), save a little.
const LENGTH_MAX: u32 = 0x4000_0000;
