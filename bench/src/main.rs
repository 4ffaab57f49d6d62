//! The scale: weighs the house against its peers, in one run on one machine. It starts everything that it needs and
//! stops it again, and never touches a server that runs already.
//!
//! ```text
//! pgbench ─┬──────────────────────────▶ PostgreSQL   direct
//!          ├─▶ forwarder (own, bare) ─▶              what any extra hop costs
//!          ├─▶ PgBouncer, session ────▶              a peer
//!          └─▶ clyra up, rules on, receipts kept ─▶  we
//! ```

mod cell;
mod forwarder;
mod judge;
mod load;
mod pg;
mod plot;
mod report;
mod stand;

use clap::{Parser, Subcommand};
use std::net::SocketAddr;

/// Weighs Clyra against its peers.
#[derive(Debug, Parser)]
#[command(version)]
struct Words {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// pgbench and COPY through each way to one PostgreSQL: interleaved rounds, medians, ratios, CPU per query.
    Pg(pg::Settings),
    /// The judge alone: facts and decisions, by time and by instructions; one line of JSON for each cell.
    Judge(judge::Settings),
    /// Forwards TCP and does nothing else: the floor under every proxy. `pg` starts it.
    Forward {
        /// Where to listen.
        #[arg(long)]
        listen: SocketAddr,
        /// Where to forward to.
        #[arg(long)]
        to: SocketAddr,
    },
}

fn main() -> anyhow::Result<()> {
    match Words::parse().verb {
        Verb::Pg(settings) => pg::run(&settings),
        Verb::Judge(settings) => judge::run(&settings),
        Verb::Forward { listen, to } => forwarder::run(listen, to),
    }
}
