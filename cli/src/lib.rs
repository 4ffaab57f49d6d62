//! The door of the house: the `clyra` command.
//!
//! `clyra up` brings gateway, recorder and, when no server is named, a small PostgreSQL of its own up in one
//! process, and says where to connect. Everything else talks to such a house or to files: `demo` plays the whole
//! story and prints what it observed, `kill` turns the switch, `policy` checks and tries rules, `bundle` cuts and
//! verifies evidence, `run` and `run-id` give statements a run. One room per command; nothing here judges,
//! records or signs, and nobody imports this crate but its own binary.
//!
//! Every failure ends with an exit code that says whose fault it was ([`error::EXIT_CODES`]) and a message that
//! names the value and what to do.
//!
//! ```text
//!            ┌ up ── cluster ─▶ recorder ─▶ gateway        one process, one data folder
//! args ──────┼ demo ─ a story, every `got` observed
//!            └ verbs ─ kill, policy, bundle, run, status    talk to up.json's addresses
//! ```
//!
//! ```
//! use clap::Parser as _;
//! use clyra_cli::args::{Args, Verb};
//!
//! let args = Args::try_parse_from(["clyra", "up", "--listen", "7000", "--mode", "enforce"])?;
//! assert!(matches!(args.verb, Verb::Up(_)));
//! # Ok::<(), clap::Error>(())
//! ```

pub mod args;
mod cluster;
mod demo;
pub mod error;
mod evidence;
mod past;
mod peek;
mod peer;
mod rules;
mod sign;
mod standing;
pub mod tell;
mod up;
mod verbs;

use error::Error;
use std::process::ExitCode;

/// Carries a command out; its exit code when nothing went wrong.
///
/// # Errors
/// What went wrong, with the exit code that says so.
pub fn run(args: args::Args) -> Result<u8, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Ours { doing: "starting", why: error.to_string() })?
        .block_on(args.verb.run())
}

/// Prints what was not understood, or the help that was asked for. `bundle verify` keeps clyra-verify's code for bad
/// input.
pub fn misheard(said: &clap::Error, words: impl Iterator<Item = String>) -> ExitCode {
    // Standard output may be closed by now; there is nobody left to tell.
    let _closed = said.print();
    let verify = words.take(2).eq(["bundle", "verify"]);
    match said.exit_code() {
        0 => ExitCode::SUCCESS,
        _ if verify => ExitCode::from(verbs::bundle::BAD_INPUT),
        _ => ExitCode::from(2),
    }
}
