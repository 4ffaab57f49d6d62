//! What the gateway says in the client's turn without the server, and what it sends in a message's place. It keeps the
//! order: an answer of ours waits behind the answers to earlier messages.

use super::{Asked, Expect, Heard, Session, Skipping, What};
use crate::{answer, frontend};

/// How an answer of the gateway's own is carried out.
#[derive(Debug, PartialEq, Eq)]
pub enum Answered {
    /// Say this to the client now.
    Now(Vec<u8>),
    /// Send this to the server; the client hears the answer in its turn.
    Tell(Vec<u8>),
    /// Nothing to do: the answer follows in its turn, or the server skips and an earlier error is all there is.
    Later,
}

impl<P: Clone, T> Session<P, T> {
    /// What was asked about is answered by the gateway with `said`, whole messages of a server such as
    /// `CommandComplete`; the server does not run it. A simple query needs no `ReadyForQuery` in it: one with the true
    /// transaction status follows. For a portal that runs (`Ask::Execute`) nothing follows. A statement to prepare
    /// is better given to the server with an empty text ([`Session::allow_parse_as`]), and answered when it runs.
    pub fn answer(&mut self, said: Vec<u8>) -> Answered {
        let Some(asked) = self.asked.take() else { return Answered::Later };
        self.client_left = (asked.total, true);
        if self.server_skips {
            return Answered::Later;
        }
        let simple = matches!(asked.what, What::Query | What::Function);
        if simple && self.segment {
            // A server ends the segment here; an empty query makes it, and ours stands in for its answer.
            self.expects.push_back(Expect::Stand { said });
            return Answered::Tell(answer::message(b'Q', b"\0"));
        }
        self.segment |= !simple;
        match self.say(said, simple) {
            Some(said) => Answered::Now(said),
            None => Answered::Later,
        }
    }

    /// The simple query that was asked about goes on with another text. Send what is returned.
    pub fn allow_query_as(&mut self, ticket: T, text: &[u8]) -> Vec<u8> {
        let Some(asked) = self.asked.take() else { return Vec::new() };
        self.client_left = (asked.total, true);
        self.sent(Expect::Query { ticket, completions: Vec::new(), committed: 0, watch: None });
        answer::message(b'Q', &[text, b"\0"].concat())
    }

    /// The statement that was asked about is prepared with another text. `bytes` are the client's, as they were given
    /// to [`Session::client`]: name and parameter types stay. Send what is returned.
    pub fn allow_parse_as(&mut self, prepared: P, text: &[u8], bytes: &[u8]) -> Vec<u8> {
        match self.asked.take() {
            Some(Asked { what: What::Parse(name, told), total }) => {
                self.client_left = (total, true);
                self.learn(&prepared, told);
                let types = frontend::parse_types(bytes.get(..total).unwrap_or_default()).unwrap_or(&[0, 0]);
                let message = answer::message(b'P', &[&*name, b"\0", text, b"\0", types].concat());
                self.extended(Expect::Parse { name, prepared });
                message
            }
            other => {
                self.asked = other;
                Vec::new()
            }
        }
    }

    /// Lets the client wait until everything sent on is answered; [`Session::client`] then asks again about the
    /// message that is asked about now. Send what is returned, so that a server does not keep answers back.
    pub fn hold_until_settled(&mut self) -> Option<Vec<u8>> {
        self.asked = None;
        self.held = true;
        self.flush()
    }

    /// Nothing that was sent on waits for its answer.
    pub fn is_settled(&self) -> bool {
        !self.expects.iter().any(|expect| expect.ticket().is_some())
    }

    /// A `Flush`, where answers may be kept back until the client's `Sync`.
    pub fn flush(&self) -> Option<Vec<u8>> {
        (self.segment && !self.copy_in).then(|| answer::message(b'H', &[]))
    }

    /// The bytes to say now, or `None` where they wait for their turn. With `ready`, `ReadyForQuery` follows.
    pub(super) fn say(&mut self, mut said: Vec<u8>, ready: bool) -> Option<Vec<u8>> {
        if self.expects.iter().all(Expect::is_copy) {
            // The end of copy data where none runs is read over, and answered by nothing.
            self.expects.clear();
        }
        if self.expects.is_empty() && !self.is_amid() {
            if ready {
                said.extend(answer::ready_for_query(self.status));
            }
            return Some(said);
        }
        self.expects.push_back(Expect::Said { said, ready });
        None
    }

    /// A message of the server is on its way to the client, and not yet whole.
    pub(super) fn is_amid(&self) -> bool {
        self.server_left.0 > 0 && !self.server_left.1
    }

    /// What is ours and next in turn.
    pub(super) fn hear_said(&mut self) -> Option<Heard> {
        match self.expects.pop_front() {
            Some(Expect::Said { mut said, ready }) => {
                if ready {
                    said.extend(answer::ready_for_query(self.status));
                }
                Some(Heard::Replace(0, said))
            }
            Some(other) => {
                self.expects.push_front(other);
                None
            }
            None => None,
        }
    }

    /// An error of a question of ours that nobody has told the client, and that makes the server skip.
    pub(super) fn say_unsaid(&mut self) -> Option<Vec<u8>> {
        let unsaid = self.unsaid.take()?;
        self.skipping = Skipping::WithServer;
        Some(unsaid)
    }
}
