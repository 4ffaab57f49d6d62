//! Daily rollups of the published log, each linked to the one before, made beside a recorder that may be at work. It changes
//! nothing of the log, and never a rollup that is there.

use crate::Error;
use crate::cut::paths::Paths;
use crate::shelf::reader::Reader;
use bytes::Bytes;
use clyra_seal::key::SigningKey;
use clyra_seal::rollup::{self, Day, Tally};
use clyra_seal::{Hash, batch};
use clyra_spec::media::STATEMENT_PAYLOAD_TYPE;
use jiff::civil::Date;
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tokio::runtime::Handle;
use tokio::task;

/// One rollup that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its day, UTC.
    pub day: String,
    /// Its file.
    pub path: PathBuf,
    /// Entries of the log in it.
    pub entries: u64,
}

/// Makes the rollup of every day that is over before `today` (`2026-11-24`, UTC) and has none yet, from the day of the log's
/// first entry on.
///
/// # Errors
/// When the log cannot be read, an earlier rollup is damaged, or a file cannot be written.
pub async fn rollup(data: &Path, today: &str) -> Result<Vec<Made>, Error> {
    let (data, runtime) = (data.to_owned(), Handle::current());
    let today = date(today)?;
    let made = task::spawn_blocking(move || {
        let mut roller = Roller::open(&data, runtime)?;
        let mut made = Vec::new();
        while let Some(day) = roller.next_day(today)? {
            made.push(roller.roll(day)?);
        }
        Ok(made)
    });
    made.await.map_err(|fault| Error::Stopped { why: fault.to_string() })?
}

/// The end of the chain, and the log that it goes on over.
struct Roller {
    folder: PathBuf,
    reader: Reader,
    key: SigningKey,
    last: Option<Date>,
    first: u64,
    previous: Hash,
}

impl Roller {
    fn open(data: &Path, runtime: Handle) -> Result<Self, Error> {
        let reader = Reader::open(data, runtime)?;
        let key = SigningKey::load(&data.join("bundle.key"))?;
        let folder = data.join("rollup");
        fs::create_dir_all(&folder).map_err(Error::file("make", &folder))?;
        let mut roller = Self { folder, reader, key, last: None, first: 0, previous: [0; 32] };
        roller.go_on()?;
        Ok(roller)
    }

    /// Stands behind the newest rollup that is there.
    fn go_on(&mut self) -> Result<(), Error> {
        let mut days: Vec<Date> = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(Error::file("list", &self.folder))? {
            let path = entry.map_err(Error::file("list", &self.folder))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let stem = path.file_stem().and_then(|stem| stem.to_str());
                days.extend(stem.and_then(|stem| stem.parse::<Date>().ok()));
            }
        }
        let Some(day) = days.into_iter().max() else { return Ok(()) };
        let path = self.path(day, "json");
        let bytes = fs::read(&path).map_err(Error::file("read", &path))?;
        let damaged = |why: String| Error::Damaged { path: path.clone(), offset: 0, why };
        let payload = clyra_seal::dsse::Envelope::from_slice(&bytes)
            .and_then(|envelope| envelope.open(STATEMENT_PAYLOAD_TYPE, &self.key.verifying()))
            .map_err(|fault| damaged(fault.to_string()))?;
        let statement: Value =
            serde_json::from_slice(&payload).map_err(|fault| damaged(fault.to_string()))?;
        let size = statement.pointer("/predicate/log/size").and_then(Value::as_u64);
        self.first = size.ok_or_else(|| damaged("it names no size of the log".into()))?;
        if self.first > self.reader.size {
            return Err(Error::mismatch(format!(
                "the rollup of {day} reaches to entry {}, the checkpoint only to {}",
                self.first, self.reader.size
            )));
        }
        (self.last, self.previous) = (Some(day), batch::digest(&bytes));
        Ok(())
    }

    /// The next day without a rollup, where it is over.
    fn next_day(&self, today: Date) -> Result<Option<Date>, Error> {
        let next = match self.last {
            Some(last) => last.tomorrow().map_err(|fault| Error::mismatch(fault.to_string()))?,
            None => match self.reader.entries(0)?.first().and_then(day_of) {
                Some(day) => day,
                None => return Ok(None),
            },
        };
        Ok((next < today).then_some(next))
    }

    /// Adds up and writes one day: the table first, since the signed file speaks of it.
    fn roll(&mut self, day: Date) -> Result<Made, Error> {
        let name = day.to_string();
        let (tally, end) = self.tally(day, &name)?;
        let told = Day {
            day: &name,
            origin: &self.reader.origin,
            first: self.first,
            size: end,
            root: Paths::new(&self.reader.store, self.reader.size).root_at(end)?,
            previous: self.previous,
            producer: concat!("clyra ", env!("CARGO_PKG_VERSION")),
        };
        let made = rollup::build(&told, &tally, &self.key)?;
        let path = self.path(day, "json");
        write(&self.path(day, "csv"), &made.csv)?;
        write(&path, &made.json)?;
        let entries = end - self.first;
        (self.last, self.first, self.previous) = (Some(day), end, batch::digest(&made.json));
        Ok(Made { day: name, path, entries })
    }

    /// Sums from where the day before ended up to the first batch of a later day.
    fn tally(&self, day: Date, name: &str) -> Result<(Tally, u64), Error> {
        let (mut tally, mut at) = (Tally::default(), self.first);
        while at < self.reader.size {
            for entry in self.reader.entries(at)? {
                let is_later = is_header(&entry) && day_of(&entry).is_some_and(|of| of > day);
                if is_later {
                    return Ok((tally, at));
                }
                tally.add(name, at, &entry)?;
                at += 1;
            }
        }
        Ok((tally, at))
    }

    fn path(&self, day: Date, extension: &str) -> PathBuf {
        self.folder.join(format!("{day}.{extension}"))
    }
}

fn is_header(entry: &Bytes) -> bool {
    serde_json::from_slice::<crate::cut::face::Face<'_>>(entry).is_ok_and(|face| face.kind == "batch")
}

fn day_of(entry: &Bytes) -> Option<Date> {
    let entry: Value = serde_json::from_slice(entry).ok()?;
    rollup::day_of(&entry)?.parse().ok()
}

fn date(text: &str) -> Result<Date, Error> {
    text.parse().map_err(|_| Error::mismatch(format!("`{text}` is no day, `2026-11-24` is")))
}

/// Whole or not at all, and durable.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let draft = path.with_extension("draft");
    fs::write(&draft, bytes).map_err(Error::file("write", &draft))?;
    File::open(&draft).and_then(|file| file.sync_all()).map_err(Error::file("sync", &draft))?;
    fs::rename(&draft, path).map_err(Error::file("make", path))?;
    let folder = path.parent().unwrap_or(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::file("sync", folder))
}
