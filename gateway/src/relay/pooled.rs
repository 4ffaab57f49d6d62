//! A session whose server connection comes from a pool: takes one when the client says something, gives it back when
//! nothing is left of the client in it, and keeps statements and settings the client's own meanwhile. It judges
//! nothing; what a statement leaves behind is said by the pool's own room.

use super::{Broken, Relay, Wire, stop::stirred};
use crate::{
    catalog::{Sight, Stamp},
    gate::{Known, Ticket},
    login::Denied,
    pool::{Backend, Held, Keeps, Kept, NotServed, Place, Pool, Wanted, keeps},
    relay::ask::Kind,
    settings::{Lease, PoolState},
    socket::Side,
};
use bytes::Buf as _;
use clyra_spec::{KillLevel, Verb};
use clyra_wire::{Answered, Completion, End, Prelude, Refer, Refusal, command_complete, error_response};
use std::sync::Arc;

/// What a client has of a pool.
#[derive(Debug)]
pub(crate) struct Pooled {
    pool: Arc<Pool>,
    wanted: Wanted,
    place: Place,
    /// The connection that it has now; its socket is the relay's.
    backend: Option<Box<Backend>>,
    /// Why it keeps the connection until it leaves.
    pin: Option<&'static str>,
    /// Settings of the session may have changed since they were last asked for.
    changed: bool,
    /// Settings that it has made since its login.
    kept: Arc<Kept>,
    held: Held,
    /// Errors and reports of the server that were taken into account.
    failures: u64,
    pub(super) reports: u64,
}

impl Pooled {
    pub(crate) fn new(pool: Arc<Pool>, wanted: Wanted, place: Place, backend: Option<Box<Backend>>) -> Self {
        let (pin, changed, kept, held) = (None, false, Arc::default(), Held::default());
        Self { pool, wanted, place, backend, pin, changed, kept, held, failures: 0, reports: 0 }
    }

    /// The socket of a connection that it has from the start.
    pub(super) fn first_side(&mut self) -> Side {
        let Some(backend) = &mut self.backend else { return Side::nobody() };
        self.place.attach(&backend.key);
        std::mem::replace(&mut backend.side, Side::nobody())
    }

    /// Process and key of the connection that it has now.
    pub(super) fn cancel_key(&self) -> Box<[u8]> {
        self.backend.as_ref().map_or_else(Box::default, |backend| (*backend.key).into())
    }

    pub(super) fn shares(&self) -> bool {
        self.pool.settings.lease == Lease::Transaction
    }

    fn pin(&mut self, why: &'static str) {
        if self.pin.replace(why).is_none() {
            self.pool.pinned(1.0);
        }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if self.pin.is_some() {
            self.pool.pinned(-1.0);
        }
    }
}

impl Relay {
    /// Takes a connection before anything of the client is dealt with; false while nothing is there to be dealt with.
    pub(super) async fn has_server(&mut self) -> Result<bool, Broken> {
        let Some(pooled) = &mut self.pooled else { return Ok(true) };
        if pooled.backend.is_some() || self.client.inbox.first() == Some(&b'X') {
            return Ok(true);
        }
        if self.client.inbox.len() < HEAD_BYTES {
            return Ok(false);
        }
        self.borrow().await?;
        Ok(true)
    }

    /// Where the policy fences the client's session, the client keeps the session that is fenced.
    pub(super) async fn keep_for_pins(&mut self) -> Result<(), Broken> {
        let fenced = self.visitor.as_ref().is_some_and(|visitor| !self.house.gate.pins(visitor).is_empty());
        let Some(pooled) = self.pooled.as_deref_mut().filter(|pooled| fenced && pooled.shares()) else {
            return Ok(());
        };
        pooled.pin("the tenant of its session is set for row-level security");
        self.borrow().await
    }

    async fn borrow(&mut self) -> Result<(), Broken> {
        let Some(pooled) = &mut self.pooled else { return Ok(()) };
        let mut shutdown = self.house.shutdown.clone();
        let gate = &self.house.gate;
        let lent = {
            let lent = pooled.pool.lend(&pooled.wanted);
            tokio::pin!(lent);
            let mut heard = self.heard;
            loop {
                tokio::select! {
                    lent = &mut lent => break lent,
                    _ = shutdown.wait_for(|down| *down) => return Err(Broken::Shutdown),
                    () = stirred(gate, heard, None) => {
                        heard = gate.kill.turn();
                        let level = self.visitor.as_mut().map(|visitor| gate.hears_kill(visitor));
                        if level == Some(KillLevel::Disconnect) {
                            return Err(Broken::Killed);
                        }
                    }
                }
            }
        };
        let mut backend = lent.map_err(Broken::NotServed)?;
        let denied = |denied| Broken::NotServed(NotServed::Denied(denied));
        backend.settle_here().map_err(|_| Broken::Io)?;
        backend.take_on(&pooled.kept).await.map_err(denied)?;
        pooled.place.attach(&backend.key);
        backend.statements.unnamed = 0;
        self.server = std::mem::replace(&mut backend.side, Side::nobody());
        if let Some(sight) = self.visitor.as_mut().and_then(|visitor| visitor.sight.as_deref_mut()) {
            match backend.standing.as_ref().filter(|(kept, _)| *kept == backend.kept) {
                Some((_, standing)) => sight.told(Arc::clone(standing), Stamp::default(), true),
                None => sight.moved(),
            }
        }
        pooled.backend = Some(backend);
        Ok(())
    }

    /// Gives the connection back where nothing of the client is left in it; true when the client has left.
    pub(super) async fn rests(&mut self) -> Result<bool, Broken> {
        if self.client.ended && self.client.inbox.is_empty() && !self.wire.owes() {
            self.client.flush().await;
            return Ok(true);
        }
        let quiet = self.is_quiet();
        let Some(pooled) = &mut self.pooled else { return Ok(false) };
        if !quiet || pooled.backend.is_none() || pooled.pin.is_some() || !pooled.shares() {
            return Ok(false);
        }
        if pooled.changed || pooled.reports != self.wire.reports() {
            self.ask_settings().await?;
        }
        self.give_back(false).await;
        Ok(false)
    }

    /// The client has left: the connection is made as new for others, or closed.
    pub(super) async fn part(&mut self) {
        self.client = Side::nobody();
        if self.is_quiet() {
            self.give_back(true).await;
        }
    }

    /// Nothing is on its way in the session of the server.
    fn is_quiet(&self) -> bool {
        let server = &self.server;
        self.wire.is_quiet() && server.inbox.is_empty() && server.outbox.is_empty() && !server.ended
    }

    async fn give_back(&mut self, parts: bool) {
        let Some(pooled) = &mut self.pooled else { return };
        if parts && pooled.backend.is_some() && pooled.pin.is_none() && pooled.shares() && pooled.changed {
            pooled.pin("its settings were not asked for");
        }
        let keeps = pooled.pin.is_some() || !pooled.shares();
        if keeps && !parts {
            return;
        }
        let Some(mut backend) = pooled.backend.take() else { return };
        backend.side = std::mem::replace(&mut self.server, Side::nobody());
        let sight = self.visitor.as_ref().and_then(|visitor| visitor.sight.as_deref());
        if let Some(standing) = sight.and_then(Sight::standing) {
            backend.standing = Some((Arc::clone(&backend.kept), Arc::clone(standing)));
        }
        backend.statements.answered(pooled.failures == self.wire.failures());
        pooled.failures = self.wire.failures();
        // A request to cancel may still be on its way to it.
        if pooled.place.detach() || std::mem::take(&mut self.tainted) {
            return backend.leave();
        }
        if keeps && backend.reset().await.is_err() {
            return;
        }
        pooled.pool.give_back(backend);
    }

    /// Asks which settings the client has made, to give them to the next connection that it has.
    async fn ask_settings(&mut self) -> Result<(), Broken> {
        let answer = self.ask_server(SETTINGS).await?;
        let reports = self.wire.reports();
        let Some(pooled) = &mut self.pooled else { return Ok(()) };
        let text = |value: &Option<Vec<u8>>| String::from_utf8(value.clone().unwrap_or_default()).ok();
        let pairs = answer.rows.iter().map(|row| Some((text(row.first()?)?, text(row.get(1)?)?)));
        match pairs.collect::<Option<Kept>>() {
            Some(kept) if answer.completed() && !answer.truncated => {
                if *pooled.kept != kept {
                    pooled.kept = Arc::new(kept);
                }
                if let Some(backend) = &mut pooled.backend {
                    backend.kept = Arc::clone(&pooled.kept);
                }
                (pooled.changed, pooled.reports) = (false, reports);
            }
            _ => pooled.pin("its settings cannot be read"),
        }
        Ok(())
    }

    /// A message names a statement: it goes on with the server's name, prepared anew where it is missing there.
    pub(super) fn refer(&mut self, refer: &Refer<Arc<Known>>) {
        let segment = self.wire.segments();
        let Some(pooled) = &mut self.pooled else { return };
        let Some(backend) = &mut pooled.backend else { return };
        confirm(&self.wire, &mut pooled.failures, backend);
        let text = refer.prepared.as_ref().and_then(|known| known.prepared.get());
        let mut closes = Vec::new();
        let mut parse = None;
        let name: &[u8] = match text {
            None if !refer.named => b"",
            // The server itself shall say that there is no such statement.
            None => NOBODYS,
            Some(_) if refer.closes && refer.named => NOBODYS,
            Some(_) if refer.closes => {
                backend.statements.unnamed = 0;
                b""
            }
            Some(text) if refer.named => {
                if let Some(missing) = backend.statements.lacks(text, segment) {
                    closes = missing;
                    parse = Some((&*text.name, &*text.rest));
                }
                &text.name
            }
            Some(text) => {
                if backend.statements.unnamed != text.turn {
                    backend.statements.unnamed = text.turn;
                    parse = Some((&b""[..], &*text.rest));
                }
                b""
            }
        };
        let prelude = Prelude { closes: &closes, parse };
        if let Some((told, used)) = self.wire.refer(name, prelude, &self.client.inbox) {
            self.server.outbox.extend_from_slice(&told);
            self.client.inbox.advance(used);
        }
    }

    /// Lets a statement be prepared, under the server's name in a pool of transactions; what is refused where that
    /// cannot be done. `text` goes in the place of the client's own.
    pub(super) fn prepare(&mut self, known: Arc<Known>, text: Option<&str>) -> Option<Vec<u8>> {
        let segment = self.wire.segments();
        let pooled = self.pooled.as_deref_mut().filter(|pooled| pooled.shares());
        let Some((pooled, backend)) = pooled.and_then(|pooled| {
            Some((&mut pooled.failures, pooled.backend.as_mut()?)).map(|both| (both.0, both.1))
        }) else {
            self.send_parse(known, text);
            return None;
        };
        confirm(&self.wire, pooled, backend);
        let Some((name, rest)) = Wire::to_prepare(&self.client.inbox) else {
            // Too long to be read; the unnamed statement lives as long as its transaction then.
            self.send_parse(known, text);
            return None;
        };
        let instead = text.map(|text| reworded(text, rest));
        let Some(held) =
            self.pooled.as_ref().and_then(|pooled| pooled.held.take(instead.as_deref().unwrap_or(rest)))
        else {
            return Some(too_much());
        };
        let before = if name.is_empty() { None } else { self.wire.to_bind(name) };
        let backend = self.pooled.as_mut().and_then(|pooled| pooled.backend.as_mut())?;
        if name.is_empty() {
            backend.statements.unnamed = held.turn;
            let _ = known.prepared.set(held);
            self.send_parse(known, text);
            return None;
        }
        let taken = before.as_ref().and_then(|before| before.prepared.get());
        let inbox = &self.client.inbox;
        let (told, used) = if let Some(taken) = taken {
            // The server itself shall say that the name is taken.
            let missing = backend.statements.lacks(taken, segment);
            let parse = missing.is_some().then_some((&*taken.name, &*taken.rest));
            let closes = missing.unwrap_or_default();
            let prelude = Prelude { closes: &closes, parse };
            self.wire.allow_parse_named(known, &taken.name, instead.as_deref(), prelude, inbox)?
        } else {
            let closes = backend.statements.prepares(&held, segment);
            let prelude = Prelude { closes: &closes, parse: None };
            let name = held.name.clone();
            let _ = known.prepared.set(held);
            self.wire.allow_parse_named(known, &name, instead.as_deref(), prelude, inbox)?
        };
        self.server.outbox.extend_from_slice(&told);
        self.client.inbox.advance(used);
        None
    }

    fn send_parse(&mut self, known: Arc<Known>, text: Option<&str>) {
        match text {
            None => self.wire.allow_parse(known),
            Some(text) => {
                let sent = self.wire.allow_parse_as(known, text.as_bytes(), &self.client.inbox);
                self.server.outbox.extend_from_slice(&sent);
            }
        }
    }

    /// Notes what a message that is about to run leaves in the server's session; what is refused for it.
    pub(super) fn leaves_behind(&mut self, kind: Kind, known: &Known) -> Option<Vec<u8>> {
        let pooled = self.pooled.as_deref_mut().filter(|pooled| pooled.shares())?;
        let text = text_of(&self.client.inbox);
        let left = *known.keeps.get_or_init(|| keeps(&known.facts, text));
        match (kind, left) {
            (Kind::Parse | Kind::Bind, _) | (_, Keeps::Nothing) => None,
            (_, Keeps::Settings) => {
                pooled.changed = true;
                let discards = known.facts.statements.iter().any(|one| one.verb == Verb::Discard);
                if let Some(backend) = pooled.backend.as_mut().filter(|_| discards) {
                    backend.statements = crate::pool::Statements::default();
                }
                None
            }
            (_, Keeps::Session(why)) if pooled.pool.settings.state == PoolState::Refuse => {
                Some(error_response(&Refusal {
                    sqlstate: "0A000",
                    message: "clyra: the statement leaves something in a session that is shared",
                    detail: why,
                    hint: "connect to a gateway that pools sessions, or whose `--pool-state` is `pin`",
                    position: None,
                }))
            }
            (_, Keeps::Session(why)) => {
                pooled.pin(why);
                None
            }
        }
    }

    /// Forgets a statement that only the gateway knows under the client's name; true where that was all.
    pub(super) fn forgets(&mut self, ticket: &Ticket) -> bool {
        let Some(pooled) = self.pooled.as_deref_mut().filter(|pooled| pooled.shares()) else { return false };
        let [statement] = &*ticket.known.facts.statements else { return false };
        let Some(name) = &statement.deallocates else { return false };
        if !statement.settings.is_empty() {
            return false;
        }
        let tag = match name {
            Some(name) => {
                let known = self.wire.statement(name.as_bytes());
                if known.is_none_or(|known| known.prepared.get().is_none()) {
                    return false;
                }
                "DEALLOCATE"
            }
            None => {
                if let Some(backend) = pooled.backend.as_mut().filter(|_| pooled.pin.is_some()) {
                    backend.statements = crate::pool::Statements::default();
                    return false;
                }
                "DEALLOCATE ALL"
            }
        };
        match self.wire.answer(command_complete(tag)) {
            Answered::Now(said) => self.client.outbox.extend_from_slice(&said),
            Answered::Tell(told) => self.server.outbox.extend_from_slice(&told),
            Answered::Later => {}
        }
        self.wire.deallocate(name.as_deref().map(str::as_bytes));
        let done = Completion { rows: None, returned: 0, bytes: 0, undone: false };
        let end = End { completions: vec![done], ..End::default() };
        if let Some(visitor) = &self.visitor {
            self.house.gate.settle(visitor, ticket, Some(&end));
        }
        true
    }
}

/// Takes into account that the server failed at something: what was prepared then may not be there.
fn confirm(wire: &Wire, failures: &mut u64, backend: &mut Backend) {
    if *failures != wire.failures() {
        *failures = wire.failures();
        backend.statements.answered(false);
    }
}

/// The text of the query or statement at the front of `bytes`.
fn text_of(bytes: &[u8]) -> Option<&[u8]> {
    let body = match bytes.first()? {
        b'Q' => bytes.get(HEAD_BYTES..)?,
        b'P' => Wire::to_prepare(bytes)?.1,
        _ => return None,
    };
    body.get(..body.iter().position(|byte| *byte == 0)?)
}

/// What stands behind the name in a `Parse`, with another text and the client's types.
fn reworded(text: &str, rest: &[u8]) -> Vec<u8> {
    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    [text.as_bytes(), rest.get(end..).unwrap_or_default()].concat()
}

fn too_much() -> Vec<u8> {
    error_response(&Refusal {
        sqlstate: "53400",
        message: "clyra: the prepared statements of one client are too long for a pool of transactions",
        detail: "16 MiB of text is kept for each client",
        hint: "close statements that are no longer used",
        position: None,
    })
}

/// What a client reads that is not served.
pub(crate) fn not_served(why: &NotServed) -> (&str, String, &str) {
    match why {
        NotServed::TooLate { wait, size } => (
            "53300",
            format!(
                "clyra: none of the {size} connections to the server became free within {} s",
                wait.as_secs_f32()
            ),
            "end transactions sooner, or raise `--pool-size` or `--pool-wait-max`",
        ),
        NotServed::QueueFull(max) => (
            "53300",
            format!("clyra: {max} clients already wait for a connection to the server"),
            "raise `--pool-size`, or connect with fewer clients",
        ),
        NotServed::Denied(Denied::Told { sqlstate, message, hint }) => {
            (sqlstate, format!("clyra: {message}"), hint)
        }
        NotServed::Denied(Denied::Left | Denied::Stale) => {
            ("08006", "clyra: the connection was lost".to_owned(), "")
        }
    }
}

/// Bytes of tag and length.
const HEAD_BYTES: usize = 5;
/// Nobody prepares under this name.
const NOBODYS: &[u8] = b"clyra_none";
const SETTINGS: &str = "select name, setting from pg_catalog.pg_settings \
    where source = 'session' and name not like 'transaction\\_%' order by name";
