//! `clyra rollup`: what each day of a log adds up to, signed and linked. The recorder's room adds up; here is only the clock.

use crate::{error::Error, tell, up::of_recorder, verbs::say};
use clap::Args;
use clyra_recorder::rollup;
use serde_json::json;
use std::path::PathBuf;

/// Of which log.
#[derive(Debug, Args)]
pub struct RollupArgs {
    /// The recorder's data folder; the recorder may be at work
    #[arg(long, value_name = "DIR", default_value = "clyra-data/recorder")]
    data: PathBuf,
    /// Print JSON, one line a day
    #[arg(long)]
    json: bool,
}

/// Makes the rollups that are due.
pub(crate) async fn run(args: RollupArgs) -> Result<u8, Error> {
    let today = jiff::Timestamp::now().to_string();
    let today = today.get(..10).unwrap_or_default();
    let made = rollup(&args.data, today).await.map_err(|error| of_recorder(error, &args.data))?;
    if made.is_empty() && !args.json {
        tell::line("nothing is due: every day that is over has its rollup")?;
    }
    for day in made {
        let record = json!({"day": day.day, "entries": day.entries, "file": day.path});
        say(args.json, &record, || {
            let entries = if day.entries == 1 { "entry" } else { "entries" };
            format!("{}: {} {entries}", day.path.display(), day.entries)
        })?;
    }
    Ok(0)
}
