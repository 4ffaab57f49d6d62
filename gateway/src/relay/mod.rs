//! Carries bytes between one client and one server as the wire session says, and asks the gate what it must.
//!
//! One task, both directions: a turn reads what is there, deals with it, and writes once to each side.

mod ask;
mod bound;
mod claim;
mod names;
mod pooled;
mod stop;
mod turn;

use crate::claims::SessionClaims;
use crate::gate::{Known, Shown, Ticket, Visitor};
use crate::kill::Hearing;
use crate::pg::{House, Opened, Seat};
use crate::pool::NotServed;
use crate::socket::{Side, Stream};
use clyra_policy::{Login, Proof};
use clyra_spec::Auth;
use clyra_wire::{Refusal, Session, WireError, fatal_response};
use std::{
    future::poll_fn,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};
use stop::stirred;

pub(crate) use pooled::{Pooled, not_served};

/// Runs a session to its end.
pub(crate) async fn run(house: House, client: Stream, opened: Opened) {
    let mut relay = Relay::new(house, client, opened);
    let bell = Arc::clone(&relay.house.gate.kill.bell);
    relay.hearing = Some(poll_fn(|cx| Poll::Ready(bell.enter(cx.waker()))).await);
    if let Err(broken) = relay.turns().await {
        relay.say_goodbye(&broken).await;
    }
    if relay.pooled.is_some() {
        relay.part().await;
    }
}

pub(super) type Wire = Session<Arc<Known>, Box<Ticket>>;

struct Relay {
    house: House,
    wire: Wire,
    client: Side,
    server: Side,
    /// Where its server connection comes from a pool.
    pooled: Option<Box<Pooled>>,
    login: Pending,
    visitor: Option<Visitor>,
    /// When the bytes of this turn were read.
    began: Instant,
    /// Bytes of the client that the wire waits for.
    needed: usize,
    /// Bytes of statements that the server has not answered; their facts are held until then.
    open_bytes: u64,
    cursors: names::Cursors,
    /// An answer was cut off, of which the server may have more.
    cancelling: bool,
    /// Number of the last turn of the kill switch that it has looked at, and whether more than that look is due.
    heard: u64,
    attends: bool,
    /// When it looks at the switch again, though that is not turned.
    insist: Option<Instant>,
    /// What runs is being stopped.
    stopping: Option<stop::Stopping>,
    /// Since when the client is to go, and only waits for an answer.
    leaving: Option<Instant>,
    /// A request to stop something may still reach its server session.
    tainted: bool,
    /// It hears the bell of the switch.
    hearing: Option<Hearing>,
    /// What is kept of the answer to a change under a key.
    tap: Option<crate::once::Tap>,
    /// Its place among the clients, while it lasts.
    _seat: Seat,
}

/// What is known of a caller before the server lets it in.
struct Pending {
    user: String,
    database: String,
    application: String,
    claims: SessionClaims,
    /// What it has shown to the gateway itself.
    auth: Option<Auth>,
    /// What it has proved beside its name.
    proof: Arc<Proof>,
    /// It is a replication connection.
    replication: bool,
}

/// Why a session breaks off.
enum Broken {
    Wire(WireError),
    Io,
    Shutdown,
    LoginTimeout,
    /// The server owes the gateway an answer for too long.
    Unanswered,
    /// Row-level security would not hold the session.
    Unfenced(String),
    /// The kill switch ends it.
    Killed,
    /// The pool has no connection for it.
    NotServed(NotServed),
}

impl Relay {
    fn new(house: House, client: Stream, opened: Opened) -> Self {
        house.gate.metrics.sessions.increment(1.0);
        let token = format!("{:016x}", fastrand::u64(..));
        let mut client = Side::new(client);
        client.inbox = opened.early;
        let mut pooled = opened.pooled;
        let mut wire = Session::new(token);
        let mut server = match &mut pooled {
            Some(pooled) => {
                if pooled.shares() {
                    wire.rename();
                }
                pooled.first_side()
            }
            None => Side::new(opened.server),
        };
        server.inbox = opened.heard;
        Self {
            house,
            wire,
            client,
            server,
            pooled,
            login: Pending {
                user: opened.user,
                database: opened.database,
                application: opened.application,
                claims: opened.claims,
                auth: opened.auth,
                proof: opened.proof,
                replication: opened.replication,
            },
            visitor: None,
            began: Instant::now(),
            needed: 1,
            open_bytes: 0,
            cursors: names::Cursors::default(),
            cancelling: false,
            heard: 0,
            attends: true,
            insist: None,
            stopping: None,
            leaving: None,
            tainted: false,
            hearing: None,
            tap: None,
            _seat: opened.seat,
        }
    }

    async fn turns(&mut self) -> Result<(), Broken> {
        let deadline = tokio::time::sleep(self.house.limits.login_max);
        tokio::pin!(deadline);
        let mut shutdown = self.house.shutdown.clone();
        let down = async move { drop(shutdown.wait_for(|down| *down).await) };
        tokio::pin!(down);
        let (mut going, mut leaving) = (false, false);
        let gate = Arc::clone(&self.house.gate);
        loop {
            self.hear_server()?;
            if self.cancelling {
                self.cancel_rest().await;
            }
            if self.visitor.is_none() && self.wire.is_open() {
                self.let_in();
                self.keep_for_pins().await?;
                self.pin().await?;
                if self.login.replication {
                    return self.carry_unread().await;
                }
            }
            if self.is_stirred() {
                self.attend().await?;
            }
            if !leaving && self.hear_client().await? {
                leaving = true;
            }
            // Who sends on and leaves at once still reads its answers.
            if leaving && !self.wire.owes() {
                self.client.flush().await;
                self.server.flush().await;
                return Ok(());
            }
            if self.pooled.is_some() && self.rests().await? {
                return Ok(());
            }
            if self.server.ended && self.server.inbox.is_empty() && self.client.outbox.is_empty() {
                return Ok(());
            }
            if going && self.wire.is_idle() {
                return Err(Broken::Shutdown);
            }
            let logging_in = self.visitor.is_none();
            let (heard, insist) = (self.heard, self.insist);
            tokio::select! {
                biased;
                turned = poll_fn(|cx| self.poll_turn(cx)) => turned.map_err(|_| Broken::Io)?,
                () = &mut deadline, if logging_in => return Err(Broken::LoginTimeout),
                () = stirred(&gate, heard, insist) => {}
                () = &mut down, if !going => going = true,
            }
            self.began = Instant::now();
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
        if let Some(pooled) = &mut self.pooled {
            pooled.reports = self.wire.reports();
        }
        let claims = std::mem::take(&mut self.login.claims);
        let shown = Shown { auth, proof: Arc::clone(&self.login.proof) };
        self.visitor = Some(self.house.gate.visitor(&login, shown, claims));
    }

    async fn say_goodbye(&mut self, broken: &Broken) {
        let mut hint = "";
        let (sqlstate, message) = match broken {
            Broken::Io => return,
            Broken::NotServed(why) => {
                let (sqlstate, message, advice) = not_served(why);
                hint = advice;
                (sqlstate, message)
            }
            Broken::Wire(err) => ("08P01", format!("clyra: {err}")),
            Broken::Killed => {
                hint = "connect again once the switch is released";
                ("57P01", "clyra: the kill switch ends this connection".to_owned())
            }
            Broken::Unfenced(message) => ("42501", message.clone()),
            Broken::Shutdown => ("57P01", "clyra: the gateway is shutting down".to_owned()),
            Broken::Unanswered => {
                ("08006", "clyra: the server does not answer the gateway's own question".to_owned())
            }
            Broken::LoginTimeout => {
                let seconds = self.house.limits.login_max.as_secs_f32();
                ("57014", format!("clyra: login took longer than {seconds} s"))
            }
        };
        if matches!(broken, Broken::Wire(_)) {
            self.house.gate.metrics.protocol_errors.increment(1);
        }
        let refusal = Refusal { sqlstate, message: &message, detail: "", hint, position: None };
        self.client.outbox.extend_from_slice(&fatal_response(&refusal));
        let _ = tokio::time::timeout(GOODBYE_MAX, self.client.flush()).await;
    }
}

const GOODBYE_MAX: Duration = Duration::from_secs(1);
