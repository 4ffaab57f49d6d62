//! `clyra demo`: the whole story, played against a running house or one of its own. Whatever the table says was
//! observed; nothing in it is assumed, and the kill switch is never left on.

mod client;
mod ending;
mod stage;
mod story;
mod table;

use crate::{
    error::Error,
    peer,
    standing::Standing,
    up::{House, Signals},
    verbs::{kill::turned, run::fresh},
};
use clap::Args;
use clyra_proto::admin::GetKillRequest;
use clyra_spec::KillLevel;
use stage::Stage;
use std::path::PathBuf;
use table::Row;

/// Where to play.
#[derive(Debug, Args)]
#[command(after_help = "\
Without a running house in DIR, a house of its own is opened there, or in a temporary folder when no --data is
given, and closed afterwards. Against a running house the kill switch is on for some milliseconds. The policy in
force must hold a few rules for application `clyra-demo`; that of `clyra up` does.

Exits with 0 only when every step came true.

Examples:
  clyra demo
  clyra demo --data clyra-data --json")]
pub struct DemoArgs {
    /// Data folder of the running `clyra up` [default: clyra-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder of PostgreSQL's server programs [default: looked for]
    #[arg(long, value_name = "DIR")]
    pg_bin: Option<PathBuf>,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
}

/// Plays, prints, and closes what it opened.
pub(crate) async fn run(args: DemoArgs) -> Result<u8, Error> {
    let mut signals = Signals::listen()?;
    let mut stage = Stage::open(args.data, args.pg_bin, args.json, signals.end()).await?;
    let run_id = fresh();
    let played = tokio::select! {
        played = play(&stage.standing, &run_id) => played,
        fault = fault_of(stage.house.as_mut()) => Err(fault),
        () = signals.end() => Err(Error::Usage(INTERRUPTED.into())),
    };
    let released = release(&stage.standing).await;
    let told =
        played.and_then(|rows| table::tell(&rows, &run_id, &stage.standing, stage.passes_away(), args.json));
    let closed = stage.close().await;
    let came_true = told?;
    released?;
    closed?;
    Ok(u8::from(!came_true))
}

/// The story and its ending; every row is what was seen.
async fn play(standing: &Standing, run_id: &str) -> Result<Vec<Row>, Error> {
    story::check_policy(standing).await?;
    let mut rows = Vec::new();
    story::play(standing, run_id, &mut rows).await?;
    ending::play(standing, run_id, &mut rows).await?;
    Ok(rows)
}

/// Ends when a house of our own ends by itself.
async fn fault_of(house: Option<&mut House>) -> Error {
    match house {
        Some(house) => house.ended().await,
        None => std::future::pending().await,
    }
}

/// Turns the kill switch off when it was this demo that turned it on.
async fn release(standing: &Standing) -> Result<(), Error> {
    let mut gate = peer::gate(standing.admin).await?;
    let kill = gate.get_kill(GetKillRequest {}).await.map_err(|status| peer::refused(peer::GATE, &status))?;
    if kill.get_ref().level != 0 && kill.get_ref().by == NAME {
        turned(&mut gate, KillLevel::Observe, "the demo ended early", NAME).await?;
    }
    Ok(())
}

/// The application name under which the demo logs in, and by which policies know it.
const NAME: &str = "clyra-demo";

const INTERRUPTED: &str = "the demo was interrupted";
