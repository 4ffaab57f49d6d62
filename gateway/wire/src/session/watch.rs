//! Counts the rows of one statement before the client hears of them, and turns it into an error where they are too
//! many: the server then undoes it, too. It knows no rule: what is too many, and what is said then, comes from outside.
//!
//! The client's next message waits until a watched statement is through. Over its budget, a portal's segment is made
//! to abort by a message that no server can parse; a simple query within a transaction likewise; one in a transaction
//! that the gateway began for it (`wrapped`) is rolled back, where otherwise it is committed before the client reads
//! that it is done.

use super::{Completion, End, Expect, Heard, Session, Skipping};
use crate::{
    WireError, answer, backend,
    frame::{self, HEAD_BYTES, Head},
};

/// How many rows a statement may touch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Rows inserted, updated, deleted, merged, copied in or put into a new table, as command tags say.
    pub written_max: Option<u64>,
    /// Rows and lines of `COPY` sent to the client.
    pub returned_max: Option<u64>,
}

/// What went over a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// So many rows were written.
    Written(u64),
    /// So many rows would have been returned by now; the server may have more.
    Returned(u64),
}

/// A statement whose rows are counted.
#[derive(Debug, Default)]
pub(super) struct Watch {
    budget: Budget,
    /// The gateway began a transaction for it.
    wrapped: bool,
    written: u64,
    returned: u64,
    /// Rows of the statement that is answered now.
    rows: u64,
    copies_in: bool,
    /// What the client reads instead; rows and completions are kept from it.
    cut: Option<Vec<u8>>,
    /// The completion that the client hears of once it is committed.
    kept: Vec<u8>,
}

impl<P: Clone, T> Session<P, T> {
    /// Counts the rows of what was just let pass by `allow_query` or `allow_execute`. Nothing else may be open
    /// ([`Session::is_settled`]). `wrapped` says that the gateway began a transaction for it, outside of a segment.
    pub fn watch(&mut self, budget: Budget, wrapped: bool) {
        let watched = Some(Box::new(Watch { budget, wrapped, ..Watch::default() }));
        if let Some(Expect::Query { watch, .. } | Expect::Execute { watch, .. }) = self.expects.back_mut() {
            *watch = watched;
            self.watching = true;
            self.flush_due = self.segment;
        }
    }

    /// After [`Heard::Over`]: the client reads this `ErrorResponse` in the place of what is left of the answer.
    pub fn cut(&mut self, error: Vec<u8>) {
        if let Some(watch) = self.watched() {
            watch.cut = Some(error);
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
        let Some(watch) = self.watched() else { return Ok(None) };
        if !watch.kept.is_empty() && !matches!(head.tag, b'Z' | b'N' | b'S' | b'A') {
            return Ok(Some(Heard::Replace(0, std::mem::take(&mut watch.kept))));
        }
        if let Some(over) = watch.count(head.tag, body) {
            watch.cut = Some(Vec::new());
            return Ok(Some(Heard::Over(over)));
        }
        match (head.tag, watch.cut.is_some()) {
            (b'N' | b'S' | b'A', _) => Ok(None),
            (b'Z', _) => self.watched_ready(rest, head, body),
            (b'C' | b's' | b'I', true) => self.cut_completion(rest, head, body).map(Some),
            (b'E', true) => Ok(Some(self.cut_error(rest, head, body))),
            // What a copy asks of the client must be heard, or both would wait.
            (b'G', true) => Ok(None),
            (_, true) => Ok(Some(self.swallow(rest, head))),
            (b'C', false) if watch.wrapped => {
                watch.kept = rest.get(..head.total).unwrap_or_default().to_vec();
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
    fn cut_error(&mut self, rest: &[u8], head: Head, body: &[u8]) -> Heard {
        let portal = matches!(self.expects.front(), Some(Expect::Execute { .. }));
        let error = self.watched().and_then(|watch| if portal { watch.cut.take() } else { None });
        self.error(backend::sqlstate(body).unwrap_or(*b"XX000"));
        let swallowed = self.swallow(rest, head);
        match (error, swallowed) {
            (Some(error), Heard::Drop(bytes)) => Heard::Replace(bytes, error),
            (_, swallowed) => swallowed,
        }
    }

    /// A watched simple query is through: what was begun for it is ended, and what was too much is undone.
    fn watched_ready(&mut self, rest: &[u8], head: Head, body: &[u8]) -> Result<Option<Heard>, WireError> {
        let &[status] = body else {
            return Err(WireError::Malformed { tag: b'Z', what: "transaction status missing" });
        };
        let Some(Watch { wrapped, cut, kept, .. }) = self.watched().map(std::mem::take) else {
            return Ok(None);
        };
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

impl Watch {
    /// Takes a message into account; what it went over, the first time.
    fn count(&mut self, tag: u8, body: &[u8]) -> Option<Over> {
        match tag {
            b'D' | b'd' => {
                self.returned += 1;
                self.rows += 1;
            }
            b'G' => self.copies_in = true,
            b'C' => {
                let rows = backend::rows(body).unwrap_or_default();
                if writes(body) || (body.starts_with(b"COPY") && self.copies_in) || self.rows == 0 {
                    self.written += rows;
                }
                (self.rows, self.copies_in) = (0, false);
            }
            _ => return None,
        }
        let over = |count: u64, max: Option<u64>| max.is_some_and(|max| count > max);
        if self.cut.is_some() {
            None
        } else if over(self.returned, self.budget.returned_max) {
            Some(Over::Returned(self.returned))
        } else if over(self.written, self.budget.written_max) {
            Some(Over::Written(self.written))
        } else {
            None
        }
    }
}

/// The command tag is one of a statement that writes. `SELECT 5` without a row is one, too: it made a table.
fn writes(body: &[u8]) -> bool {
    [&b"INSERT "[..], b"UPDATE ", b"DELETE ", b"MERGE "].iter().any(|tag| body.starts_with(tag))
}

fn undo(completions: &mut [Completion], committed: usize) {
    completions.iter_mut().skip(committed).for_each(|completion| completion.undone = true);
}

fn sqlstate(error: &[u8]) -> Option<[u8; 5]> {
    Some(backend::sqlstate(error.get(HEAD_BYTES..).unwrap_or_default()).unwrap_or(*b"42501"))
}

const MESSAGE_BYTES_MAX: usize = 8 << 10;
