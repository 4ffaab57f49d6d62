//! One connection to the server that is logged in: how it is opened, what a client is told of it, how it is made as
//! new. It carries no client's bytes.

use super::{rank::Rank, rank::Slot, statements::Statements};
use crate::{
    login::{Denied, Talk},
    secure::Secure,
    settings::Upstream,
    socket::{Side, connect},
};
use bytes::{BufMut as _, BytesMut};
use clyra_policy::Standing;
use clyra_wire::Startup;
use std::{
    collections::BTreeMap,
    sync::Arc,
    thread::ThreadId,
    time::{Duration, Instant},
};
use tokio::io::AsyncWriteExt as _;

/// Settings of a session that differ from what it began with, by name.
pub(crate) type Kept = BTreeMap<String, String>;

/// What the server says at a login, but for its key: `ParameterStatus` and others, in order.
pub(crate) type Reported = Vec<(u8, Box<[u8]>)>;

/// A connection that is logged in.
#[derive(Debug)]
pub(crate) struct Backend {
    /// Its socket; elsewhere while it is lent.
    pub(crate) side: Side,
    /// The start-up packet that it was opened with.
    pub(crate) packet: Arc<[u8]>,
    pub(crate) reported: Arc<Reported>,
    /// Process and key with which its statement can be cancelled.
    pub(crate) key: Arc<[u8]>,
    /// Settings that it has now.
    pub(crate) kept: Arc<Kept>,
    /// Where names lead in it, while it has those settings.
    pub(crate) standing: Option<(Arc<Kept>, Arc<Standing>)>,
    /// Statements that it has prepared.
    pub(crate) statements: Statements,
    pub(crate) born: Instant,
    /// When it was last given back.
    pub(crate) rested: Instant,
    /// The thread whose runtime waits for its socket.
    home: ThreadId,
    slot: Slot,
}

/// Logs in at the server.
pub(super) async fn open(
    upstream: &Upstream,
    secure: &Secure,
    startup: &Startup,
    packet: Arc<[u8]>,
    slot: Slot,
) -> Result<Backend, Denied> {
    let unreachable = |err: std::io::Error| Denied::Told {
        sqlstate: "08001",
        message: format!("the server behind the gate, `{upstream}`, cannot be reached: {err}"),
        hint: "start the server, or correct `--upstream`",
    };
    let Some(logins) = &secure.logins else { return Err(Denied::Left) };
    // What was remembered of the gateway's own login may be outdated in two ways.
    let mut chances = 2;
    let (mut stream, mut inbox) = loop {
        let mut stream = connect(upstream, secure.back.as_ref()).await.map_err(unreachable)?;
        let mut inbox = BytesMut::new();
        let private = stream.is_private();
        let mut talk = Talk { stream: &mut stream, inbox: &mut inbox };
        match logins.enter(&mut talk, startup, private).await {
            Ok(()) => break (stream, inbox),
            Err(Denied::Stale) if chances > 0 => chances -= 1,
            Err(denied) => return Err(denied),
        }
    };
    let mut talk = Talk { stream: &mut stream, inbox: &mut inbox };
    let mut reported = Reported::new();
    let mut key: Arc<[u8]> = Arc::from([]);
    loop {
        let (tag, body) = talk.hear().await.map_err(unreachable)?;
        match tag {
            b'E' => return Err(refused(&body)),
            b'K' => key = body.as_ref().into(),
            b'Z' => break,
            b'S' | b'v' => reported.push((tag, body.as_ref().into())),
            _ => {}
        }
    }
    let now = Instant::now();
    Ok(Backend {
        side: Side::new(stream),
        packet,
        reported: Arc::new(reported),
        key,
        kept: Arc::default(),
        standing: None,
        statements: Statements::default(),
        born: now,
        rested: now,
        home: std::thread::current().id(),
        slot,
    })
}

pub(super) fn too_slow(max: Duration) -> Denied {
    Denied::Told {
        sqlstate: "08001",
        message: format!("the server behind the gate did not let the gateway in within {} s", max.as_secs()),
        hint: "look into its log",
    }
}

impl Backend {
    pub(super) fn rank(&self) -> Option<Arc<Rank>> {
        self.slot.rank()
    }

    /// Whether it stands and has nothing to say: what a server says unasked is that it goes.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.side.is_quiet()
    }

    /// Takes it to the thread that is to use it.
    ///
    /// # Errors
    /// The system says no.
    pub(crate) fn settle_here(&mut self) -> std::io::Result<()> {
        let here = std::thread::current().id();
        if self.home != here {
            self.side.settle_here()?;
            self.home = here;
        }
        Ok(())
    }

    /// Makes its session as new.
    ///
    /// # Errors
    /// The server did not do so.
    pub(crate) async fn reset(&mut self) -> Result<(), Denied> {
        self.tell("discard all").await?;
        self.statements = Statements::default();
        self.kept = Arc::default();
        self.standing = None;
        Ok(())
    }

    /// Gives its session these settings, and no others than it began with.
    ///
    /// # Errors
    /// The server does not take them.
    pub(crate) async fn take_on(&mut self, kept: &Arc<Kept>) -> Result<(), Denied> {
        if Arc::ptr_eq(&self.kept, kept) || self.kept == *kept {
            return Ok(());
        }
        let mut sql = if self.kept.is_empty() { String::new() } else { "reset all;".to_owned() };
        for (name, value) in &**kept {
            let (name, value) = (quoted(name), quoted(value));
            sql.push_str(&format!("select pg_catalog.set_config({name}, {value}, false);"));
        }
        self.tell(&sql).await?;
        self.kept = Arc::clone(kept);
        Ok(())
    }

    async fn tell(&mut self, sql: &str) -> Result<(), Denied> {
        let (stream, inbox) = self.side.parts();
        let mut talk = Talk { stream, inbox };
        let told = async {
            talk.say(b'Q', &[sql.as_bytes(), b"\0"]).await?;
            talk.stream.flush().await?;
            let mut error = None;
            loop {
                match talk.hear().await? {
                    (b'E', body) => error = Some(refused(&body)),
                    (b'Z', body) => return Ok::<_, std::io::Error>((error, *body == *b"I")),
                    _ => {}
                }
            }
        };
        match tokio::time::timeout(TELL_MAX, told).await {
            Ok(Ok((None, true))) => Ok(()),
            Ok(Ok((Some(error), _))) => Err(error),
            Ok(Ok((None, false)) | Err(_)) | Err(_) => Err(gone()),
        }
    }

    /// Says goodbye, if the network takes it at once, and closes.
    pub(crate) fn leave(self: Box<Self>) {
        drop(self.close());
    }

    /// As [`Backend::leave`], but another may be opened in its place.
    pub(super) fn close(self: Box<Self>) -> Slot {
        let Self { mut side, slot, .. } = *self;
        side.say_at_once(b"X\0\0\0\x04");
        slot
    }
}

/// What a client hears that is let in: settings, its key, and that all is ready.
pub(crate) fn greeting(reported: &Reported, key: &[u8]) -> BytesMut {
    let mut out = BytesMut::with_capacity(512);
    // The server of an older minor version says so before all else.
    for (tag, body) in reported.iter().filter(|(tag, _)| *tag == b'v') {
        message(*tag, body, &mut out);
    }
    message(b'R', &[0; 4], &mut out);
    for (tag, body) in reported.iter().filter(|(tag, _)| *tag != b'v') {
        message(*tag, body, &mut out);
    }
    message(b'K', key, &mut out);
    message(b'Z', b"I", &mut out);
    out
}

fn message(tag: u8, body: &[u8], out: &mut BytesMut) {
    out.put_u8(tag);
    out.put_u32(u32::try_from(body.len() + 4).unwrap_or(u32::MAX));
    out.put_slice(body);
}

fn quoted(text: &str) -> String {
    // An `E` string reads the same whatever the session's settings are.
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn refused(error: &[u8]) -> Denied {
    let field = |wanted: &[u8]| {
        let found = error.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(wanted));
        found.map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
    };
    Denied::Told {
        sqlstate: "08004",
        message: format!("the server behind the gate refused a session: {} ({})", field(b"M"), field(b"C")),
        hint: "correct the start-up options, or look into the server's log",
    }
}

fn gone() -> Denied {
    Denied::Told {
        sqlstate: "08006",
        message: "the server behind the gate broke off a session of the pool".to_owned(),
        hint: "connect again",
    }
}

/// How long the server may take to change settings.
const TELL_MAX: Duration = Duration::from_secs(5);
