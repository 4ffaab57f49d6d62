//! Flags that bound what clients may take of a gateway, and say how they share connections to the server. It only
//! reads them.

use crate::error::Error;
use clap::{Args, ValueEnum};
use clyra_gateway::{Lease, Limits, PoolSettings, PoolState};
use std::time::Duration;

/// Bounds, each with a default.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Bounds")]
pub(crate) struct BoundsArgs {
    /// Most clients at once; one more is refused with SQLSTATE 53300
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    max_clients: u32,
    /// Seconds that a client may take to say what it wants, and again to log in
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    login_timeout: u32,
}

/// How connections to the server are shared.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Pools")]
pub(crate) struct PoolArgs {
    /// Share connections to the server among clients of one user and database; needs --login. docs/pools.md says what
    /// each kind allows [default: each client has a connection of its own, opened with it]
    #[arg(long, value_name = "KIND")]
    pool: Option<Kind>,
    /// Most connections to the server for each user and database
    #[arg(long, value_name = "N", requires = "pool", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pool_size: u32,
    /// Seconds that a client may wait for one before it is refused with SQLSTATE 53300
    #[arg(long, value_name = "SECONDS", requires = "pool", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pool_wait_max: u32,
    /// Seconds that a connection may rest before it is closed
    #[arg(long, value_name = "SECONDS", requires = "pool", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    pool_idle_max: u32,
    /// Seconds after which a connection is closed when it is given back
    #[arg(long, value_name = "SECONDS", requires = "pool", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..))]
    pool_lifetime_max: u32,
    /// What becomes of a client that leaves something in its session, such as LISTEN or a temporary table
    #[arg(long, value_name = "WHAT", requires = "pool", default_value = "pin")]
    pool_state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A client keeps its connection until it leaves
    Session,
    /// A client has a connection for each transaction
    Transaction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    /// It keeps the connection until it leaves
    Pin,
    /// The statement is refused with SQLSTATE 0A000
    Refuse,
}

impl BoundsArgs {
    pub(crate) fn limits(self) -> Limits {
        Limits {
            clients_max: self.max_clients as usize,
            login_max: Duration::from_secs(self.login_timeout.into()),
        }
    }
}

impl PoolArgs {
    /// What the gateway is to be told; `logs_in` says that clients log in at the gateway.
    ///
    /// # Errors
    /// Clients log in at the server, each for itself.
    pub(crate) fn settings(self, logs_in: bool) -> Result<Option<PoolSettings>, Error> {
        let Some(kind) = self.pool else { return Ok(None) };
        if !logs_in {
            return Err(Error::Usage(
                "--pool needs --login: a connection that a client has logged in with its own password cannot be \
                 given to another"
                    .into(),
            ));
        }
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Ok(Some(PoolSettings {
            lease: match kind {
                Kind::Session => Lease::Session,
                Kind::Transaction => Lease::Transaction,
            },
            size: self.pool_size as usize,
            wait_max: seconds(self.pool_wait_max),
            idle_max: seconds(self.pool_idle_max),
            lifetime_max: seconds(self.pool_lifetime_max),
            state: match self.pool_state {
                State::Pin => PoolState::Pin,
                State::Refuse => PoolState::Refuse,
            },
        }))
    }
}
