//! `clyra up`: the whole house in one process, until a signal ends it. It judges, records and stores nothing itself.

mod banner;
mod bounds;
mod data;
mod doors;
mod faults;
mod house;
mod secure;

pub(crate) use data::{DEMO_RULES, is_held};
pub(crate) use doors::Doors;
pub(crate) use faults::of_recorder;
pub(crate) use house::{House, Plan};

use crate::{
    error::{EXIT_CODES, Error},
    peer::{self, GATE, refused},
    rules::FollowArgs,
    tell,
    verbs::status::in_force,
};
use clap::{Args, builder::TypedValueParser as _};
use clyra_proto::admin::ReloadPolicyRequest;
use clyra_spec::Mode;
use std::{net::SocketAddr, path::PathBuf};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a house needs to be told; every flag has a default.
#[derive(Debug, Args)]
#[command(after_long_help = after_help(), after_help = "See --help for signals, files and examples.")]
pub struct UpArgs {
    /// Server behind the gateway, postgres://HOST[:PORT][/DATABASE][?sslmode=MODE] with sslmode disable
    /// (default), prefer, require, verify-ca or verify-full, and the files sslrootcert, sslcert, sslkey as further
    /// parameters [default: a cluster of its own in the data folder, with a small shop in it]
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Policy file [default: DIR/policy.yaml, made from the starter policy when missing]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Mode instead of the policy file's own: shadow records verdicts, enforce carries them out
    #[arg(long, value_name = "MODE", value_parser = mode())]
    mode: Option<Mode>,
    /// Public key of a policy's owner, or a file with it; may be given more than once. Every policy file must then be
    /// signed by one of them (`clyra policy sign`), at start and at every reload
    #[arg(long, value_name = "KEY", value_parser = crate::sign::public)]
    policy_key: Vec<clyra_seal::key::VerifyingKey>,
    /// Take an unsigned policy into use though it enforces; without this and without --policy-key it is refused
    #[arg(long, conflicts_with = "policy_key")]
    allow_unsigned: bool,
    /// Where clients connect; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6432", value_parser = crate::standing::address)]
    listen: SocketAddr,
    /// The gateway's admin gRPC
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6433", value_parser = crate::standing::address)]
    admin: SocketAddr,
    /// Prometheus metrics over HTTP
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6434", value_parser = crate::standing::address)]
    metrics: SocketAddr,
    /// The recorder's gRPC
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6435", value_parser = crate::standing::address)]
    recorder: SocketAddr,
    /// Show the recorder's log over HTTP for reading: /checkpoint, /tile/…, /entry/ID [default: not]
    #[arg(long, value_name = "ADDR", value_parser = crate::standing::address)]
    log_http: Option<SocketAddr>,
    /// Data folder: keys, spool, log, policy, own cluster
    #[arg(long, value_name = "DIR", default_value = "clyra-data")]
    data: PathBuf,
    /// Threads for client connections [default: one for every two processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// Folder of PostgreSQL's server programs [default: looked for]
    #[arg(long, value_name = "DIR")]
    pg_bin: Option<PathBuf>,
    #[command(flatten)]
    secure: secure::SecureArgs,
    /// A file that raises the kill switch while it exists; what it holds says how far and for whom, like
    /// `actor:etl cancel_running`, and empty it blocks every statement of everybody
    #[arg(long, value_name = "FILE")]
    kill_file: Option<PathBuf>,
    #[command(flatten)]
    bounds: bounds::BoundsArgs,
    #[command(flatten)]
    pool: bounds::PoolArgs,
    #[command(flatten)]
    follow: FollowArgs,
    /// Print nothing but faults
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
    /// Print the ready record as one line of JSON instead of words
    #[arg(long)]
    json: bool,
}

/// Brings the house up, says so, and waits for its end.
pub(crate) async fn run(args: UpArgs) -> Result<u8, Error> {
    let mut signals = Signals::listen()?;
    let (quiet, json) = (args.quiet, args.json);
    let say = move |line: &str| {
        if !quiet {
            tell::note(line);
        }
    };
    let opened = House::open_unless(args.plan()?, &say, signals.end()).await?;
    let Some(mut house) = opened else { return Ok(0) };
    if let Some(addr) = house.log_http() {
        say(&format!("the log is shown at http://{addr}/checkpoint"));
    }
    house.about_names().iter().for_each(|line| say(line));
    // Whoever started it may have stopped listening; the house goes on.
    let _heard = if json {
        tell::line(&house.ready_record()?)
    } else if quiet {
        Ok(())
    } else {
        tell::line(&banner::text(&house))
    };
    let ended = loop {
        tokio::select! {
            fault = house.ended() => break Err(fault),
            () = end(&mut signals.interrupt, &mut signals.terminate) => break Ok(0),
            _ = signals.hangup.recv() => say(&reload(house.standing().admin).await),
            _ = signals.user.recv() => say(&house.block().await),
        }
    };
    if ended.is_ok() {
        say("stopping; a second signal ends it at once");
    }
    let abandon = house.abandon();
    let closed = tokio::select! {
        closed = house.close() => closed,
        () = signals.end() => {
            abandon();
            Err(Error::Ours { doing: "stopping", why: "ended at once by a second signal".into() })
        }
    };
    let code = ended?;
    closed.map(|()| code)
}

impl UpArgs {
    fn plan(self) -> Result<Plan, Error> {
        Ok(Plan {
            doors: Doors {
                listen: self.listen,
                admin: self.admin,
                metrics: self.metrics,
                recorder: self.recorder,
            },
            log_http: self.log_http,
            data: self.data,
            upstream: self.upstream,
            policy: self.policy,
            kill_file: self.kill_file,
            mode: self.mode,
            signing: clyra_gateway::Signing {
                keys: self.policy_key,
                allow_unsigned: self.allow_unsigned,
                own: data::first_digest(),
            },
            workers: self.workers.map_or_else(workers, usize::from),
            pg_bin: self.pg_bin,
            pool: self.pool.settings(self.secure.login().is_some())?,
            login: self.secure.login(),
            upstream_password: self.secure.upstream_password()?,
            tls: self.secure.tls()?,
            limits: self.bounds.limits(),
            follow: self.follow.read()?,
        })
    }
}

/// Threads for clients where nobody says how many: the database and the recorder want processors too, and a thread that
/// serves more clients is woken less often for each.
pub(crate) fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2)
}

/// The signals that a house obeys.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    user: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self, Error> {
        let on = |kind| {
            signal(kind)
                .map_err(|error| Error::Ours { doing: "listening for signals", why: error.to_string() })
        };
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hangup: on(SignalKind::hangup())?,
            user: on(SignalKind::user_defined1())?,
        })
    }

    /// Waits for SIGINT or SIGTERM.
    pub(crate) async fn end(&mut self) {
        end(&mut self.interrupt, &mut self.terminate).await;
    }
}

async fn end(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Has the gateway read its policy again, through its own admin door; what came of it.
async fn reload(admin: SocketAddr) -> String {
    let asked = async {
        let mut gate = peer::gate(admin).await?;
        let answer = gate.reload_policy(ReloadPolicyRequest {}).await;
        answer.map(tonic::Response::into_inner).map_err(|status| refused(GATE, &status))
    };
    match asked.await {
        Ok(policy) => format!("policy read again: {}", in_force(&policy)),
        Err(error) => format!("policy not read again, the old one stays in force: {error}"),
    }
}

/// `shadow` or `enforce`.
fn mode() -> impl clap::builder::TypedValueParser<Value = Mode> {
    clap::builder::PossibleValuesParser::new(["shadow", "enforce"]).map(|word| match word.as_str() {
        "enforce" => Mode::Enforce,
        _ => Mode::Shadow,
    })
}

fn after_help() -> String {
    format!(
        "\
Examples:
  clyra up
  clyra up --upstream postgres://db.example:5432/shop --policy shop.yaml --mode enforce --policy-key owner.pub
  clyra up --listen 0 --admin 0 --metrics 0 --recorder 0 --data /tmp/try --json

Signals: SIGINT and SIGTERM drain and stop (a second one ends it at once), SIGHUP reads the policy and the
certificates again, SIGUSR1 turns the kill switch: every statement of everybody is refused.

Files in the data folder: up.json (addresses, while ready), policy.yaml, trust.txt (give it to whoever shall verify),
gateway/ (key, spool, switch), recorder/ (keys, log), postgres/ (own cluster, open to every user of this machine), lock.

{EXIT_CODES}"
    )
}
