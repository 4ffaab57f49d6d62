//! A conversation of single messages, as long as logins last. It cuts and bounds messages, and never reads them.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// One side that is spoken with.
#[derive(Debug)]
pub(crate) struct Talk<'t, S> {
    pub(crate) stream: &'t mut S,
    /// What it said, and nobody heard yet.
    pub(crate) inbox: &'t mut BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<'_, S> {
    /// The next message: tag and body.
    ///
    /// # Errors
    /// The other side has left, or says more at once than a login needs.
    pub(crate) async fn hear(&mut self) -> io::Result<(u8, Bytes)> {
        loop {
            if let [tag, a, b, c, d, ..] = **self.inbox {
                let total = u32::from_be_bytes([a, b, c, d]) as usize + 1;
                if !(HEAD_BYTES..=MESSAGE_BYTES_MAX).contains(&total) {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "a message of that length"));
                }
                if self.inbox.len() >= total {
                    let mut message = self.inbox.split_to(total);
                    message.advance(HEAD_BYTES);
                    return Ok((tag, message.freeze()));
                }
            }
            if self.stream.read_buf(self.inbox).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Says a message of these parts, one after another.
    ///
    /// # Errors
    /// The other side has left.
    pub(crate) async fn say(&mut self, tag: u8, parts: &[&[u8]]) -> io::Result<()> {
        self.stream.write_all(&message(tag, parts)).await
    }
}

/// A message of these parts, one after another.
pub(super) fn message(tag: u8, parts: &[&[u8]]) -> BytesMut {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut message = BytesMut::with_capacity(length + HEAD_BYTES);
    message.put_u8(tag);
    message.put_u32(u32::try_from(length + 4).unwrap_or(u32::MAX));
    for part in parts {
        message.put_slice(part);
    }
    message
}

/// Bytes of tag and length.
const HEAD_BYTES: usize = 5;
/// A token with many claims is a few thousand bytes long.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
