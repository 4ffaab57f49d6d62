//! Listens to what the client is sent and keeps the answer to one change under a key. It reads tags and lengths only.

use super::{Answer, Shape};

/// What the client is sent of an answer, as far as it is worth keeping.
#[derive(Debug)]
pub(crate) struct Tap {
    shape: Shape,
    bytes: Vec<u8>,
    /// Whole messages that belong to the answer end here.
    whole: usize,
    rows: bool,
    closed: bool,
    /// It is longer, or other, than what is kept.
    lost: bool,
}

impl Tap {
    /// For an answer in this shape.
    pub(crate) fn new(shape: Shape) -> Self {
        Self { shape, bytes: Vec::new(), whole: 0, rows: false, closed: false, lost: false }
    }

    /// Hears what the client is sent.
    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        if self.closed || self.lost {
            return;
        }
        self.bytes.extend_from_slice(bytes);
        while let Some((tag, length)) = self.message() {
            let end = self.whole + length;
            match (tag, self.shape) {
                (b'Z', _) => self.closed = true,
                (b'C' | b'I', _) | (b'D', _) | (b'T', Shape::Query) => {
                    self.rows |= matches!(tag, b'D' | b'T');
                    self.whole = end;
                    self.closed = self.shape == Shape::Portal && tag != b'D';
                }
                // What is said by the way, or to other messages of the segment.
                (b'N' | b'S' | b'A' | b'T' | b'1' | b'2' | b'3' | b't' | b'n', _) => {
                    self.bytes.drain(self.whole..end);
                }
                _ => self.lost = true,
            }
            if self.closed || self.lost {
                return;
            }
        }
        if self.bytes.len() > KEPT_BYTES_MAX {
            self.lost = true;
            self.bytes = Vec::new();
        }
    }

    /// The next whole message: its tag, and its bytes.
    fn message(&self) -> Option<(u8, usize)> {
        let (head, _) = self.bytes.get(self.whole..)?.split_first_chunk::<5>()?;
        let [tag, length @ ..] = *head;
        let length = usize::try_from(u32::from_be_bytes(length)).ok()?.checked_add(1)?;
        (self.bytes.len() - self.whole >= length).then_some((tag, length))
    }

    /// The answer, where all of it was heard.
    pub(crate) fn answer(mut self) -> Option<Answer> {
        if self.lost || !self.closed || self.whole > KEPT_BYTES_MAX {
            return None;
        }
        self.bytes.truncate(self.whole);
        Some(Answer { said: self.bytes.into(), rows: self.rows.then_some(self.shape) })
    }
}

/// Longer answers are not kept.
const KEPT_BYTES_MAX: usize = 64 << 10;
