//! What must hold of the ear whatever bytes come: it never panics, never stalls, never asks for bytes without bound, and
//! the same bytes in other pieces give the same moves. Each verb takes bytes from a fuzzer and panics where that fails.
//!
//! ```text
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz split_anywhere
//! ```
//!
//! ```
//! clyra_fuzz::frontend(b"Q\0\0\0\x0dselect 1\0");
//! clyra_fuzz::split_anywhere(b"\x03Q\0\0\0\x0dselect 1\0");
//! ```

mod judge;
mod scram;

pub use judge::{sql_dialects, sql_facts};
pub use scram::scram;

use clyra_wire::{
    Ask, End, Heard, Opening, Refusal, Refused, Session, Step, WireError, error_response, opening,
};

/// The first packet of a connection.
pub fn startup(bytes: &[u8]) {
    let Ok(Some((packet, length))) = opening(bytes) else { return };
    assert!((8..=bytes.len()).contains(&length), "{length} of {}", bytes.len());
    for part in 0..length {
        assert_eq!(opening(&bytes[..part]), Ok(None), "a part of a whole packet is neither whole nor wrong");
    }
    if let Opening::Startup(startup) = packet {
        let _ = (startup.parameter("user"), startup.settings());
    }
}

/// A client that says these bytes to a session that is open, and to one that waits for the server.
pub fn frontend(bytes: &[u8]) {
    let mut talk = Talk::open();
    talk.client(bytes);
    talk.server(b"E\0\0\0\x0cC42601\0\0Z\0\0\0\x05I");
    let mut busy = Talk::open();
    busy.client(&[QUERY, BEGIN].concat());
    busy.server(b"G\0\0\0\x07\0\0\0");
    busy.client(bytes);
}

/// A server that says these bytes to a session in which everything is open.
pub fn backend(bytes: &[u8]) {
    let mut login = Talk::new();
    login.server(bytes);
    for open in [&[QUERY, QUERY].concat(), &[BEGIN, SYNC].concat(), &[BEGIN, REFUSED, SYNC].concat()] {
        let mut talk = Talk::open();
        talk.client(open);
        talk.server(bytes);
        talk.client(QUERY);
    }
}

/// Both sides in turn, in pieces as the bytes themselves say; then once more message by message and byte by byte.
///
/// The first byte of every piece says whose it is and how long.
pub fn split_anywhere(bytes: &[u8]) {
    let turns = turns(bytes);
    let mut whole = Talk::open();
    turns.iter().for_each(|turn| whole.turn(turn, usize::MAX));
    for size in [1, 2, 7] {
        let mut pieces = Talk::open();
        turns.iter().for_each(|turn| pieces.turn(turn, size));
        assert_eq!(pieces.broken, whole.broken, "pieces of {size}");
        if whole.broken.is_none() {
            assert_eq!(pieces.to_server, whole.to_server, "pieces of {size}");
            assert_eq!(pieces.to_client, whole.to_client, "pieces of {size}");
            assert_eq!(pieces.ended, whole.ended, "pieces of {size}");
        }
    }
}

/// Bytes of one side.
struct Turn {
    of_client: bool,
    bytes: Vec<u8>,
}

/// Cuts the fuzzer's bytes into turns; neighbours of one side become one turn.
fn turns(mut bytes: &[u8]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    while let Some((head, rest)) = bytes.split_first() {
        let (piece, rest) = rest.split_at(usize::from(head >> 1).min(rest.len()));
        let of_client = head & 1 == 1;
        match turns.last_mut() {
            Some(last) if last.of_client == of_client => last.bytes.extend(piece),
            _ => turns.push(Turn { of_client, bytes: piece.to_vec() }),
        }
        bytes = rest;
    }
    turns
}

/// A session, and what was said through it.
struct Talk {
    session: Session<Vec<u8>, Vec<u8>>,
    client_left: Vec<u8>,
    server_left: Vec<u8>,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    ended: Vec<(Vec<u8>, End)>,
    broken: Option<WireError>,
}

impl Talk {
    fn new() -> Self {
        Self {
            session: asking(),
            client_left: Vec::new(),
            server_left: Vec::new(),
            to_server: Vec::new(),
            to_client: Vec::new(),
            ended: Vec::new(),
            broken: None,
        }
    }

    fn open() -> Self {
        let mut talk = Self::new();
        talk.server(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I");
        talk
    }

    fn turn(&mut self, turn: &Turn, size: usize) {
        for piece in turn.bytes.chunks(size.min(turn.bytes.len().max(1))) {
            if turn.of_client { self.client(piece) } else { self.server(piece) }
        }
        // What had to wait for the server may go on when all is heard that it said.
        if !turn.of_client && self.broken.is_none() && !self.client_left.is_empty() {
            self.client(b"");
        }
    }

    fn client(&mut self, bytes: &[u8]) {
        let mut inbox = std::mem::take(&mut self.client_left);
        inbox.extend(bytes);
        let mut at = 0;
        while self.broken.is_none() {
            let rest = &inbox[at..];
            match self.session.client(rest) {
                Err(broken) => self.broken = Some(broken),
                Ok(Step::Hold) => break,
                Ok(Step::More(needed)) => {
                    assert!(needed > rest.len(), "{needed} bytes are there already");
                    assert!(needed <= NEEDED_MAX, "{needed} bytes are asked for");
                    break;
                }
                Ok(Step::Forward(count) | Step::Leave(count)) => {
                    self.to_server.extend(&rest[..count]);
                    at += moved(count);
                }
                Ok(Step::Drop(count)) => at += moved(count),
                Ok(Step::Answer(count, answer)) => {
                    self.to_client.extend(answer);
                    at += moved(count);
                }
                Ok(Step::Tell(told)) => self.to_server.extend(told),
                Ok(Step::Refer(_)) => panic!("nobody asked for other names"),
                Ok(Step::Ask(ask)) => {
                    let (kind, text) = asked(&ask);
                    self.judge(kind, text);
                }
            }
        }
        self.client_left = inbox.split_off(at);
        self.settle();
    }

    /// Refuses whatever has `!` in it.
    fn judge(&mut self, kind: u8, text: Vec<u8>) {
        if text.contains(&b'!') {
            match self.session.refuse(ours()) {
                Refused::Answer(answer) => self.to_client.extend(answer),
                Refused::Poison(poison) => self.to_server.extend(poison),
                Refused::Silent => {}
            }
            return;
        }
        match kind {
            b'Q' => self.session.allow_query(text),
            b'P' => self.session.allow_parse(text),
            b'B' => self.session.allow_bind(text),
            b'E' => self.session.allow_execute(text),
            _ => self.session.allow_function(text),
        }
    }

    fn server(&mut self, bytes: &[u8]) {
        let mut inbox = std::mem::take(&mut self.server_left);
        inbox.extend(bytes);
        let mut at = 0;
        while self.broken.is_none() {
            let rest = &inbox[at..];
            match self.session.server(rest) {
                Err(broken) => self.broken = Some(broken),
                Ok(Heard::More) => break,
                Ok(Heard::Tell(told)) => self.to_server.extend(told),
                Ok(Heard::Full | Heard::Completed(_)) => panic!("nobody watches"),
                Ok(Heard::Forward(count)) => {
                    self.to_client.extend(&rest[..count]);
                    at += moved(count);
                }
                Ok(Heard::Drop(count)) => at += moved(count),
                Ok(Heard::Replace(count, answer)) => {
                    self.to_client.extend(answer);
                    at += moved(count);
                }
            }
        }
        self.server_left = inbox.split_off(at);
        self.to_server.extend(self.session.probe().unwrap_or_default());
        self.settle();
    }

    fn settle(&mut self) {
        self.ended.extend(std::iter::from_fn(|| self.session.ended()));
    }
}

/// A step that deals with nothing would never end.
fn moved(count: usize) -> usize {
    assert!(count > 0, "a step without a move");
    count
}

fn asked(ask: &Ask<'_, Vec<u8>>) -> (u8, Vec<u8>) {
    match ask {
        Ask::Query(sql) => (b'Q', sql.to_vec()),
        Ask::Parse(sql) => (b'P', sql.to_vec()),
        Ask::TooLong { bytes, parse } => (if *parse { b'P' } else { b'Q' }, bytes.to_string().into_bytes()),
        Ask::Bind { prepared, .. } => (b'B', prepared.clone()),
        Ask::Execute(known) => (b'E', known.clone().unwrap_or_default()),
        Ask::Function(oid) => (b'F', oid.to_string().into_bytes()),
    }
}

fn asking() -> Session<Vec<u8>, Vec<u8>> {
    let mut session = Session::new("token".into());
    session.ask_binds(true);
    session
}

fn ours() -> Vec<u8> {
    error_response(&Refusal { sqlstate: "42501", message: "no", detail: "", hint: "", position: None })
}

const QUERY: &[u8] = b"Q\0\0\0\x06x\0";
const BEGIN: &[u8] = b"P\0\0\0\x09\0x\0\0\0B\0\0\0\x0c\0\0\0\0\0\0\0\0E\0\0\0\x09\0\0\0\0\0";
const REFUSED: &[u8] = b"P\0\0\0\x09\0!\0\0\0";
const SYNC: &[u8] = b"S\0\0\0\x04";
/// What a session may want to see whole: a statement of 4 MiB with its head.
const NEEDED_MAX: usize = (4 << 20) + 5;
