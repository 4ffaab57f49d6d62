//! Recorded decisions, read from a log or a bundle: which there are, and what is missing between them. It changes nothing
//! and never takes a damaged log for a sound one.

pub(crate) mod backtest;
mod messages;
mod plot;
pub(crate) mod report;
mod statements;
mod tally;

use crate::{error::Error, peek, sign::span, tell, up::of_recorder};
use clap::Args;
use clyra_policy::tools::Receipt;
use messages::Messages;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    io::IsTerminal as _,
    path::{Path, PathBuf},
};
use tokio::{runtime::Handle, task};

/// Where decisions stand recorded.
#[derive(Clone, Debug, Args)]
pub(crate) struct Source {
    /// A recorder's folder, or that of `clyra up`; a running recorder is not disturbed
    #[arg(long, value_name = "DIR")]
    pub(crate) log: Option<PathBuf>,
    /// A bundle of one run; check it with `clyra bundle verify`, here it is taken as it is
    #[arg(long, value_name = "FILE", conflicts_with = "log")]
    pub(crate) bundle: Option<PathBuf>,
    /// From when on: RFC 3339, or how long ago, like `7d`
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) since: Option<u64>,
    /// Until when: RFC 3339, or how long ago
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) until: Option<u64>,
}

/// What was read, and what is known to be missing.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Extent {
    /// Entries of the log or bundle.
    pub(crate) entries: u64,
    /// Messages in the window.
    pub(crate) messages: u64,
    /// First and last of them.
    pub(crate) first: Option<Box<str>>,
    pub(crate) last: Option<Box<str>>,
    /// The entries give the root that the log's key has signed.
    pub(crate) checked: bool,
    /// `gap` entries: losses that a gateway has told of.
    pub(crate) gaps: u64,
    /// Entries that those count; more where a gap has no count.
    pub(crate) lost: u64,
    /// Places in streams where numbers are missing.
    pub(crate) holes: u64,
    /// Receipts that could not be read.
    pub(crate) unread: u64,
    #[serde(skip)]
    streams: BTreeMap<(Box<str>, u64), u64>,
}

/// The envelope of an entry.
#[derive(Deserialize)]
struct Face<'e> {
    #[serde(borrow)]
    kind: &'e str,
    stream: Option<clyra_policy::tools::Place>,
    count: Option<u64>,
}

impl Source {
    /// Gives the receipts of every message in the window to `judge`, message by message; never in the reader's own time, so
    /// that a long log ends as one that was only read.
    pub(crate) async fn read<T, J>(&self, mut state: T, judge: J) -> Result<(T, Extent), Error>
    where
        T: Send + 'static,
        J: Fn(&mut T, &[Receipt]) + Send + 'static,
    {
        let source = self.clone();
        let runtime = Handle::current();
        let read = task::spawn_blocking(move || {
            let (mut extent, mut messages) = (Extent::default(), Messages::default());
            let mut visit = |entry: &[u8]| {
                let Some(receipt) = extent.entry(entry) else { return };
                for message in messages.add(receipt) {
                    source.pass(&mut extent, &message, |one| judge(&mut state, one));
                }
            };
            let checked = source.entries(runtime, &mut visit)?;
            for message in messages.rest() {
                source.pass(&mut extent, &message, |one| judge(&mut state, one));
            }
            extent.checked = checked;
            if source.bundle.is_some() {
                extent.holes = 0;
            }
            Ok((state, extent))
        });
        read.await.map_err(|error| Error::Ours { doing: "reading the log", why: error.to_string() })?
    }

    /// Every entry; whether they are proven to be the log's.
    fn entries(&self, runtime: Handle, visit: &mut dyn FnMut(&[u8])) -> Result<bool, Error> {
        if let Some(path) = &self.bundle {
            let bundle = fs::read(path)
                .map_err(|error| Error::Usage(format!("cannot read `{}`: {error}", path.display())))?;
            let entries = peek::file(&bundle, "entries.jsonl").ok_or_else(|| {
                Error::Usage(format!("`{}` is no bundle: it has no entries", path.display()))
            })?;
            entries.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).for_each(visit);
            return Ok(false);
        }
        let Some(path) = &self.log else {
            return Err(Error::Usage("no decisions to read; give --log DIR or --bundle FILE".into()));
        };
        let folder = recorder_in(path)?;
        let heard = std::io::stderr().is_terminal();
        let mut told = |index: u64, size: u64, entry: &[u8]| {
            if heard && index > 0 && index.is_multiple_of(PROGRESS) {
                tell::note(&format!("{index} of {size} entries read"));
            }
            visit(entry);
        };
        clyra_recorder::read(&folder, runtime, &mut told).map_err(|error| of_recorder(error, path))?;
        Ok(true)
    }

    fn pass(&self, extent: &mut Extent, message: &[Receipt], judge: impl FnOnce(&[Receipt])) {
        let Some((first, at_us)) = message.first().and_then(|one| Some((one, one.at_us()?))) else { return };
        if self.since.is_some_and(|since| at_us < since) || self.until.is_some_and(|until| at_us >= until) {
            return;
        }
        extent.messages += 1;
        if extent.first.as_ref().is_none_or(|known| first.at < *known) {
            extent.first = Some(first.at.clone());
        }
        if extent.last.as_ref().is_none_or(|known| first.at > *known) {
            extent.last = Some(first.at.clone());
        }
        judge(message);
    }
}

impl Extent {
    /// Counts an entry; the receipt, if it is one.
    fn entry(&mut self, entry: &[u8]) -> Option<Receipt> {
        self.entries += 1;
        let Ok(face) = serde_json::from_slice::<Face<'_>>(entry) else {
            self.unread += 1;
            return None;
        };
        if let Some(place) = face.stream {
            let last = self.streams.entry((place.gateway, place.epoch)).or_default();
            self.holes += u64::from(*last > 0 && place.seq > *last + 1);
            *last = place.seq.max(*last);
        }
        match face.kind {
            "gap" => {
                self.gaps += 1;
                self.lost += face.count.unwrap_or(0);
                None
            }
            "receipt" => {
                let receipt = serde_json::from_slice(entry).ok();
                self.unread += u64::from(receipt.is_none());
                receipt
            }
            _ => None,
        }
    }

    /// What was read, in one or two lines.
    pub(crate) fn in_words(&self) -> String {
        let span = match (&self.first, &self.last) {
            (Some(first), Some(last)) => format!(", {first} to {last}"),
            _ => String::new(),
        };
        let proven = if self.checked { "entries give the signed root" } else { "not checked against a log" };
        let mut text = format!("{}{span}; {proven}", tell::counted(self.messages, "message"));
        for (number, what) in [
            (self.gaps, format!("a gateway says that entries are lost ({} counted)", self.lost)),
            (self.holes, "numbers of a stream are missing".to_owned()),
            (self.unread, "entries could not be read".to_owned()),
        ] {
            if number > 0 {
                text.push_str(&format!("\nINCOMPLETE: {number} times: {what}"));
            }
        }
        text
    }
}

/// The recorder's folder in a folder that somebody has named.
fn recorder_in(path: &Path) -> Result<PathBuf, Error> {
    let inner = path.join("recorder");
    let found = [path, &inner].into_iter().find(|folder| folder.join("log.key").is_file());
    found.map(Path::to_owned).ok_or_else(|| {
        let path = path.display();
        Error::Usage(format!(
            "`{path}` holds no log; allowed: a recorder's folder (with `log.key` and `log`), or that of `clyra up`"
        ))
    })
}

/// A time, or how long ago it was, as microseconds since 1970.
fn time(text: &str) -> Result<u64, String> {
    let now = jiff::Timestamp::now();
    let time = match text.parse::<jiff::Timestamp>() {
        Ok(time) => time,
        Err(_) => {
            let ago = span(text).map_err(|_| {
                format!("`{text}` is no time; allowed: RFC 3339, like 2026-12-20T00:00:00Z, or how long ago, like 7d (30d at most)")
            })?;
            now.checked_sub(ago).map_err(|error| error.to_string())?
        }
    };
    u64::try_from(time.as_microsecond()).map_err(|_| format!("`{text}` is before 1970"))
}

/// After how many entries somebody who looks on is told.
const PROGRESS: u64 = 250_000;

#[cfg(test)]
mod tests;
