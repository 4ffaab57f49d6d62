//! The server's direction: follows its answers, settles what was open, replaces the errors of refused messages.

use super::{Completion, End, Expect, Heard, Session};
use crate::{
    WireError, answer, backend,
    frame::{self, HEAD_BYTES, Head},
};

impl<P: Clone, T> Session<P, T> {
    /// Looks at the server's bytes that are not yet dealt with.
    pub fn server(&mut self, bytes: &[u8]) -> Result<Heard, WireError> {
        if let Some(tell) = self.tell.take() {
            return Ok(Heard::Tell(tell));
        }
        let mut passed = 0;
        loop {
            let rest = bytes.get(passed..).unwrap_or_default();
            if self.server_left.0 > 0 {
                let (left, swallow) = self.server_left;
                let here = left.min(rest.len());
                if here == 0 || (swallow && passed > 0) {
                    break;
                }
                self.server_left.0 = left - here;
                if swallow {
                    return Ok(Heard::Drop(here));
                }
                passed += here;
                continue;
            }
            let head = frame::head(rest)?;
            self.read_over(head.map(|head| head.tag));
            if self.expects.front().is_some_and(Expect::is_ours) {
                if passed > 0 {
                    break;
                }
                if let Some(heard) = self.hear_ours(rest)? {
                    return Ok(heard);
                }
            }
            let Some(head) = head else { break };
            if (must_be_whole(head) || self.describes(head)) && rest.len() < head.total.min(ERROR_BYTES_READ)
            {
                break;
            }
            let body = rest.get(HEAD_BYTES..head.total.min(rest.len())).unwrap_or_default();
            if self.replaces(head, body) {
                if passed > 0 {
                    break;
                }
                return self.replace(head);
            }
            self.answer_bytes += head.total as u64;
            self.hear(head, body)?;
            self.server_left = (head.total, false);
        }
        Ok(if passed > 0 { Heard::Forward(passed) } else { Heard::More })
    }

    /// The oldest open message is of the gateway's own making; `None` for what the client hears all the same.
    fn hear_ours(&mut self, rest: &[u8]) -> Result<Option<Heard>, WireError> {
        match self.expects.front_mut() {
            Some(Expect::Own { .. }) => self.hear_own(rest),
            Some(Expect::Query { .. } | Expect::Execute { .. }) => self.hear_watched(rest),
            Some(Expect::Unwrap { .. }) => self.hear_unwrap(rest),
            Some(Expect::Prelude { .. }) => self.hear_prelude(rest),
            Some(Expect::Probe) => self.hear_probe(rest),
            Some(Expect::Stand { said }) => match frame::head(rest)? {
                Some(head) if head.tag == b'I' => Ok(Some(Heard::Replace(head.total, std::mem::take(said)))),
                _ => Ok(None),
            },
            _ => Ok(self.hear_said()),
        }
    }

    /// The error of a message that we made fail.
    fn replaces(&self, head: Head, body: &[u8]) -> bool {
        head.tag == b'E'
            && matches!(self.expects.front(), Some(Expect::PoisonQuery { .. } | Expect::PoisonParse { .. }))
            && backend::sqlstate(body).is_some_and(|state| state == *answer::POISON_SQLSTATE)
    }

    fn replace(&mut self, head: Head) -> Result<Heard, WireError> {
        let error = match self.expects.front_mut() {
            Some(Expect::PoisonQuery { answer } | Expect::PoisonParse { answer }) => std::mem::take(answer),
            _ => Vec::new(),
        };
        self.error(*b"42501")?;
        // The rest of a long error is swallowed when it comes.
        let here = head.total.min(ERROR_BYTES_READ);
        self.server_left = (head.total - here, true);
        Ok(Heard::Replace(here, error))
    }

    fn hear(&mut self, head: Head, body: &[u8]) -> Result<(), WireError> {
        match head.tag {
            b'D' => self.answer_rows += 1,
            b'd' if body != backend::COPY_TAIL => self.answer_rows += 1,
            b'K' => self.cancel_key = body.into(),
            b'd' | b'c' | b'N' | b'A' | b'v' | b'V' | b'H' => {}
            b'C' | b'I' | b's' => self.complete(head.tag, body)?,
            b'E' => self.error(backend::sqlstate(body).unwrap_or(*b"XX000"))?,
            b'Z' => self.ready(body)?,
            b'S' => self.parameter(body),
            b'R' => {
                let code = body.first_chunk::<4>().map(|code| u32::from_be_bytes(*code)).unwrap_or_default();
                // 11 and 12 go on with SASL, 0 is the end.
                if !matches!(code, 0 | 11 | 12) {
                    self.auth_code = code;
                }
            }
            b'T' | b'n' => {
                if matches!(self.expects.front(), Some(Expect::Describe { .. })) {
                    self.expects.pop_front();
                } else if head.tag == b'n' {
                    return Err(WireError::OutOfStep { tag: head.tag });
                }
            }
            b't' => {
                if let Some(Expect::Describe { of: Some(prepared) }) = self.expects.front() {
                    self.described.push_back((prepared.clone(), crate::bind::types(body)));
                }
            }
            b'1' | b'2' | b'3' => self.settle(head.tag)?,
            b'G' => self.copy_begins()?,
            tag => return Err(WireError::Unexpected { tag, place: "from a server" }),
        }
        Ok(())
    }

    /// The types of parameters that somebody wants to know.
    fn describes(&self, head: Head) -> bool {
        head.tag == b't' && matches!(self.expects.front(), Some(Expect::Describe { of: Some(_) }))
    }

    /// `ParseComplete`, `BindComplete`, `CloseComplete`.
    fn settle(&mut self, tag: u8) -> Result<(), WireError> {
        match (tag, self.expects.pop_front()) {
            (b'1', Some(Expect::Parse { name, prepared })) => {
                if name.is_empty() {
                    self.unnamed.statement = Some(prepared);
                } else {
                    self.statements.insert(name, prepared);
                }
            }
            (b'2', Some(Expect::Bind { portal, prepared })) => match (portal.is_empty(), prepared) {
                (true, prepared) => self.unnamed.portal = prepared,
                (false, Some(prepared)) => drop(self.portals.insert(portal, prepared)),
                (false, None) => drop(self.portals.remove(&portal)),
            },
            (b'3', Some(Expect::Close { statement, name })) => match (statement, name.is_empty()) {
                (true, true) => self.unnamed.statement = None,
                (true, false) => drop(self.statements.remove(&name)),
                (false, true) => self.unnamed.portal = None,
                (false, false) => drop(self.portals.remove(&name)),
            },
            (tag, _) => return Err(WireError::OutOfStep { tag }),
        }
        self.answer_bytes = 0;
        Ok(())
    }

    /// `CommandComplete`, `EmptyQueryResponse`, `PortalSuspended`.
    pub(super) fn complete(&mut self, tag: u8, body: &[u8]) -> Result<(), WireError> {
        let completion = self.completion(tag, body);
        self.answer_bytes = 0;
        self.answer_rows = 0;
        let commits = tag == b'C' && body == b"COMMIT\0";
        match self.expects.front_mut() {
            Some(Expect::Query { completions, committed, .. }) => {
                completions.push(completion);
                if commits {
                    *committed = completions.len();
                }
                self.copy_ended(1);
            }
            Some(Expect::Execute { .. }) => {
                if let Some(ticket) = self.expects.pop_front().and_then(Expect::into_ticket) {
                    self.done.push((ticket, End { completions: vec![completion], ..End::default() }));
                }
                self.copy_ended(0);
                if commits {
                    self.ended.extend(self.done.drain(..));
                }
            }
            _ => return Err(WireError::OutOfStep { tag }),
        }
        Ok(())
    }

    /// What the statement at hand has done, once the server says that it completes.
    pub(super) fn completion(&self, tag: u8, body: &[u8]) -> Completion {
        let rows = match tag {
            b'C' => backend::rows(body),
            b's' => Some(self.answer_rows),
            _ => None,
        };
        Completion { rows, returned: self.answer_rows, bytes: self.answer_bytes, undone: false }
    }

    pub(super) fn error(&mut self, sqlstate: [u8; 5]) -> Result<(), WireError> {
        self.answer_bytes = 0;
        self.answer_rows = 0;
        self.copy_in = false;
        if self.login {
            return Ok(());
        }
        self.failed = Some(sqlstate);
        self.failures += 1;
        if self.expects.front().is_some_and(Expect::ends_ready) {
            return Ok(());
        }
        // An error of the extended protocol: everything up to the next `Sync` is skipped.
        if let Some(ticket) = self.expects.pop_front().and_then(Expect::into_ticket) {
            self.done.push((ticket, End { error: Some(sqlstate), ..End::default() }));
        }
        loop {
            match self.expects.front() {
                Some(Expect::Sync) => return Ok(()),
                Some(&Expect::PassedOver { syncs, data }) => return self.copy_failed(syncs, data, sqlstate),
                Some(_) => {
                    let skipped = self.expects.pop_front();
                    if matches!(skipped, Some(Expect::Own { .. })) {
                        self.own_is_skipped();
                    } else if let Some(ticket) = skipped.and_then(Expect::into_ticket) {
                        self.done.push((ticket, End { skipped: true, ..End::default() }));
                    }
                }
                None => {
                    // Outside of any message the server speaks for itself (a shutdown, a time-out).
                    self.server_skips = self.segment;
                    return Ok(());
                }
            }
        }
    }

    fn ready(&mut self, body: &[u8]) -> Result<(), WireError> {
        let &[status] = body else {
            return Err(WireError::Malformed { tag: b'Z', what: "transaction status missing" });
        };
        self.answer_bytes = 0;
        self.answer_rows = 0;
        self.copy_in = false;
        self.copy_doubt = false;
        if self.login {
            self.login = false;
            self.status = status;
            return Ok(());
        }
        let failed = self.failed.take();
        // An error outside of a transaction block undoes all that its implicit transaction did before.
        let undone = failed.is_some() && self.status_before == b'I' && status == b'I';
        let front = self.expects.pop_front();
        if let Some(Expect::PassedOver { syncs, .. }) = front {
            self.pass_sync(syncs);
        }
        match front {
            Some(Expect::Query { ticket, mut completions, committed, .. }) => {
                self.ended.extend(self.done.drain(..));
                for completion in completions.iter_mut().skip(committed).filter(|_| undone) {
                    completion.undone = true;
                }
                self.ended.push_back((ticket, End { completions, error: failed, skipped: false }));
            }
            Some(Expect::Function { ticket }) => {
                self.ended.push_back((ticket, End { error: failed, ..End::default() }));
            }
            Some(Expect::PoisonQuery { .. }) => {}
            Some(Expect::Sync | Expect::PassedOver { .. } | Expect::Stand { .. }) => {
                for (_, end) in self.done.iter_mut().filter(|_| undone) {
                    end.completions.iter_mut().for_each(|completion| completion.undone = true);
                    end.error = end.error.or(if end.skipped { None } else { failed });
                }
                self.ended.extend(self.done.drain(..));
            }
            _ => return Err(WireError::OutOfStep { tag: b'Z' }),
        }
        self.now_at(status);
        Ok(())
    }

    /// The server's transaction status after `ReadyForQuery`.
    pub(super) fn now_at(&mut self, status: u8) {
        self.status = status;
        self.status_before = status;
        if status == b'I' {
            self.portals.clear();
            self.unnamed.portal = None;
        }
    }

    fn parameter(&mut self, body: &[u8]) {
        self.reports += 1;
        match backend::parameter(body) {
            Some((b"standard_conforming_strings", value)) => self.strings_standard = value == b"on",
            Some((b"client_encoding", value)) => {
                self.encoding_utf8 = matches!(value, b"UTF8" | b"SQL_ASCII");
            }
            _ => {}
        }
    }
}

/// Messages whose content is read.
fn must_be_whole(head: Head) -> bool {
    matches!(head.tag, b'C' | b'E' | b'Z' | b'S' | b'R' | b'K')
}

/// So much of a long message is enough to read what matters of it.
const ERROR_BYTES_READ: usize = 8 << 10;
