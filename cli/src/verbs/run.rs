//! `clyra run` and `clyra run-id`: statements that belong together get one id, and an end. They never start a
//! shell and never change what the command is told but for `PGOPTIONS`.

use super::say;
use crate::{error::Error, peer, standing::Which, tell};
use clap::{Args, Subcommand};
use clyra_spec::limits::LABEL_BYTES_MAX;
use serde_json::json;
use std::{ffi::OsString, os::unix::process::ExitStatusExt};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

/// What to run.
#[derive(Debug, Args)]
#[command(after_help = "\
The command inherits PGOPTIONS with `-c clyra.run_id=ID`, which libpq and its kin (psql, pgbench, pg_dump,
psycopg, dbt) send at login. Its host and port must be the gateway's. The id is printed on standard error.

Examples:
  clyra run -- psql \"host=127.0.0.1 port=6432 user=app dbname=shop\" -c \"SELECT count(*) FROM orders\"
  clyra run -- dbt build
  clyra run --id nightly-2026-11-24 -- ./load.sh")]
pub struct RunArgs {
    /// Run id to use [default: a fresh one]
    #[arg(long, value_name = "ID", value_parser = label)]
    id: Option<String>,
    /// Which gateway to close the run at.
    #[command(flatten)]
    which: Which,
    /// The command and its words
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// The verbs on run ids.
#[derive(Debug, Subcommand)]
pub enum RunIdVerb {
    /// Print a fresh run id
    #[command(after_help = "\
Example:
  RUN=$(clyra run-id new); PGOPTIONS=\"-c clyra.run_id=$RUN\" psql -h 127.0.0.1 -p 6432 -U app shop")]
    New {
        /// Say on standard error how to use it
        #[arg(long)]
        explain: bool,
    },
    /// End a run now instead of when it has been idle
    #[command(after_help = "Example:\n  clyra run-id close 0198c3a2-7f00-7000-8000-000000000001")]
    Close {
        /// The run's id
        #[arg(value_name = "ID", value_parser = label)]
        id: String,
        /// Which gateway.
        #[command(flatten)]
        which: Which,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command; ends with its exit code, 128 + signal when a signal ended it.
pub(crate) async fn run(args: RunArgs) -> Result<u8, Error> {
    let id = args.id.unwrap_or_else(fresh);
    let (program, words) =
        args.command.split_first().ok_or_else(|| Error::Usage("no command given".into()))?;
    let mut command = Command::new(program);
    command.args(words).env("PGOPTIONS", options(std::env::var_os("PGOPTIONS"), &id));
    tell::note(&format!("run {id}"));
    let child = command
        .spawn()
        .map_err(|error| Error::Usage(format!("`{}` does not run: {error}", program.to_string_lossy())))?;
    let code = outlive(child).await?;
    match closed(&args.which, &id).await {
        Ok(count) => tell::note(&closed_words(&id, count)),
        Err(error) => tell::note(&format!("run {id} was not closed now, it ends when idle: {error}")),
    }
    Ok(code)
}

/// Prints or closes a run id.
pub(crate) async fn run_id(verb: RunIdVerb) -> Result<u8, Error> {
    match verb {
        RunIdVerb::New { explain } => {
            let id = fresh();
            tell::line(&id)?;
            if explain {
                tell::note(&usage(&id));
            }
        }
        RunIdVerb::Close { id, which, json } => {
            let count = closed(&which, &id).await?;
            say(json, &json!({"run_id": id, "count": count}), || closed_words(&id, count))?;
        }
    }
    Ok(0)
}

/// A fresh run id: a UUIDv7, so that ids sort by time.
pub(crate) fn fresh() -> String {
    uuid::Uuid::now_v7().to_string()
}

fn closed_words(id: &str, count: u64) -> String {
    format!("run {id} closed with {}", tell::counted(count, "receipt"))
}

async fn closed(which: &Which, id: &str) -> Result<u64, Error> {
    let mut gate = peer::gate(which.admin()?).await?;
    Ok(peer::close_run(&mut gate, id).await?.count)
}

/// Waits for the child. The terminal's signals reach it without us; a SIGTERM to us is handed on.
async fn outlive(mut child: Child) -> Result<u8, Error> {
    let ours =
        |error: std::io::Error| Error::Ours { doing: "waiting for the command", why: error.to_string() };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ours)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ours)?;
    let pid = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status.map_err(ours)?;
                let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(1);
                return Ok(u8::try_from(code).unwrap_or(1));
            }
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {
                // Gone already? `wait` will say so.
                let _told = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
            }
        }
    }
}

/// `PGOPTIONS` with the run's id behind whatever the caller has there.
fn options(before: Option<OsString>, id: &str) -> OsString {
    let mut options = before.unwrap_or_default();
    if !options.is_empty() {
        options.push(" ");
    }
    options.push(format!("-c clyra.run_id={id}"));
    options
}

/// A label goes into `PGOPTIONS` and into evidence: plain, visible, bounded.
fn label(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/@+".contains(&byte);
    if text.is_empty() || text.len() > LABEL_BYTES_MAX || !text.bytes().all(plain) {
        return Err(format!("allowed: 1 to {LABEL_BYTES_MAX} of letters, digits and - _ . : / @ +"));
    }
    Ok(text.to_owned())
}

fn usage(id: &str) -> String {
    format!(
        "run {id} and how to claim it:
psql, pg_dump, pgbench   PGOPTIONS=\"-c clyra.run_id={id}\" psql -h 127.0.0.1 -p 6432 …
dbt                      PGOPTIONS=\"-c clyra.run_id={id}\" dbt build
psycopg, libpq           connect(…, options=\"-c clyra.run_id={id}\")
JDBC                     jdbc:postgresql://127.0.0.1:6432/shop?options=-c%20clyra.run_id={id}
close it                 clyra run-id close {id}
cut the evidence         clyra bundle cut --run {id} --out {id}.pef.zip"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_added_not_replaced() {
        assert_eq!(options(None, "r1"), "-c clyra.run_id=r1");
        assert_eq!(options(Some("-c a=b".into()), "r1"), "-c a=b -c clyra.run_id=r1");
    }

    #[test]
    fn labels_are_plain() {
        assert!(label("nightly-2026_11.24").is_ok());
        assert!(label("two words").is_err());
        assert!(label("").is_err());
        assert!(label(&"x".repeat(300)).is_err());
        assert!(label(&fresh()).is_ok());
    }

    #[tokio::test]
    async fn the_commands_code_is_ours() {
        let child = |script: &str| Command::new("sh").args(["-c", script]).spawn().unwrap();
        assert_eq!(outlive(child("exit 7")).await.unwrap(), 7);
        assert_eq!(outlive(child("kill -9 $$")).await.unwrap(), 137);
    }
}
