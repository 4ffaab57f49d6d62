//! One session's both directions: which message is open, which answer belongs to it, what may pass.
//!
//! `P` is what the driver knows of a prepared statement (cheap to clone), `T` what it holds for a statement that
//! was sent on; both are opaque here.

mod client;
mod copy;
mod expect;
mod own;
mod rename;
mod said;
mod server;
mod watch;

use expect::Expect;
use own::Own;
use std::collections::{HashMap, VecDeque};

pub use expect::{Completion, End};
pub use own::{OwnAnswer, OwnError, OwnQuestion};
pub use rename::{Prelude, Refer};
pub use said::Answered;
pub use watch::Far;

/// What the driver does next with the client's bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'b, P> {
    /// At least this many bytes of the client must be in the buffer.
    More(usize),
    /// Nothing can be said before the server has answered more.
    Hold,
    /// Put this before the gate, then call one of `allow_*`, or [`Session::refuse`].
    Ask(Ask<'b, P>),
    /// Send the first so many bytes to the server, unchanged.
    Forward(usize),
    /// Swallow the first so many bytes.
    Drop(usize),
    /// Swallow the first so many bytes and say this to the client; the server hears nothing.
    Answer(usize, Vec<u8>),
    /// Say this to the server, behind what was sent on.
    Tell(Vec<u8>),
    /// In a session that renames: a message names a statement. Answer with `refer`.
    Refer(Refer<P>),
    /// The client takes its leave: send the first so many bytes on and close.
    Leave(usize),
}

/// What is put before the gate.
#[derive(Debug, PartialEq, Eq)]
pub enum Ask<'b, P> {
    /// The text of a simple query. Answer with `allow_query`.
    Query(&'b [u8]),
    /// The text of a statement to prepare. Answer with `allow_parse`.
    Parse(&'b [u8]),
    /// A simple query or a statement to prepare that is too long to be read. Answer with `allow_query` or
    /// `allow_parse`, as the flag says.
    TooLong {
        /// Bytes of the whole message.
        bytes: usize,
        /// It came as `Parse`.
        parse: bool,
    },
    /// Values are bound to a statement that the session knows; only where [`Session::ask_binds`] wants it. Answer with
    /// `allow_bind`, or with `defer_bind` when the body is needed and not there yet.
    Bind {
        /// The statement.
        prepared: P,
        /// The whole body, once it is there.
        body: Option<&'b [u8]>,
        /// Bytes of the whole message.
        bytes: usize,
    },
    /// A portal runs; `None` where the session does not know it. Answer with `allow_execute`.
    Execute(Option<P>),
    /// A function is called by OID. Answer with `allow_function`.
    Function(u32),
}

impl<P> Ask<'_, P> {
    /// Bytes of a `Bind`, so many as must be there for it to be whole.
    pub fn bytes(&self) -> usize {
        if let Self::Bind { bytes, .. } = self { *bytes } else { 1 }
    }
}

/// What the driver does next with the server's bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// More bytes of the server must be in the buffer.
    More,
    /// Send the first so many bytes to the client, unchanged.
    Forward(usize),
    /// Swallow the first so many bytes.
    Drop(usize),
    /// Swallow the first so many bytes and send this to the client instead.
    Replace(usize, Vec<u8>),
    /// The next row goes farther than a watched answer may: call [`Session::widen`] or [`Session::cut`], then hear
    /// further.
    Full,
    /// A statement of a watched message is about to complete: call [`Session::let_complete`] or [`Session::cut`], then
    /// hear further.
    Completed(Completion),
    /// Say this to the server.
    Tell(Vec<u8>),
}

/// How a refusal is carried out.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// Say this to the client; the server hears nothing.
    Answer(Vec<u8>),
    /// Send this to the server, so that it aborts; the answer follows in its turn.
    Poison(Vec<u8>),
    /// Say nothing: an earlier error made the server skip, and that is what the client will read.
    Silent,
}

/// A session between one client and one server.
#[derive(Debug)]
pub struct Session<P, T> {
    /// Shows in the text that makes a server abort.
    token: String,
    /// The server has not yet said that it is ready.
    login: bool,
    /// How the server asked for proof: the code of its last `Authentication` request but `Ok`.
    auth_code: u32,
    /// Process and key with which the server's statement can be cancelled, as it has given them.
    cancel_key: Box<[u8]>,
    /// Transaction status that the server last reported.
    status: u8,
    /// Messages of the extended protocol were sent on since the last `Sync`.
    segment: bool,
    /// An error of the server makes it skip everything up to the next `Sync`.
    server_skips: bool,
    /// A refusal makes us swallow everything up to the next `Sync`.
    skipping: Skipping,
    /// The server takes copy data.
    copy_in: bool,
    /// A copy failed, and no `Sync` came yet of which it is sure that the server will read it.
    copy_doubt: bool,
    /// What was put before the gate and is not yet decided.
    asked: Option<Asked>,
    /// Bytes of the client's current message that are still to come, and whether to swallow them.
    client_left: (usize, bool),
    /// Bytes of the server's current message that are still to come, and whether to swallow them.
    server_left: (usize, bool),
    /// Open messages in the order sent on.
    expects: VecDeque<Expect<P, T>>,
    /// Statements that completed within the segment, until its transaction is settled.
    done: Vec<(T, End)>,
    /// Statements that ended.
    ended: VecDeque<(T, End)>,
    /// The current segment or query met an error, and the status before it.
    failed: Option<[u8; 5]>,
    status_before: u8,
    /// Bytes and rows of the answer so far.
    answer_bytes: u64,
    answer_rows: u64,
    statements: HashMap<Box<[u8]>, P>,
    portals: HashMap<Box<[u8]>, P>,
    unnamed: Unnamed<P>,
    /// Values that are bound are asked about.
    binds_asked: bool,
    /// What the portal of a `Bind` that was allowed runs, until it goes on with another name.
    allowed_bind: Option<P>,
    /// Types of parameters that were learned, and not yet told.
    described: VecDeque<(P, Box<[u32]>)>,
    /// Text of the client may be read as PostgreSQL reads it under its defaults.
    strings_standard: bool,
    encoding_utf8: bool,
    /// A question of the gateway's own.
    own: Own,
    /// The error of such a question that the client has not read, though the server skips for it.
    unsaid: Option<Vec<u8>>,
    /// The client waits until everything sent on is answered.
    held: bool,
    /// The client waits until a watched statement is through, once its message is on the way; a `Flush` goes first.
    watching: bool,
    flush_due: bool,
    /// What the server must be told before it is heard further.
    tell: Option<Vec<u8>>,
    /// Statements go by other names at the server.
    renames: bool,
    segments: u64,
    failures: u64,
    reports: u64,
}

#[derive(Debug)]
struct Unnamed<P> {
    statement: Option<P>,
    portal: Option<P>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skipping {
    No,
    /// The server never heard of the segment: we answer its `Sync` too.
    Alone,
    /// The server aborts and answers the `Sync`.
    WithServer,
}

#[derive(Debug)]
struct Asked {
    what: What,
    total: usize,
}

#[derive(Debug)]
enum What {
    Query,
    /// The name, and the types of its parameters where binds are asked about.
    Parse(Box<[u8]>, Box<[u32]>),
    /// The portal.
    Bind(Box<[u8]>),
    Execute,
    Function,
}

impl<P: Clone, T> Session<P, T> {
    /// A session in its login phase.
    pub fn new(token: String) -> Self {
        Self {
            token,
            login: true,
            auth_code: 0,
            cancel_key: Box::default(),
            status: b'I',
            segment: false,
            server_skips: false,
            skipping: Skipping::No,
            copy_in: false,
            copy_doubt: false,
            asked: None,
            client_left: (0, false),
            server_left: (0, false),
            expects: VecDeque::new(),
            done: Vec::new(),
            ended: VecDeque::new(),
            failed: None,
            status_before: b'I',
            answer_bytes: 0,
            answer_rows: 0,
            statements: HashMap::new(),
            portals: HashMap::new(),
            unnamed: Unnamed { statement: None, portal: None },
            binds_asked: false,
            allowed_bind: None,
            described: VecDeque::new(),
            strings_standard: true,
            encoding_utf8: true,
            own: Own::None,
            unsaid: None,
            held: false,
            watching: false,
            flush_due: false,
            tell: None,
            renames: false,
            segments: 0,
            failures: 0,
            reports: 0,
        }
    }

    /// The server has said that it is ready.
    pub fn is_open(&self) -> bool {
        !self.login
    }

    /// Code of the server's last request for proof: 0 none, 3 password, 5 MD5, 10 SASL.
    pub fn auth_code(&self) -> u32 {
        self.auth_code
    }

    /// Process and key with which the server's statement can be cancelled; empty where the server has given none here.
    pub fn cancel_key(&self) -> &[u8] {
        &self.cancel_key
    }

    /// Transaction status: `I`, `T` or `E`.
    pub fn status(&self) -> u8 {
        self.status
    }

    /// From now on, each `Bind` to a statement that the session knows is put before the gate, or none is.
    pub fn ask_binds(&mut self, asked: bool) {
        self.binds_asked = asked;
    }

    /// A statement whose parameters' types have become known, as numbers of types with 0 for one that has not; only
    /// while [`Session::ask_binds`] is on.
    pub fn described(&mut self) -> Option<(P, Box<[u32]>)> {
        self.described.pop_front()
    }

    /// The server reads over everything up to the end of the transaction, also where it has not said so yet.
    pub fn is_failed(&self) -> bool {
        self.status == b'E' || (self.status == b'T' && self.failed.is_some())
    }

    /// Nothing is open on the server.
    pub fn is_idle(&self) -> bool {
        self.expects.is_empty() && !self.segment && self.status == b'I' && !self.copy_in
    }

    /// The server has not yet answered all that was sent on.
    pub fn owes(&self) -> bool {
        !self.expects.is_empty()
    }

    /// A copy takes the client's data.
    pub fn copies_in(&self) -> bool {
        self.copy_in
    }

    /// The client has been told whole messages only.
    pub fn is_between(&self) -> bool {
        self.server_left.0 == 0
    }

    /// Something sent on ends with `ReadyForQuery`, which has not come.
    pub fn awaits_ready(&self) -> bool {
        self.expects.iter().any(Expect::ends_ready)
    }

    /// Statement text reads as PostgreSQL reads it by default: standard strings, and UTF-8 where not plain ASCII.
    pub fn reads_as_default(&self, sql: &[u8]) -> bool {
        self.strings_standard && (self.encoding_utf8 || sql.is_ascii())
    }

    /// The next statement that ended, in the order sent on.
    pub fn ended(&mut self) -> Option<(T, End)> {
        self.ended.pop_front()
    }

    /// Everything still open, for a session that breaks off.
    pub fn abandon(&mut self) -> Vec<(T, Option<End>)> {
        let mut open: Vec<(T, Option<End>)> =
            self.ended.drain(..).map(|(ticket, end)| (ticket, Some(end))).collect();
        open.extend(self.done.drain(..).map(|(ticket, _)| (ticket, None)));
        open.extend(self.expects.drain(..).filter_map(Expect::into_ticket).map(|ticket| (ticket, None)));
        open
    }

    /// What the session knows under a statement name, at either level.
    pub fn statement(&self, name: &[u8]) -> Option<&P> {
        if name.is_empty() { self.unnamed.statement.as_ref() } else { self.statements.get(name) }
    }

    /// Remembers a statement prepared by SQL text.
    pub fn install(&mut self, name: &[u8], prepared: P) {
        if self.statements.len() < NAMES_MAX {
            self.statements.insert(name.into(), prepared);
        }
    }

    /// Forgets a statement, or all of them.
    pub fn deallocate(&mut self, name: Option<&[u8]>) {
        match name {
            Some(name) => drop(self.statements.remove(name)),
            None => self.statements.clear(),
        }
    }

    /// Tickets of everything sent on and not yet settled, oldest first.
    pub fn open_tickets(&self) -> impl Iterator<Item = &T> {
        self.done.iter().map(|(ticket, _)| ticket).chain(self.expects.iter().filter_map(Expect::ticket))
    }
}

/// Most named statements or portals of a session that are remembered.
const NAMES_MAX: usize = 65_536;
/// Most open messages before the session waits for the server.
const OPEN_MAX: usize = 65_536;
