//! A question of the gateway's own to the server, between two messages of the client. The client never sees it: not
//! its answer, not its error, and its unnamed statement and portal stay as they are.
//!
//! It goes as `Close`, `Parse`, `Bind`, `Execute`, `Close` under a private name, never as a simple query, which would
//! commit the implicit transaction of an open segment and forget the client's unnamed statement. Outside of a segment
//! a `Sync` of its own ends it; within one, a `Flush`, so that the segment stays as open as it was.

use super::{Expect, Heard, Session, Skipping};
use crate::{
    WireError,
    answer::message,
    backend,
    frame::{self, HEAD_BYTES, Head},
};

/// What the server answered to a question of the gateway's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnAnswer {
    /// Rows in text format, `None` for null; at most 1,000 of them, and 1 MiB.
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
    /// The command tag, such as `SELECT 1`; empty where it did not complete.
    pub tag: String,
    /// What it failed with.
    pub error: Option<OwnError>,
    /// Rows beyond the bounds were left out.
    pub truncated: bool,
    /// It never ran: an earlier message of the client failed, and the server reads on to the next `Sync`.
    pub skipped: bool,
}

/// Why a question of the gateway's own failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnError {
    /// Five characters.
    pub sqlstate: [u8; 5],
    /// The server's words.
    pub message: String,
}

impl OwnAnswer {
    /// It ran to its end.
    pub fn completed(&self) -> bool {
        !self.skipped && self.error.is_none()
    }

    /// The first column of the first row.
    pub fn value(&self) -> Option<&[u8]> {
        self.rows.first()?.first()?.as_deref()
    }
}

/// A question of the gateway's own, with parameters as a client sent them.
#[derive(Clone, Copy, Debug)]
pub struct OwnQuestion<'a> {
    /// One statement.
    pub sql: &'a [u8],
    /// The part of a `Parse` behind its text: a count and the parameters' types. Empty for none.
    pub types: &'a [u8],
    /// The part of a `Bind` behind its names: formats, then values, without the formats of results. Empty for none.
    pub parameters: &'a [u8],
}

impl<'a> From<&'a str> for OwnQuestion<'a> {
    fn from(sql: &'a str) -> Self {
        Self { sql: sql.as_bytes(), types: &[], parameters: &[] }
    }
}

/// How far a question of the gateway's own is.
#[derive(Debug, Default)]
pub(super) enum Own {
    #[default]
    None,
    Open(Box<OwnAnswer>, usize),
    Answered(Box<OwnAnswer>),
}

impl<P: Clone, T> Session<P, T> {
    /// Asks the server something of the gateway's own; what is returned must be sent before anything else. Until the
    /// answer is there ([`Session::owned`]), [`Session::client`] says `Hold`. It runs in the client's transaction
    /// where there is one, and an error of it aborts that. `None` while the server cannot be asked: before login,
    /// within a message or copy data, or while it skips to the next `Sync`.
    ///
    /// An error within a segment makes the server skip: the decision that is due should then be a refusal; where it
    /// is not, the client reads the server's error.
    pub fn own(&mut self, question: OwnQuestion<'_>) -> Option<Vec<u8>> {
        let busy = self.copy_in || self.copy_doubt || self.server_skips || self.skipping != Skipping::No;
        if self.login || busy || self.client_left.0 > 0 || !matches!(self.own, Own::None) {
            return None;
        }
        self.own = Own::Open(Box::default(), 0);
        self.expects.push_back(Expect::Own { sync: !self.segment, closes: 0 });
        Some(asked(question, if self.segment { b'H' } else { b'S' }))
    }

    /// The answer to [`Session::own`], once it is there.
    pub fn owned(&mut self) -> Option<OwnAnswer> {
        match std::mem::take(&mut self.own) {
            Own::Answered(answer) => Some(*answer),
            open => {
                self.own = open;
                None
            }
        }
    }

    /// The server's bytes while a question of ours is the oldest open message; `None` for what is the client's.
    pub(super) fn hear_own(&mut self, rest: &[u8]) -> Result<Option<Heard>, WireError> {
        let Some(head) = frame::head(rest)? else { return Ok(Some(Heard::More)) };
        if matches!(head.tag, b'N' | b'S' | b'A') {
            return Ok(None);
        }
        if rest.len() < head.total.min(MESSAGE_BYTES_MAX) {
            return Ok(Some(Heard::More));
        }
        let body = rest.get(HEAD_BYTES..head.total.min(rest.len())).unwrap_or_default();
        let Some(Expect::Own { sync, closes }) = self.expects.front_mut() else { return Ok(None) };
        let sync = *sync;
        match head.tag {
            b'1' | b'2' | b'n' | b'T' | b't' | b'I' => {}
            b'3' => {
                *closes += 1;
                if *closes == CLOSES && !sync {
                    self.expects.pop_front();
                    self.own_is_answered();
                }
            }
            b'D' => self.own_row(body, head.total > rest.len()),
            b'C' => self.own_answer(|answer| {
                answer.tag = String::from_utf8_lossy(body.strip_suffix(b"\0").unwrap_or(body)).into_owned();
            }),
            b'E' => return Ok(self.own_fails(rest, head, body, sync)),
            b'Z' => {
                let Some(&status) = body.first() else {
                    return Err(WireError::Malformed { tag: b'Z', what: "transaction status missing" });
                };
                self.expects.pop_front();
                self.now_at(status);
                self.own_is_answered();
            }
            tag => return Err(WireError::Unexpected { tag, place: "in answer to the gateway" }),
        }
        Ok(Some(self.swallow(rest, head)))
    }

    /// A question of ours that the server reads over.
    pub(super) fn own_is_skipped(&mut self) {
        self.own_answer(|answer| answer.skipped = true);
        self.own_is_answered();
    }

    fn own_fails(&mut self, rest: &[u8], head: Head, body: &[u8], sync: bool) -> Option<Heard> {
        let error = OwnError {
            sqlstate: backend::sqlstate(body).unwrap_or(*b"XX000"),
            message: backend::field(body, b'M').unwrap_or_default(),
        };
        let sqlstate = error.sqlstate;
        self.own_answer(|answer| answer.error = Some(error));
        if matches!(backend::field(body, b'V').as_deref(), Some("FATAL" | "PANIC")) {
            // The server takes its leave: that is for the client, too.
            self.expects.pop_front();
            self.own_is_answered();
            return None;
        }
        if !sync {
            self.expects.pop_front();
            self.failed = Some(sqlstate);
            self.failures += 1;
            self.server_skips = true;
            self.unsaid = Some(rest.get(..head.total).unwrap_or_default().to_vec());
            self.own_is_answered();
        }
        Some(self.swallow(rest, head))
    }

    fn own_row(&mut self, body: &[u8], cut: bool) {
        let Own::Open(answer, bytes) = &mut self.own else { return };
        *bytes += body.len();
        match backend::columns(body).filter(|_| !cut) {
            Some(row) if answer.rows.len() < ROWS_MAX && *bytes <= ROWS_BYTES_MAX => answer.rows.push(row),
            _ => answer.truncated = true,
        }
    }

    fn own_answer(&mut self, change: impl FnOnce(&mut OwnAnswer)) {
        if let Own::Open(answer, _) = &mut self.own {
            change(answer);
        }
    }

    fn own_is_answered(&mut self) {
        self.own = match std::mem::take(&mut self.own) {
            Own::Open(answer, _) => Own::Answered(answer),
            other => other,
        };
    }

    /// Keeps a message of the server from the client.
    pub(super) fn swallow(&mut self, rest: &[u8], head: Head) -> Heard {
        let here = head.total.min(rest.len());
        self.server_left = (head.total - here, true);
        Heard::Drop(here)
    }
}

/// The messages of a question, ended by `Flush` or `Sync`.
fn asked(question: OwnQuestion<'_>, end: u8) -> Vec<u8> {
    let or_none = |bytes: &'_ [u8]| if bytes.is_empty() { [0; 2].to_vec() } else { bytes.to_vec() };
    let closes = [message(b'C', &[b"P", NAME, b"\0"].concat()), message(b'C', &[b"S", NAME, b"\0"].concat())];
    let parameters = match question.parameters {
        [] => vec![0; 4],
        parameters => parameters.to_vec(),
    };
    let parse = [NAME, b"\0", question.sql, b"\0", &or_none(question.types)].concat();
    let bind = [NAME, b"\0", NAME, b"\0", &parameters, &[0, 0]].concat();
    let execute = [NAME, &[0; 5]].concat();
    let mut bytes = closes.concat();
    bytes.extend(message(b'P', &parse));
    bytes.extend(message(b'B', &bind));
    bytes.extend(message(b'E', &execute));
    bytes.extend(closes.concat());
    bytes.extend(message(end, &[]));
    bytes
}

/// Statement and portal of the gateway's own.
pub(super) const NAME: &[u8] = b"clyra's own";
/// `CloseComplete`s of one question: two before, in case an earlier one was broken off, and two after.
const CLOSES: u8 = 4;
const ROWS_MAX: usize = 1_000;
const ROWS_BYTES_MAX: usize = 1 << 20;
/// So much of one message is waited for; a longer row is left out.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
