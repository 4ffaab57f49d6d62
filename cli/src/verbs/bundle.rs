//! `clyra bundle`: evidence of one run, cut, verified and shown. The recorder cuts, the verifier doubts; here are
//! only files and words.

use super::say;
use crate::{
    error::Error,
    peek, peer,
    standing::{Standing, folder_of, recorder_of},
    tell,
};
use clap::{Args, Subcommand};
use clyra_verifier::{Report, Trust, verify_bundle};
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The verbs on bundles.
#[derive(Debug, Subcommand)]
pub enum BundleVerb {
    /// Cut the evidence of one run out of the log
    #[command(after_help = "\
Example:
  clyra bundle cut --run 0198c3a2-7f00-7000-8000-000000000001 --out run.pef.zip")]
    Cut(Cut),
    /// Check a bundle offline, as `clyra-verify bundle` does
    #[command(after_help = "\
The trust file says whom to believe. Get it from the log's owner, never from whoever hands you the bundle.

Exit codes: 0 pass, 2 fail, 3 unable, 6 bad input.

Example:
  clyra bundle verify run.pef.zip --trust clyra-data/trust.txt")]
    Verify {
        /// The bundle
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Trust file
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a bundle claims, without checking anything
    #[command(after_help = "Example:\n  clyra bundle show run.pef.zip")]
    Show {
        /// The bundle
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print the manifest and all entries as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Which run, and where to.
#[derive(Debug, Args)]
pub struct Cut {
    /// The run's id
    #[arg(long, value_name = "ID")]
    run: String,
    /// The bundle to write; whole or not at all
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace FILE when it exists
    #[arg(long)]
    force: bool,
    /// Address of the recorder [default: as in DIR/up.json, else 127.0.0.1:6435]
    #[arg(long, value_name = "ADDR", value_parser = crate::standing::address)]
    recorder: Option<SocketAddr>,
    /// Data folder of the running `clyra up`
    #[arg(long, value_name = "DIR", default_value = "clyra-data")]
    data: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Does what was asked with bundles.
pub(crate) async fn run(verb: BundleVerb) -> Result<u8, Error> {
    match verb {
        BundleVerb::Cut(args) => cut(&args).await,
        BundleVerb::Verify { file, trust, json } => verify(&file, &trust, json),
        BundleVerb::Show { file, json } => show(&file, json),
    }
}

async fn cut(args: &Cut) -> Result<u8, Error> {
    if args.out.exists() && !args.force {
        return Err(Error::Usage(format!("`{}` exists; --force replaces it", args.out.display())));
    }
    if let Some(standing) = Standing::read(&args.data)?
        && let Ok(mut gate) = peer::gate(standing.admin).await
        && let Err(error) = peer::settled(&mut gate).await
    {
        tell::note(&format!("the bundle may lack the newest entries: {error}"));
    }
    let mut recorder = peer::recorder(recorder_of(args.recorder, &args.data)?).await?;
    let bundle = peer::cut(&mut recorder, &args.run).await?;
    write_new(&args.out, &bundle, args.force)?;
    let entries = peek::entries(&bundle).len();
    let record = json!({"run_id": args.run, "out": args.out, "bytes": bundle.len(), "entries": entries});
    say(args.json, &record, || {
        format!("{}: {entries} entries of run {}, {} bytes", args.out.display(), args.run, bundle.len())
    })?;
    Ok(0)
}

/// Writes a bundle whole or not at all; an existing file stays unless `force`.
pub(crate) fn write_new(path: &Path, bytes: &[u8], force: bool) -> Result<(), Error> {
    if force {
        return crate::standing::write_whole(path, bytes);
    }
    let folder = folder_of(path)?;
    let write = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path)?;
        Ok(())
    };
    write().map_err(|error| Error::file(path, "write it", &error))
}

fn verify(file: &Path, trust: &Path, json: bool) -> Result<u8, Error> {
    let report = match report_on(file, trust) {
        Ok(report) => report,
        Err(why) => {
            tell::note(&why);
            return Ok(BAD_INPUT);
        }
    };
    // The very text and JSON that clyra-verify prints.
    let text = if json { report.to_json() } else { report.to_string() };
    tell::line(text.trim_end())?;
    Ok(report.outcome().exit_code())
}

/// Reads both files and lets the verifier doubt.
fn report_on(file: &Path, trust: &Path) -> Result<Report, String> {
    let read =
        |path: &Path| fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()));
    let text = String::from_utf8(read(trust)?);
    let text = text.map_err(|_| format!("`{}` is no trust file: it is not UTF-8", trust.display()))?;
    let trust: Trust = text.parse().map_err(|error| format!("`{}`: {error}", trust.display()))?;
    Ok(verify_bundle(&read(file)?, &trust))
}

fn show(file: &Path, json: bool) -> Result<u8, Error> {
    let bundle =
        fs::read(file).map_err(|error| Error::Usage(format!("cannot read `{}`: {error}", file.display())))?;
    let manifest = peek::manifest(&bundle)
        .ok_or_else(|| Error::Usage(format!("`{}` is no bundle: it has no manifest", file.display())))?;
    let entries = peek::entries(&bundle);
    let text = || shown(manifest.get("predicate").unwrap_or(&Value::Null), &entries);
    say(json, &json!({"manifest": manifest, "entries": entries}), text)?;
    Ok(0)
}

fn shown(predicate: &Value, entries: &[Value]) -> String {
    let of = |at: &str| predicate.pointer(at).map_or_else(|| "?".to_owned(), plain);
    let mut lines = vec![
        "NOT CHECKED: what the bundle claims; `clyra bundle verify` checks it".to_owned(),
        format!("run       {} (closed: {})", of("/run_id"), of("/closed")),
        format!("log       {}, {} entries", of("/log/origin"), of("/log/size")),
        format!("entries   {}", of("/counts")),
        format!("verdicts  {}", of("/verdicts")),
        format!("policies  {}", of("/policies")),
        String::new(),
    ];
    lines.extend(entries.iter().map(entry_line));
    lines.join("\n")
}

fn entry_line(entry: &Value) -> String {
    let of = |at: &str| entry.pointer(at).map(plain).unwrap_or_default();
    let what = match of("/kind").as_str() {
        "receipt" => {
            let carried_out = of("/decision/verdict") == "allow" || of("/decision/enforced") == "true";
            let enforced = if carried_out { "" } else { " (not enforced)" };
            let tables = entry.pointer("/action/writes").or_else(|| entry.pointer("/action/reads"));
            format!(
                "{} {} {}{enforced} {}",
                of("/action/verb"),
                tables.map(plain).unwrap_or_default(),
                of("/decision/verdict"),
                of("/outcome/status")
            )
        }
        "policy" => format!("{} version {} mode {}", of("/name"), of("/version"), of("/mode")),
        "switch" => format!("{} by {}: {}", of("/level"), of("/by"), of("/reason")),
        "heartbeat" => format!("{} receipts so far", of("/count")),
        "run_close" => format!("{} receipts, {}", of("/count"), of("/reason")),
        "gap" => format!("{} {}", of("/reason"), of("/count")),
        _ => String::new(),
    };
    format!("{}  {:<9} {what}", of("/at"), of("/kind")).trim_end().to_owned()
}

/// A value without the quotes and braces of JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{name} {}", plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}

/// clyra-verify's exit code for a question that could not be put.
pub(crate) const BAD_INPUT: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_not_overwritten_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.pef.zip");
        write_new(&path, b"one", false).unwrap();
        assert!(write_new(&path, b"two", false).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write_new(&path, b"two", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn bad_input_has_the_verifiers_code() {
        let nowhere = Path::new("/nowhere/x");
        assert_eq!(verify(nowhere, nowhere, false).unwrap(), BAD_INPUT);
        assert_eq!(show(nowhere, false).unwrap_err().exit_code(), 2);
        assert_eq!(write_new(nowhere, b"", false).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn entries_are_shown_in_words() {
        let entry = json!({
            "kind": "receipt", "at": "T", "action": {"verb": "drop", "writes": ["orders"]},
            "decision": {"verdict": "deny", "enforced": false}, "outcome": {"status": "ok"},
        });
        assert_eq!(entry_line(&entry), "T  receipt   drop orders deny (not enforced) ok");
    }
}
