//! Flags that bound what clients may take of a gateway. It only reads them.

use clap::Args;
use clyra_gateway::Limits;
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

impl BoundsArgs {
    pub(crate) fn limits(self) -> Limits {
        Limits {
            clients_max: self.max_clients as usize,
            login_max: Duration::from_secs(self.login_timeout.into()),
        }
    }
}
