//! Daily rollups (spec page `rollup.md`): who signed them, whether they follow one another, and whether the log adds up to
//! them when it is counted again. It believes no number in them.

mod read;
mod tally;

use self::read::Rollup;
use self::tally::Tally;
use crate::error::{Doubt, Finding, Flaw};
use crate::read::note;
use crate::read::tree::{self, Edge};
use crate::walk::tiles::{Tiles, WIDTH};
use crate::{Error, Report, Trust};
use std::fs;
use std::path::{Path, PathBuf};

/// The checks of rollups, in order, with what each one proves.
pub const ROLLUP_CHECKS: [(&str, &str); 6] = [
    ("rollup-form", "every rollup can be read in one way only, and says what day it is of"),
    ("rollup-signature", "a recorder whose key stands in the trust file signed every rollup"),
    (
        "rollup-chain",
        "every day from the first to the last is there, each names the one before and goes on where it ended",
    ),
    ("rollup-table", "the table beside each rollup holds the same counts"),
    ("log-root", "the log whose key stands in the trust file leads to the root of every rollup"),
    ("log-counts", "every number in the rollups is what the entries of that part of the log add up to"),
];

/// Checks the rollups of this folder, or this one alone, and counts the log again where there is one.
///
/// # Errors
/// When the rollups or the log's checkpoint cannot be read. What is wrong with them stands in the report.
pub fn verify_rollups(path: &Path, log: Option<&Path>, trust: &Trust) -> Result<Report, Error> {
    let mut report = Report::default();
    let [form, signature, chain, table, root, counts] = ROLLUP_CHECKS.map(|(name, _)| name);
    let rest = [signature, chain, table, root, counts];
    let rollups = match read_all(path)? {
        Ok(rollups) => rollups,
        Err(flaw) => {
            report.note(form, Err(flaw.into()));
            for name in rest {
                report.note(name, unreached("a rollup could not be read"));
            }
            return Ok(report);
        }
    };
    report.note(form, Ok(format!("{} read", days(rollups.len()))));
    report.note(signature, signed(&rollups, trust));
    report.note(chain, chained(&rollups));
    report.note(table, tables(&rollups));
    let Some(log) = log else {
        report.note(root, unreached("no log was given, `--log DIR` names one"));
        report.note(counts, unreached("no log was given, `--log DIR` names one"));
        return Ok(report);
    };
    let (of_root, of_counts) = counted(&rollups, log, trust)?;
    report.note(root, of_root);
    report.note(counts, of_counts);
    Ok(report)
}

fn read_all(path: &Path) -> Result<Result<Vec<Rollup>, Flaw>, Error> {
    let mut files: Vec<PathBuf> = Vec::new();
    if path.is_dir() {
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if file.extension().is_some_and(|extension| extension == "json") {
                files.push(file);
            }
        }
        files.sort();
        if files.is_empty() {
            return Err(unreadable(std::io::ErrorKind::NotFound.into()));
        }
    } else {
        files.push(path.to_owned());
    }
    let mut rollups = Vec::with_capacity(files.len());
    for file in files {
        let bytes = fs::read(&file).map_err(|source| Error::Unreadable { path: file.clone(), source })?;
        let table = fs::read(file.with_extension("csv")).ok();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match read::read(&bytes, table, &name) {
            Ok(rollup) => rollups.push(rollup),
            Err(flaw) => return Ok(Err(flaw.at(format_args!("`{name}`")))),
        }
    }
    Ok(Ok(rollups))
}

fn signed(rollups: &[Rollup], trust: &Trust) -> Finding {
    for rollup in rollups {
        rollup.signer(trust).map_err(|flaw| flaw.at(&rollup.day))?;
    }
    Ok(format!("{} signed by trusted recorders", days(rollups.len())))
}

fn chained(rollups: &[Rollup]) -> Finding {
    for pair in rollups.windows(2) {
        let [before, rollup] = pair else { continue };
        let told = |what: String| Err(Doubt::Fail(format!("{}: {what}", rollup.day)));
        if read::day_after(&before.day).as_deref() != Some(&*rollup.day) {
            return told(format!("the day before it is not there, the last one is {}", before.day));
        }
        if rollup.previous != before.digest {
            return told(format!("it does not name the rollup of {}", before.day));
        }
        if rollup.first != before.size || rollup.origin != before.origin {
            return told(format!("it does not go on where {} ended", before.day));
        }
    }
    match rollups.first() {
        Some(first) if first.previous == [0; 32] && first.first == 0 => {
            Ok(format!("{} in a row from the log's first entry on", days(rollups.len())))
        }
        Some(first) if first.previous == [0; 32] => {
            Err(Doubt::Fail(format!("{}: the first rollup does not begin with the log", first.day)))
        }
        first => {
            let day = first.map_or("the first", |first| &first.day);
            Err(Doubt::Unable(format!("the days before {day} are not here")))
        }
    }
}

fn tables(rollups: &[Rollup]) -> Finding {
    for rollup in rollups {
        let told = |what: &str| format!("{}: {what}", rollup.day);
        let Some(table) = &rollup.table else {
            return Err(Doubt::Unable(told("the table is not there")));
        };
        if tree::sha256(table) != rollup.table_digest {
            return Err(Doubt::Fail(told("the table is not the one that was signed")));
        }
        if *table != rollup.due_table() {
            return Err(Doubt::Fail(told("the table does not hold the counts of the rollup")));
        }
    }
    Ok(format!("{} hold the same counts", days(rollups.len())))
}

/// Counts the log again: what it says of the roots, and what of the numbers.
fn counted(rollups: &[Rollup], log: &Path, trust: &Trust) -> Result<(Finding, Finding), Error> {
    let path = log.join("checkpoint");
    let bytes = fs::read(&path).map_err(|source| Error::Unreadable { path, source })?;
    let signed = note::parse(&bytes).and_then(|note| note.verify(trust).map(|_| note.checkpoint));
    let checkpoint = match signed {
        Ok(checkpoint) => checkpoint,
        Err(flaw) => return Ok((Err(flaw.into()), unreached("the log's checkpoint does not hold"))),
    };
    let mut count = Count {
        edge: Edge::default(),
        size: 0,
        rollups: rollups.iter(),
        current: None,
        counts: None,
        root: None,
    };
    count.next();
    if let Err(doubt) = count.walk(&Tiles::of(log), checkpoint.size) {
        return Ok((Err(doubt), unreached("the log is not whole")));
    }
    let root = if count.edge.root() != checkpoint.root {
        Err(Doubt::Fail("the entries do not lead to the root that the log signed".to_owned()))
    } else if let Some(other) = rollups.iter().find(|rollup| rollup.origin != checkpoint.origin) {
        Err(Doubt::Fail(format!("{}: it is of log `{}`", other.day, other.origin)))
    } else if let Some((current, _)) = count.current {
        let (day, size) = (&current.day, current.size);
        Err(Doubt::Fail(format!("{day}: it reaches to entry {size}, the log only to {}", checkpoint.size)))
    } else {
        count.root.map_or(Ok(format!("{} lie in the log", days(rollups.len()))), Err)
    };
    let counts = count.counts.map_or(Ok(format!("{} count as the log does", days(rollups.len()))), Err);
    Ok((root, counts))
}

/// A walk over the log with the rollup whose part it is in.
struct Count<'r> {
    edge: Edge,
    size: u64,
    rollups: std::slice::Iter<'r, Rollup>,
    current: Option<(&'r Rollup, Tally)>,
    counts: Option<Doubt>,
    root: Option<Doubt>,
}

impl Count<'_> {
    fn walk(&mut self, tiles: &Tiles, size: u64) -> Result<(), Doubt> {
        self.ends();
        while self.size < size {
            let width = (size - self.size).min(WIDTH);
            for bytes in tiles.entries(self.size / WIDTH, width)? {
                if let Some((rollup, tally)) = &mut self.current
                    && self.size >= rollup.first
                    && let Err(flaw) = tally.add(&rollup.day, self.size, &bytes)
                {
                    let told = flaw.at(format_args!("{}: entry at index {}", rollup.day, self.size));
                    self.counts.get_or_insert(told.into());
                }
                self.edge.add(tree::leaf(&bytes));
                self.size += 1;
                self.ends();
            }
        }
        Ok(())
    }

    /// Compares every rollup that ends here.
    fn ends(&mut self) {
        while let Some((rollup, tally)) = self.current.take_if(|(rollup, _)| rollup.size <= self.size) {
            if rollup.size == self.size && rollup.root != self.edge.root() {
                let told = format!("{}: its root is not the log's at size {}", rollup.day, self.size);
                self.root.get_or_insert(Doubt::Fail(told));
            }
            if let Err(flaw) = tally.equals(rollup) {
                self.counts.get_or_insert(flaw.at(&rollup.day).into());
            }
            self.next();
        }
    }

    fn next(&mut self) {
        self.current = self.rollups.next().map(|rollup| (rollup, Tally::default()));
    }
}

fn unreached(why: &str) -> Finding {
    Err(Doubt::Unable(format!("not reached: {why}")))
}

fn days(number: usize) -> String {
    crate::check::count(crate::check::wide(number), "day", "days")
}
