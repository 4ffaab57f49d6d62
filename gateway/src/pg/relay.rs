//! Carries bytes between one client and one server as the wire session says, and asks the gate what it must.
//!
//! One task, both directions: a turn reads what is there, deals with it, and writes once to each side.

use super::{
    House, Seat,
    login::Opened,
    question::{Kind, PreparedNames, Question, question},
    side::Side,
    stream::Stream,
};
use crate::gate::{Arrival, Known, Passage, Shown, Ticket, Visitor};
use bytes::Buf;
use clyra_policy::{Facts, Login, Proof};
use clyra_spec::Auth;
use clyra_wire::{End, Heard, Refusal, Refused, Session, Step, WireError, fatal_response};
use std::{
    future::poll_fn,
    io,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// Runs a session to its end.
pub(super) async fn run(house: House, client: Stream, opened: Opened) {
    let mut relay = Relay::new(house, client, opened);
    if let Err(broken) = relay.turns().await {
        relay.say_goodbye(&broken).await;
    }
}

pub(super) type Wire = Session<Arc<Known>, Box<Ticket>>;

struct Relay {
    house: House,
    wire: Wire,
    client: Side,
    server: Side,
    login: Pending,
    visitor: Option<Visitor>,
    /// When the bytes of this turn were read.
    began: Instant,
    /// Bytes of the client that the wire waits for.
    needed: usize,
    /// Bytes of statements that the server has not answered; their facts are held until then.
    open_bytes: u64,
    /// Its place among the clients, while it lasts.
    _seat: Seat,
}

/// What is known of a caller before the server lets it in.
struct Pending {
    user: String,
    database: String,
    application: String,
    run: Option<crate::draft::RunClaims>,
    /// What it has shown to the gateway itself.
    auth: Option<Auth>,
    /// What it has proved beside its name.
    proof: Arc<Proof>,
}

/// Why a session breaks off.
enum Broken {
    Wire(WireError),
    Io,
    Shutdown,
    LoginTimeout,
}

impl Relay {
    fn new(house: House, client: Stream, opened: Opened) -> Self {
        house.gate.metrics.sessions.increment(1.0);
        let token = format!("{:016x}", fastrand::u64(..));
        let mut client = Side::new(client);
        client.inbox = opened.early;
        let mut server = Side::new(opened.server);
        server.inbox = opened.heard;
        Self {
            house,
            wire: Session::new(token),
            client,
            server,
            login: Pending {
                user: opened.user,
                database: opened.database,
                application: opened.application,
                run: opened.run,
                auth: opened.auth,
                proof: opened.proof,
            },
            visitor: None,
            began: Instant::now(),
            needed: 1,
            open_bytes: 0,
            _seat: opened.seat,
        }
    }

    async fn turns(&mut self) -> Result<(), Broken> {
        let deadline = tokio::time::sleep(self.house.limits.login_max);
        tokio::pin!(deadline);
        let mut shutdown = self.house.shutdown.clone();
        let down = async move { drop(shutdown.wait_for(|down| *down).await) };
        tokio::pin!(down);
        let mut going = false;
        loop {
            self.hear_server()?;
            if self.visitor.is_none() && self.wire.is_open() {
                self.let_in();
            }
            if self.hear_client().await? {
                self.server.flush().await;
                return Ok(());
            }
            if self.server.ended && self.server.inbox.is_empty() && self.client.outbox.is_empty() {
                return Ok(());
            }
            if going && self.wire.is_idle() {
                return Err(Broken::Shutdown);
            }
            let logging_in = self.visitor.is_none();
            tokio::select! {
                biased;
                turned = poll_fn(|cx| self.poll_turn(cx)) => turned.map_err(|_| Broken::Io)?,
                () = &mut deadline, if logging_in => return Err(Broken::LoginTimeout),
                () = &mut down, if !going => going = true,
            }
            self.began = Instant::now();
        }
    }

    /// Deals with the client's bytes; true when it takes its leave.
    async fn hear_client(&mut self) -> Result<bool, Broken> {
        loop {
            let step = self.wire.client(&self.client.inbox).map_err(Broken::Wire)?;
            match step {
                Step::More(bytes) => {
                    self.needed = bytes;
                    if self.client.ended {
                        // What is not whole now never will be.
                        self.client.inbox.clear();
                    }
                    return Ok(false);
                }
                Step::Hold => {
                    self.needed = 1;
                    return Ok(false);
                }
                Step::Forward(bytes) => self.client.hand(bytes, &mut self.server),
                Step::Drop(bytes) => self.client.inbox.advance(bytes),
                Step::Answer(bytes, answer) => {
                    self.client.inbox.advance(bytes);
                    self.client.outbox.extend_from_slice(&answer);
                }
                Step::Leave(bytes) => {
                    self.client.hand(bytes, &mut self.server);
                    return Ok(true);
                }
                // Asked again when the server has answered some of what is open.
                Step::Ask(_) if self.open_bytes > OPEN_BYTES_MAX => {
                    self.needed = 1;
                    return Ok(false);
                }
                Step::Ask(ask) => {
                    let Some(visitor) = self.visitor.as_mut() else {
                        return Err(Broken::Wire(WireError::Unexpected { tag: 0, place: "before login" }));
                    };
                    let question = question(&self.house.gate, visitor, &self.wire, ask);
                    self.put_before_gate(question).await;
                }
            }
            // What is written out soon does not pile up, however much the client pipelines.
            if self.server.outbox.len() > OUTBOX_BYTES_MAX || self.client.outbox.len() > OUTBOX_BYTES_MAX {
                self.needed = 1;
                return Ok(false);
            }
        }
    }

    async fn put_before_gate(&mut self, question: Question) {
        let Some(visitor) = self.visitor.as_mut() else { return };
        let arrival = Arrival { began: self.began, bytes: question.bytes };
        let passage = {
            let wire = PreparedNames(&self.wire);
            let prepared = |name: &str| wire.facts(name);
            match question.kind {
                // A statement is judged when it is prepared, too: what may not run is not even prepared.
                Kind::Parse if self.house.gate.lets(visitor, &question.known, &prepared) => None,
                _ => {
                    Some(self.house.gate.pass(visitor, Arc::clone(&question.known), arrival, &prepared).await)
                }
            }
        };
        match (passage, question.kind) {
            (None, _) | (Some(Passage::Go(_)), Kind::Parse) => self.wire.allow_parse(question.known),
            (Some(Passage::Go(ticket)), Kind::Query) => {
                self.open_bytes += ticket.bytes_in;
                self.wire.allow_query(ticket);
            }
            (Some(Passage::Go(ticket)), Kind::Execute) => self.wire.allow_execute(ticket),
            (Some(Passage::Go(ticket)), Kind::Function) => self.wire.allow_function(ticket),
            (Some(Passage::Shut(error)), _) => match self.wire.refuse(error) {
                Refused::Answer(answer) => self.client.outbox.extend_from_slice(&answer),
                Refused::Poison(poison) => self.server.outbox.extend_from_slice(&poison),
                Refused::Silent => {}
            },
        }
        self.settle();
    }

    fn hear_server(&mut self) -> Result<(), Broken> {
        loop {
            match self.wire.server(&self.server.inbox).map_err(Broken::Wire)? {
                Heard::More if self.server.ended => break self.server.inbox.clear(),
                Heard::More => break,
                Heard::Forward(bytes) => self.server.hand(bytes, &mut self.client),
                Heard::Drop(bytes) => self.server.inbox.advance(bytes),
                Heard::Replace(bytes, answer) => {
                    self.server.inbox.advance(bytes);
                    self.client.outbox.extend_from_slice(&answer);
                }
            }
        }
        self.settle();
        Ok(())
    }

    /// Writes the receipts of what ended, and follows what SQL text prepared or forgot.
    fn settle(&mut self) {
        while let Some((ticket, end)) = self.wire.ended() {
            self.open_bytes = self.open_bytes.saturating_sub(ticket.bytes_in);
            self.follow_names(&ticket, &end);
            if let Some(visitor) = &self.visitor {
                self.house.gate.settle(visitor, &ticket, Some(&end));
            }
        }
    }

    fn follow_names(&mut self, ticket: &Ticket, end: &End) {
        let statements = &ticket.known.facts.statements;
        for (statement, _) in statements.iter().zip(&end.completions) {
            if let Some(name) = &statement.prepares
                && let Some(visitor) = &self.visitor
            {
                let facts = Arc::new(Facts { statements: Box::new([statement.clone()]), problem: None });
                self.wire.install(name.as_bytes(), self.house.gate.know(visitor, facts));
            }
            if let Some(name) = &statement.deallocates {
                self.wire.deallocate(name.as_deref().map(str::as_bytes));
            }
        }
    }

    /// The server let the client in: from now on it is a visitor.
    fn let_in(&mut self) {
        let auth = self.login.auth.unwrap_or(match self.wire.auth_code() {
            0 => Auth::None,
            10 => Auth::Scram,
            _ => Auth::Password,
        });
        let login = Login {
            user: &self.login.user,
            database: &self.login.database,
            application: &self.login.application,
            tenant: None,
        };
        let run = self.login.run.take().map(Arc::new);
        let shown = Shown { auth, proof: Arc::clone(&self.login.proof) };
        self.visitor = Some(self.house.gate.visitor(&login, shown, run));
    }

    /// Waits until anything can be read or written, and does it.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut turned = self.server.poll_send(cx)?.is_ready();
        turned |= self.client.poll_send(cx)?.is_ready();
        if self.client.outbox.len() <= OUTBOX_BYTES_MAX {
            turned |= self.server.poll_fill(cx, 1)?.is_ready();
        }
        if self.server.outbox.len() <= OUTBOX_BYTES_MAX
            && (self.client.inbox.len() < self.needed || self.client.inbox.len() < INBOX_BYTES_MAX)
        {
            turned |= self.client.poll_fill(cx, self.needed)?.is_ready();
        }
        if self.client.ended && self.client.inbox.is_empty() {
            turned |= self.server.poll_close(cx)?.is_ready();
        }
        if turned {
            return Poll::Ready(Ok(()));
        }
        self.client.slim();
        self.server.slim();
        Poll::Pending
    }

    async fn say_goodbye(&mut self, broken: &Broken) {
        let (sqlstate, message) = match broken {
            Broken::Io => return,
            Broken::Wire(err) => ("08P01", format!("clyra: {err}")),
            Broken::Shutdown => ("57P01", "clyra: the gateway is shutting down".to_owned()),
            Broken::LoginTimeout => {
                let seconds = self.house.limits.login_max.as_secs_f32();
                ("57014", format!("clyra: login took longer than {seconds} s"))
            }
        };
        if matches!(broken, Broken::Wire(_)) {
            self.house.gate.metrics.protocol_errors.increment(1);
        }
        let refusal = Refusal { sqlstate, message: &message, detail: "", hint: "", position: None };
        self.client.outbox.extend_from_slice(&fatal_response(&refusal));
        let _ = tokio::time::timeout(GOODBYE_MAX, self.client.flush()).await;
    }
}

impl Drop for Relay {
    /// However a session ends, what it left open is settled as unknown.
    fn drop(&mut self) {
        if let Some(visitor) = &self.visitor {
            for (ticket, end) in self.wire.abandon() {
                self.house.gate.settle(visitor, &ticket, end.as_ref());
            }
            self.house.gate.leave(visitor);
        }
        self.house.gate.metrics.sessions.decrement(1.0);
    }
}

/// So many bytes of statements may be open before the client is heard further: a pipeline of large ones stays small.
const OPEN_BYTES_MAX: u64 = 1 << 20;
/// So many bytes may wait for a slow peer before the other side is read no further.
const OUTBOX_BYTES_MAX: usize = 256 << 10;
/// So many bytes of a client may wait that cannot be dealt with yet.
const INBOX_BYTES_MAX: usize = 64 << 10;
const GOODBYE_MAX: Duration = Duration::from_secs(1);
