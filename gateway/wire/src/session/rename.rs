//! Sessions whose prepared statements go by other names at the server than at the client, and may have to be prepared
//! anew before they are used, since the server's session is not always the same. It gives no names: they come from
//! outside, and the client never sees them but in the words of an error.

use super::{Asked, Expect, Heard, Session, Step, What};
use crate::{
    WireError,
    answer::message,
    frame::{self, HEAD_BYTES, Head},
    frontend,
};

/// A message that names a statement, in a session that renames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refer<P> {
    /// What the client prepared under the name; `None` where it did not, as far as is known.
    pub prepared: Option<P>,
    /// It is not the unnamed statement.
    pub named: bool,
    /// The client forgets it.
    pub closes: bool,
}

/// What the server is told before a message; its answer is kept from the client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prelude<'a> {
    /// Statements that it shall forget.
    pub closes: &'a [Box<[u8]>],
    /// A statement that it shall prepare: its name, and what stands behind the name in a `Parse`.
    pub parse: Option<(&'a [u8], &'a [u8])>,
}

impl<P: Clone, T> Session<P, T> {
    /// From now on [`Session::client`] says `Refer` for messages that name a statement.
    pub fn rename(&mut self) {
        self.renames = true;
    }

    /// Segments of the extended protocol that the client has ended so far.
    pub fn segments(&self) -> u64 {
        self.segments
    }

    /// Errors that the server has answered so far.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Settings that the server has reported so far.
    pub fn reports(&self) -> u64 {
        self.reports
    }

    /// Nothing is under way in either direction: the server's session could be another now.
    pub fn is_quiet(&self) -> bool {
        self.is_idle()
            && !self.login
            && self.client_left.0 == 0
            && self.server_left.0 == 0
            && self.tell.is_none()
            && self.unsaid.is_none()
    }

    /// The message that was said to `Refer` goes on with this name. `bytes` are the client's. Send the first part of
    /// what is returned, and let go of so many of the client's bytes.
    pub fn refer(&mut self, name: &[u8], prelude: Prelude<'_>, bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
        let head = frame::head(bytes).ok().flatten()?;
        let body = bytes.get(HEAD_BYTES..head.total.min(bytes.len()))?;
        let (before, old, expect) = match head.tag {
            b'B' => {
                let (portal, statement) = frontend::bind(body)?;
                let prepared = self.allowed_bind.take().or_else(|| self.to_bind(statement));
                (portal.len() + 1, statement.len(), Expect::Bind { portal: portal.into(), prepared })
            }
            tag => {
                let (_, statement) = frontend::named(tag, body).ok()?;
                let expect = match tag {
                    b'C' => Expect::Close { statement: true, name: statement.into() },
                    _ => Expect::Describe { of: self.to_describe(statement) },
                };
                (1, statement.len(), expect)
            }
        };
        let mut sent = self.prelude(prelude);
        self.extended(expect);
        let consumed = renamed(&mut sent, head, body, before, old, name)?;
        self.client_left = (head.total - consumed, false);
        Some((sent, consumed))
    }

    /// As [`Session::allow_parse`], under another name, and with `instead` in the place of what stands behind it.
    /// `bytes` are the client's. Send the first part of what is returned, and let go of so many of the client's bytes.
    pub fn allow_parse_named(
        &mut self,
        prepared: P,
        name: &[u8],
        instead: Option<&[u8]>,
        prelude: Prelude<'_>,
        bytes: &[u8],
    ) -> Option<(Vec<u8>, usize)> {
        let Some(Asked { what: What::Parse(old, types), .. }) = self.asked.take() else { return None };
        let head = frame::head(bytes).ok().flatten()?;
        let body = bytes.get(HEAD_BYTES..head.total.min(bytes.len()))?;
        let mut sent = self.prelude(prelude);
        let consumed = match instead {
            Some(rest) => {
                sent.extend(message(b'P', &[name, b"\0", rest].concat()));
                head.total
            }
            None => renamed(&mut sent, head, body, 0, old.len(), name)?,
        };
        self.client_left = (head.total - consumed, false);
        self.learn(&prepared, types);
        self.extended(Expect::Parse { name: old, prepared });
        Some((sent, consumed))
    }

    /// What a client prepares: its name, and everything behind the name; `None` while it is not whole.
    pub fn to_prepare(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let head = frame::head(bytes).ok().flatten()?;
        frame::cstr(frame::body(bytes, head)?)
    }

    pub(super) fn to_refer<'b>(&self, statement: &[u8], closes: bool) -> Step<'b, P> {
        Step::Refer(Refer { prepared: self.to_bind(statement), named: !statement.is_empty(), closes })
    }

    /// The server's answer to a prelude; `None` for what is the client's.
    pub(super) fn hear_prelude(&mut self, rest: &[u8]) -> Result<Option<Heard>, WireError> {
        let Some(head) = frame::head(rest)? else { return Ok(Some(Heard::More)) };
        let Some(Expect::Prelude { closes, parse }) = self.expects.front_mut() else { return Ok(None) };
        match head.tag {
            b'3' if *closes > 0 => *closes -= 1,
            b'1' if *parse => *parse = false,
            _ => return Ok(None),
        }
        if *closes == 0 && !*parse {
            self.expects.pop_front();
        }
        Ok(Some(self.swallow(rest, head)))
    }

    fn prelude(&mut self, prelude: Prelude<'_>) -> Vec<u8> {
        let mut sent = Vec::new();
        for name in prelude.closes {
            sent.extend(message(b'C', &[b"S", &**name, b"\0"].concat()));
        }
        if let Some((name, rest)) = prelude.parse {
            sent.extend(message(b'P', &[name, b"\0", rest].concat()));
        }
        if !sent.is_empty() {
            self.extended(Expect::Prelude { closes: prelude.closes.len(), parse: prelude.parse.is_some() });
        }
        sent
    }
}

/// Writes a message's head and names with another name; gives the bytes of the original that it stands for.
fn renamed(
    sent: &mut Vec<u8>,
    head: Head,
    body: &[u8],
    before: usize,
    old: usize,
    name: &[u8],
) -> Option<usize> {
    let length = u32::try_from(head.total - 1 - old + name.len()).ok()?;
    sent.push(head.tag);
    sent.extend(length.to_be_bytes());
    sent.extend(body.get(..before)?);
    sent.extend(name);
    sent.push(0);
    Some(HEAD_BYTES + before + old + 1)
}
