//! `clyra recorder`: a recorder as a process of its own, and what can be done with its folder while it does not run. It
//! never changes an entry.

use super::say;
use crate::{
    error::Error,
    tell,
    up::{Signals, of_recorder},
};
use clap::{Args, Subcommand};
use clyra_recorder::{Health, Recorder, Settings, fsck, reindex};
use serde_json::json;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The verbs on recorders.
#[derive(Debug, Subcommand)]
pub enum RecorderVerb {
    /// Keep the log, without a gateway in the same process
    #[command(after_help = "\
Gateways are trusted by their keys, with --maker or as lines of DIR/makers, which is read anew at each login.
The ready record names the keys for the trust file. SIGINT and SIGTERM publish what is durable and stop.

Example:
  clyra recorder serve --listen 10.0.0.7:6435 --log-http 10.0.0.7:6436 --data /var/lib/clyra/recorder")]
    Serve(Serve),
    /// Check every file of a recorder that does not run: write-ahead log, tiles, commits, checkpoint, keys
    #[command(after_help = "\
Names each file that is not what the rest of the log says it is, and the byte from which on. Changes nothing.

Exit codes: 0 sound, 5 damaged or in use.

Example:
  clyra recorder fsck --data clyra-data/recorder")]
    Fsck(Folder),
    /// Make the index of a recorder that does not run anew out of its log
    #[command(after_help = "Example:\n  clyra recorder reindex --data clyra-data/recorder")]
    Reindex(Folder),
}

/// What a recorder needs to be told.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where gateways, and those who want bundles, connect (gRPC, without login)
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6435", value_parser = crate::standing::address)]
    listen: SocketAddr,
    /// Show the log over HTTP for reading: /checkpoint, /tile/…, /entry/ID [default: not]
    #[arg(long, value_name = "ADDR", value_parser = crate::standing::address)]
    log_http: Option<SocketAddr>,
    /// Key of a trusted gateway; may be given more than once
    #[arg(long = "maker", value_name = "VKEY")]
    makers: Vec<String>,
    #[command(flatten)]
    folder: Folder,
}

/// Which recorder's folder.
#[derive(Debug, Args)]
pub struct Folder {
    /// The recorder's data folder
    #[arg(long, value_name = "DIR", default_value = "clyra-data/recorder")]
    data: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Does what was asked with a recorder.
pub(crate) async fn run(verb: RecorderVerb) -> Result<u8, Error> {
    match verb {
        RecorderVerb::Serve(args) => serve(args).await,
        RecorderVerb::Fsck(folder) => {
            let health = fsck(&folder.data).await.map_err(|error| fault(error, &folder.data))?;
            told(&health, folder.json)
        }
        RecorderVerb::Reindex(folder) => {
            let size = reindex(&folder.data).await.map_err(|error| fault(error, &folder.data))?;
            say(folder.json, &json!({"entries": size}), || format!("indexed up to size {size}"))?;
            Ok(0)
        }
    }
}

async fn serve(args: Serve) -> Result<u8, Error> {
    let mut signals = Signals::listen()?;
    let Serve { listen, log_http, makers, folder: Folder { data, json } } = args;
    for (flag, address) in [("--listen", Some(listen)), ("--log-http", log_http)] {
        if let Some(address) = address.filter(|address| !address.ip().is_loopback()) {
            tell::note(&format!(
                "take care: {flag} {address} can be reached from other machines, and asks for no login"
            ));
        }
    }
    let started = Recorder::start(Settings { listen, log_http, data: data.clone(), makers }).await;
    let recorder = started.map_err(|error| fault(error, &data))?;
    let record = json!({
        "listen": recorder.addr(),
        "log_http": recorder.log_http(),
        "log_key": recorder.log_key(),
        "bundle_key": recorder.bundle_key(),
    });
    let text = || {
        let shown = recorder.log_http().map(|addr| format!(", log at http://{addr}/checkpoint"));
        format!(
            "recorder at {}{}\nfor the trust file:\nlog {}\nmaker recorder {}",
            recorder.addr(),
            shown.unwrap_or_default(),
            recorder.log_key(),
            recorder.bundle_key()
        )
    };
    // Whoever started it may have stopped listening; the recorder goes on.
    let _heard = say(json, &record, text);
    let ended = tokio::select! {
        error = recorder.failed() => Err(fault(error, &data)),
        () = signals.end() => Ok(0),
    };
    let stopped = recorder.stop().await.map_err(|error| fault(error, &data));
    ended.and_then(|code| stopped.map(|()| code))
}

/// Prints what a walk found; damage has the code of damaged data.
fn told(health: &Health, json: bool) -> Result<u8, Error> {
    let faults: Vec<_> = health
        .faults
        .iter()
        .map(|fault| json!({"file": fault.path, "offset": fault.offset, "why": fault.why}))
        .collect();
    let Health { published, size, files, .. } = health;
    let record = json!({"published": published, "size": size, "files": files, "faults": faults});
    say(json, &record, || {
        let mut lines: Vec<String> = health
            .faults
            .iter()
            .map(|fault| format!("{}: byte {}: {}", fault.path.display(), fault.offset, fault.why))
            .collect();
        let verdict = match health.faults.len() {
            0 => "sound".to_owned(),
            faults => tell::counted(u64::try_from(faults).unwrap_or(u64::MAX), "fault"),
        };
        lines.push(format!("{verdict}: {files} files read, {published} of {size} entries published"));
        lines.join("\n")
    })?;
    Ok(if health.faults.is_empty() { 0 } else { DAMAGED })
}

/// A recorder's fault in the door's words, with the recorder's own folder.
fn fault(error: clyra_recorder::Error, data: &Path) -> Error {
    match of_recorder(error, data) {
        Error::Data { path, why, hint } if path == data.join("recorder") => {
            Error::Data { path: data.into(), why, hint }
        }
        other => other,
    }
}

const DAMAGED: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sound_folder_a_damaged_one_and_none() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("recorder");
        assert_eq!(fsck(&data).await.map_err(|error| fault(error, &data)).unwrap_err().exit_code(), 5);
        let listen = crate::standing::loopback(0);
        let settings = Settings { listen, log_http: None, data: data.clone(), makers: Vec::new() };
        let recorder = Recorder::start(settings).await.unwrap();
        let asked = || RecorderVerb::Fsck(Folder { data: data.clone(), json: true });
        assert_eq!(run(asked()).await.unwrap_err().exit_code(), 5, "in use");
        recorder.stop().await.unwrap();
        assert_eq!(run(asked()).await.unwrap(), 0);
        let again = RecorderVerb::Reindex(Folder { data: data.clone(), json: false });
        assert_eq!(run(again).await.unwrap(), 0);
        std::fs::write(data.join("bundle.key"), "nonsense").unwrap();
        assert_eq!(run(asked()).await.unwrap(), DAMAGED);
    }
}
