//! Watches one message: its answer stops before a row too many, and before each completion, and the driver says whether
//! it goes on. Where it does not, it becomes an error, and the server undoes it, too. It knows no rule: what is too
//! much, and what is said then, comes from outside.
//!
//! The client's next message waits until a watched one is through. Cut off, a portal's segment is made
//! to abort by a message that no server can parse; a simple query within a transaction likewise; one in a transaction
//! that the gateway began for it (`wrapped`) is rolled back, where otherwise it is committed before the client reads
//! that it is done.

use super::{Completion, End, Expect, Heard, Session, Skipping};
use crate::{
    WireError, answer, backend,
    frame::{self, HEAD_BYTES, Head},
};

/// How far each answer of a watched message may go before the driver is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Far {
    /// Rows and lines of `COPY` sent to the client.
    pub rows: u64,
    /// Bytes sent to the client.
    pub bytes: u64,
}

/// A message that is watched.
#[derive(Debug)]
pub(super) struct Watch {
    far: Far,
    /// The gateway began a transaction for it.
    wrapped: bool,
    /// The completion at hand may pass.
    passes: bool,
    /// What the client reads instead; rows and completions are kept from it.
    cut: Option<Vec<u8>>,
    /// The completion that the client hears of once it is committed.
    kept: Vec<u8>,
}

impl<P: Clone, T> Session<P, T> {
    /// Watches what was just let pass by `allow_query` or `allow_execute`. Nothing else may be open
    /// ([`Session::is_settled`]). `wrapped` says that the gateway began a transaction for it, outside of a segment.
    pub fn watch(&mut self, far: Far, wrapped: bool) {
        let watched = Watch { far, wrapped, passes: false, cut: None, kept: Vec::new() };
        if let Some(Expect::Query { watch, .. } | Expect::Execute { watch, .. }) = self.expects.back_mut() {
            *watch = Some(Box::new(watched));
            self.watching = true;
            self.flush_due = self.segment;
        }
    }

    /// After [`Heard::Full`] or [`Heard::Completed`]: answers may go so far from now on.
    pub fn widen(&mut self, far: Far) {
        if let Some(watch) = self.watched() {
            watch.far = far;
        }
    }

    /// After [`Heard::Completed`]: the statement may complete.
    pub fn let_complete(&mut self) {
        if let Some(watch) = self.watched() {
            watch.passes = true;
        }
    }

    /// After [`Heard::Full`] or [`Heard::Completed`]: the client reads this `ErrorResponse` in the place of what is left
    /// of the answer, and the message is undone.
    pub fn cut(&mut self, error: Vec<u8>) {
        if let Some(watch) = self.watched() {
            watch.cut = Some(error);
            watch.kept.clear();
        }
    }

    /// The watched message, the place of its statement at hand, and how far the answer of that has come.
    pub fn watched_ticket(&mut self) -> Option<(&mut T, usize, Far)> {
        let far = Far { rows: self.answer_rows, bytes: self.answer_bytes };
        match self.expects.front_mut() {
            Some(Expect::Query { ticket, completions, watch: Some(_), .. }) => {
                Some((ticket, completions.len(), far))
            }
            Some(Expect::Execute { ticket, watch: Some(_) }) => Some((ticket, 0, far)),
            _ => None,
        }
    }

    fn watched(&mut self) -> Option<&mut Watch> {
        match self.expects.front_mut() {
            Some(Expect::Query { watch, .. } | Expect::Execute { watch, .. }) => watch.as_deref_mut(),
            _ => None,
        }
    }

    /// The server's bytes while a watched statement is the oldest open message; `None` for what passes as usual.
    pub(super) fn hear_watched(&mut self, rest: &[u8]) -> Result<Option<Heard>, WireError> {
        let Some(head) = frame::head(rest)? else { return Ok(Some(Heard::More)) };
        if matches!(head.tag, b'C' | b'E' | b'Z') && rest.len() < head.total.min(MESSAGE_BYTES_MAX) {
            return Ok(Some(Heard::More));
        }
        let body = rest.get(HEAD_BYTES..head.total.min(rest.len())).unwrap_or_default();
        let (rows, bytes) = (self.answer_rows, self.answer_bytes + head.total as u64);
        let Some(watch) = self.watched() else { return Ok(None) };
        if !watch.kept.is_empty() && !matches!(head.tag, b'Z' | b'N' | b'S' | b'A') {
            return Ok(Some(Heard::Replace(0, std::mem::take(&mut watch.kept))));
        }
        let is_row = head.tag == b'D' || (head.tag == b'd' && body != backend::COPY_TAIL);
        if is_row && watch.cut.is_none() && (rows >= watch.far.rows || bytes > watch.far.bytes) {
            return Ok(Some(Heard::Full));
        }
        let completes = matches!(head.tag, b'C' | b's' | b'I');
        if completes && watch.cut.is_none() && !std::mem::take(&mut watch.passes) {
            return Ok(Some(Heard::Completed(self.completion(head.tag, body))));
        }
        match (head.tag, watch.cut.is_some()) {
            (b'N' | b'S' | b'A', _) => Ok(None),
            (b'Z', _) => self.watched_ready(rest, head, body),
            (b'C' | b's' | b'I', true) => self.cut_completion(rest, head, body).map(Some),
            (b'E', true) => self.cut_error(rest, head, body).map(Some),
            // What a copy asks of the client must be heard, or both would wait.
            (b'G', true) => Ok(None),
            (_, true) => Ok(Some(self.swallow(rest, head))),
            (b'C', false) if watch.wrapped => {
                watch.kept = rest.get(..head.total).unwrap_or_default().to_vec();
                self.answer_bytes = bytes;
                self.complete(head.tag, body)?;
                Ok(Some(self.swallow(rest, head)))
            }
            _ => Ok(None),
        }
    }

    /// A completion that the client shall not read.
    fn cut_completion(&mut self, rest: &[u8], head: Head, body: &[u8]) -> Result<Heard, WireError> {
        let portal = matches!(self.expects.front(), Some(Expect::Execute { .. }));
        let error = self.watched().and_then(|watch| if portal { watch.cut.take() } else { None });
        self.complete(head.tag, body)?;
        if let Some(error) = error {
            if let Some((_, end)) = self.done.last_mut() {
                end.error = sqlstate(&error);
                undo(&mut end.completions, 0);
            }
            self.expects.push_back(Expect::PoisonParse { answer: error });
            self.skipping = Skipping::WithServer;
            self.tell = Some(answer::poison_parse(&self.token));
        }
        Ok(self.swallow(rest, head))
    }

    /// The server failed at what the client reads another error of.
    fn cut_error(&mut self, rest: &[u8], head: Head, body: &[u8]) -> Result<Heard, WireError> {
        let portal = matches!(self.expects.front(), Some(Expect::Execute { .. }));
        let error = self.watched().and_then(|watch| if portal { watch.cut.take() } else { None });
        self.error(backend::sqlstate(body).unwrap_or(*b"XX000"))?;
        let swallowed = self.swallow(rest, head);
        Ok(match (error, swallowed) {
            (Some(error), Heard::Drop(bytes)) => Heard::Replace(bytes, error),
            (_, swallowed) => swallowed,
        })
    }

    /// A watched simple query is through: what was begun for it is ended, and what was too much is undone.
    fn watched_ready(&mut self, rest: &[u8], head: Head, body: &[u8]) -> Result<Option<Heard>, WireError> {
        let &[status] = body else {
            return Err(WireError::Malformed { tag: b'Z', what: "transaction status missing" });
        };
        let Some(watch) = self.watched() else { return Ok(None) };
        let (wrapped, cut, kept) = (watch.wrapped, watch.cut.take(), std::mem::take(&mut watch.kept));
        if !wrapped && cut.is_none() {
            return Ok(None);
        }
        let failed = self.failed.take();
        let Some(Expect::Query { ticket, mut completions, committed, .. }) = self.expects.pop_front() else {
            return Err(WireError::OutOfStep { tag: b'Z' });
        };
        let error = cut.as_deref().map_or(failed, sqlstate);
        let said = cut.clone().unwrap_or(kept);
        if wrapped && status != b'I' {
            let commit = error.is_none() && status == b'T';
            self.tell = Some(answer::message(b'Q', if commit { b"COMMIT\0" } else { b"ROLLBACK\0" }));
            if !commit {
                undo(&mut completions, committed);
            }
            let end = End { completions, error, skipped: false };
            self.expects.push_front(Expect::Unwrap { ticket, end, said });
            return Ok(Some(self.swallow(rest, head)));
        }
        let aborts = status == b'T' && cut.is_some();
        if aborts || status == b'E' {
            undo(&mut completions, committed);
        }
        self.ended.push_back((ticket, End { completions, error, skipped: false }));
        self.now_at(status);
        if aborts {
            self.tell = Some(answer::poison_query(&self.token));
            self.expects.push_front(Expect::PoisonQuery { answer: said });
            return Ok(Some(self.swallow(rest, head)));
        }
        let said = [&said[..], &answer::ready_for_query(status)].concat();
        Ok(Some(Heard::Replace(head.total, said)))
    }

    /// The end of a transaction that the gateway began; `None` for what the client hears all the same.
    pub(super) fn hear_unwrap(&mut self, rest: &[u8]) -> Result<Option<Heard>, WireError> {
        let Some(head) = frame::head(rest)? else { return Ok(Some(Heard::More)) };
        if matches!(head.tag, b'C' | b'Z') && rest.len() < head.total {
            return Ok(Some(Heard::More));
        }
        match head.tag {
            b'C' => Ok(Some(self.swallow(rest, head))),
            b'E' => {
                // It could not be committed: that is what the client reads, and nothing of its completion.
                if let Some(Expect::Unwrap { said, .. }) = self.expects.front_mut() {
                    said.clear();
                }
                Ok(None)
            }
            b'Z' => {
                let status = rest.get(HEAD_BYTES).copied().unwrap_or(b'I');
                let Some(Expect::Unwrap { ticket, mut end, mut said }) = self.expects.pop_front() else {
                    return Err(WireError::OutOfStep { tag: b'Z' });
                };
                if let Some(failed) = self.failed.take() {
                    undo(&mut end.completions, 0);
                    end.error = end.error.or(Some(failed));
                }
                self.ended.push_back((ticket, end));
                self.now_at(status);
                said.extend(answer::ready_for_query(status));
                Ok(Some(Heard::Replace(head.total, said)))
            }
            _ => Ok(None),
        }
    }
}

fn undo(completions: &mut [Completion], committed: usize) {
    completions.iter_mut().skip(committed).for_each(|completion| completion.undone = true);
}

fn sqlstate(error: &[u8]) -> Option<[u8; 5]> {
    Some(backend::sqlstate(error.get(HEAD_BYTES..).unwrap_or_default()).unwrap_or(*b"42501"))
}

const MESSAGE_BYTES_MAX: usize = 8 << 10;
