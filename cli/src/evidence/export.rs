//! `clyra export`: what auditors sample from, as tables. It shows what the log holds and checks nothing.

use crate::{error::Error, tell, up::of_recorder};
use clap::{Args, Subcommand, ValueEnum};
use clyra_recorder::entries;
use serde_json::{Map, Value, json};
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
    sync::mpsc,
};

/// The exports.
#[derive(Debug, Subcommand)]
pub enum ExportVerb {
    /// Every receipt of the log, or of some days: the population from which a sample is drawn
    #[command(after_help = "\
One row for each receipt, in the order of the log, and nothing left out: its count, and the size and root of the log that it was taken
from, are told at the end. The columns: docs/operations.md.

Example:
  clyra export population --data clyra-data/recorder --from 2026-10-01 --to 2026-12-31 --out q4.csv")]
    Population(Population),
}

/// Which receipts, and where to.
#[derive(Debug, Args)]
pub struct Population {
    /// The recorder's data folder; the recorder may be at work
    #[arg(long, value_name = "DIR", default_value = "clyra-data/recorder")]
    data: PathBuf,
    /// First day, UTC [default: that of the log's first entry]
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<String>,
    /// Last day, UTC [default: that of its last]
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: Option<String>,
    /// Form of the rows
    #[arg(long, value_enum, default_value_t = Form::Csv)]
    format: Form,
    /// File to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace FILE when it exists
    #[arg(long)]
    force: bool,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Comma-separated, with a line of names first
    Csv,
    /// One JSON object a line
    Jsonl,
}

/// Writes what was asked for.
pub(crate) async fn run(verb: ExportVerb) -> Result<u8, Error> {
    let ExportVerb::Population(args) = verb;
    let to: Box<dyn Write + Send> = match &args.out {
        Some(path) if path.exists() && !args.force => {
            return Err(Error::Usage(format!("`{}` exists; --force replaces it", path.display())));
        }
        Some(path) => Box::new(File::create(path).map_err(|error| Error::file(path, "write it", &error))?),
        None => Box::new(io::stdout()),
    };
    let (days, format) = ((args.from.clone(), args.to.clone()), args.format);
    let (tell_count, told) = mpsc::channel();
    let mut rows = Rows { to: BufWriter::new(to), format, count: 0, fault: None };
    rows.begin();
    let extent = entries(&args.data, move |index, entry| {
        rows.take(index, entry, &days);
        // The last word counts: this closure is dropped at the end of the walk.
        let _sent = tell_count.send((rows.count, rows.fault.as_ref().map(ToString::to_string)));
        rows.fault.is_none()
    });
    let extent = extent.await.map_err(|error| of_recorder(error, &args.data))?;
    let (count, fault) = told.iter().last().unwrap_or_default();
    if let Some(why) = fault {
        return Err(Error::Ours { doing: "writing the population", why });
    }
    tell::note(&format!(
        "{count} receipts of log {}, size {}, root {}",
        extent.origin, extent.size, extent.root
    ));
    Ok(0)
}

/// Rows under way to a file.
struct Rows {
    to: BufWriter<Box<dyn Write + Send>>,
    format: Form,
    count: u64,
    fault: Option<io::Error>,
}

impl Rows {
    fn begin(&mut self) {
        if self.format == Form::Csv {
            let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
            self.line(&names.join(","));
        }
    }

    fn take(&mut self, index: u64, entry: &[u8], (from, to): &(Option<String>, Option<String>)) {
        let Ok(entry) = serde_json::from_slice::<Value>(entry) else { return };
        let at = entry.get("at").and_then(Value::as_str).and_then(|at| at.get(..10)).unwrap_or_default();
        let within = from.as_deref().is_none_or(|from| from <= at) && to.as_deref().is_none_or(|to| at <= to);
        if entry.get("kind").and_then(Value::as_str) != Some("receipt") || !within {
            return;
        }
        let row = row(index, &entry);
        self.count += 1;
        match self.format {
            Form::Jsonl => self.line(&row.to_string()),
            Form::Csv => {
                let cells: Vec<String> =
                    COLUMNS.iter().map(|(name, _)| cell(row.get(*name).unwrap_or(&Value::Null))).collect();
                self.line(&cells.join(","));
            }
        }
    }

    fn line(&mut self, line: &str) {
        if self.fault.is_none() {
            self.fault = writeln!(self.to, "{line}").err();
        }
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        // A fault of the last write is the only one that nobody hears of; the count then does not fit the file.
        let _flushed = self.to.flush();
    }
}

/// The columns that a receipt has; what it lacks is left out.
fn row(index: u64, receipt: &Value) -> Value {
    let mut row = Map::from_iter([("index".to_owned(), json!(index))]);
    for (name, at) in COLUMNS {
        if let Some(value) = receipt.pointer(at).filter(|_| !at.is_empty()) {
            row.insert((*name).to_owned(), value.clone());
        }
    }
    Value::Object(row)
}

/// A cell of a table: lists and rules by name with blanks between them, quoted as in RFC 4180. What a spreadsheet would take for a
/// formula gets a quote before it.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let name = |item: &Value| {
                item.as_str().or_else(|| item.get("id")?.as_str()).unwrap_or_default().to_owned()
            };
            items.iter().map(name).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text };
    clyra_seal::rollup::cell(&text)
}

fn day(said: &str) -> Result<String, String> {
    let day: jiff::civil::Date = said.parse().map_err(|_| "a day is written as 2026-11-24".to_owned())?;
    Ok(day.to_string())
}

/// Name of each column, and where in a receipt it stands.
const COLUMNS: &[(&str, &str)] = &[
    ("index", ""),
    ("at", "/at"),
    ("id", "/id"),
    ("gateway", "/stream/gateway"),
    ("epoch", "/stream/epoch"),
    ("seq", "/stream/seq"),
    ("phase", "/phase"),
    ("intent", "/intent"),
    ("actor", "/caller/actor"),
    ("actor_kind", "/caller/actor_kind"),
    ("auth", "/caller/auth"),
    ("tenant", "/caller/tenant"),
    ("via", "/caller/via"),
    ("database", "/target/database"),
    ("verb", "/action/verb"),
    ("reads", "/action/reads"),
    ("writes", "/action/writes"),
    ("shape", "/action/shape"),
    ("verdict", "/decision/verdict"),
    ("enforced", "/decision/enforced"),
    ("rules", "/decision/rules"),
    ("policy", "/decision/policy"),
    ("policy_version", "/decision/policy_version"),
    ("approvals", "/decision/approvals"),
    ("status", "/outcome/status"),
    ("rows", "/outcome/rows"),
    ("sqlstate", "/outcome/sqlstate"),
    ("run_id", "/run/run_id"),
    ("change_intent", "/run/change_intent"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_safe_in_a_spreadsheet() {
        assert_eq!(cell(&json!("=1+1,\"x\"")), "\"'=1+1,\"\"x\"\"\"");
        assert_eq!(cell(&json!([{"id": "a", "verdict": "deny"}, "b"])), "a b");
        assert_eq!((cell(&Value::Null), cell(&json!(7))), (String::new(), "7".into()));
        let receipt = json!({"at": "2026-11-24T10:00:00Z", "action": {"verb": "select"}});
        assert_eq!(row(3, &receipt), json!({"index": 3, "at": "2026-11-24T10:00:00Z", "verb": "select"}));
        assert!(day("2026-02-30").is_err());
    }
}
