//! Puts every named question to a bundle, in order; it asks the bundle for no key and no rule.

mod batch;
mod files;
mod log;
mod manifest;
mod run;
mod summary;
mod switch;

pub(crate) use self::batch::{Batch, follows, open};
use self::log::Proof;
use self::manifest::Manifest;
use crate::error::{Doubt, Finding};
use crate::read::container::File;
use crate::read::entry::Entry;
use crate::read::note::Note;
use crate::{Name, Report, Trust};
use std::collections::BTreeMap;

/// Largest bundle that is read, in bytes.
pub const BUNDLE_BYTES_MAX: u64 = 2 << 30;

/// Most entries in one bundle.
pub const ENTRIES_MAX: usize = 10_000_000;

/// Checks one bundle against the keys that the reader trusts.
///
/// It never fails and never panics, whatever the bytes are: garbage is a [`Report`] that says so.
pub fn verify_bundle(bytes: &[u8], trust: &Trust) -> Report {
    let mut evidence = Evidence::of(bytes, trust);
    let mut report = Report::default();
    for name in Name::ALL {
        let finding = examine(name, &mut evidence);
        report.note(name.as_str(), finding);
    }
    report.summary = summary::of(&evidence).ok();
    report
}

/// What has been read of a bundle so far. What is absent could not be read, and some check said why.
struct Evidence<'a> {
    bytes: &'a [u8],
    trust: &'a Trust,
    files: Vec<File<'a>>,
    manifest: Option<Manifest>,
    note: Option<Note<'a>>,
    lines: Vec<&'a [u8]>,
    entries: Option<Vec<Entry>>,
    proofs: Option<Vec<Proof>>,
    batches: Option<BTreeMap<u64, Batch>>,
}

fn examine(name: Name, evidence: &mut Evidence<'_>) -> Finding {
    match name {
        Name::Container => files::container(evidence),
        Name::Files => files::names(evidence),
        Name::ManifestEnvelope => manifest::envelope(evidence),
        Name::ManifestSignature => manifest::signature(evidence),
        Name::ManifestSubjects => manifest::subjects(evidence),
        Name::CheckpointSignature => log::checkpoint(evidence),
        Name::ManifestLog => manifest::log(evidence),
        Name::EntriesCanonical => files::entries(evidence),
        Name::Inclusion => log::inclusion(evidence),
        Name::BatchSignature => batch::signatures(evidence),
        Name::BatchMembership => batch::membership(evidence),
        Name::StreamOrder => batch::order(evidence),
        Name::RunMembers => run::members(evidence),
        Name::RunComplete => run::complete(evidence),
        Name::Outcomes => run::outcomes(evidence),
        Name::Gaps => run::gaps(evidence),
        Name::Switches => switch::turns(evidence),
        Name::Summary => summary::equals(evidence),
        Name::SpecText => summary::spec_text(evidence),
    }
}

impl<'a> Evidence<'a> {
    fn of(bytes: &'a [u8], trust: &'a Trust) -> Self {
        Self {
            bytes,
            trust,
            files: Vec::new(),
            manifest: None,
            note: None,
            lines: Vec::new(),
            entries: None,
            proofs: None,
            batches: None,
        }
    }

    fn file(&self, name: &'static str) -> Result<&'a [u8], Doubt> {
        let file = self.files.iter().find(|file| file.name == name);
        file.map(|file| file.content).ok_or_else(|| unreached(format!("file `{name}` is not there")))
    }

    fn manifest(&self) -> Result<&Manifest, Doubt> {
        self.manifest.as_ref().ok_or_else(|| unreached("the manifest could not be read"))
    }

    fn note(&self) -> Result<&Note<'a>, Doubt> {
        self.note.as_ref().ok_or_else(|| unreached("the checkpoint could not be read"))
    }

    fn entries(&self) -> Result<&[Entry], Doubt> {
        self.entries.as_deref().ok_or_else(|| unreached("the entries could not be read"))
    }

    fn proofs(&self) -> Result<&[Proof], Doubt> {
        self.proofs.as_deref().ok_or_else(|| unreached("the proofs could not be read"))
    }

    fn batches(&self) -> Result<&BTreeMap<u64, Batch>, Doubt> {
        self.batches.as_ref().ok_or_else(|| unreached("the batch headers do not hold"))
    }

    /// Every entry with its proof, in the order of the file.
    fn proven(&self) -> Result<impl Iterator<Item = (&Entry, &Proof)>, Doubt> {
        Ok(self.entries()?.iter().zip(self.proofs()?))
    }
}

fn unreached(why: impl std::fmt::Display) -> Doubt {
    Doubt::Unable(format!("not reached: {why}"))
}

/// The lines of a `.jsonl` file, each ended by one line feed, none empty.
fn lines(content: &[u8]) -> Result<Vec<&[u8]>, Doubt> {
    if content.is_empty() {
        return Ok(Vec::new());
    }
    let Some(content) = content.strip_suffix(b"\n") else {
        return Err(Doubt::Fail("the last line has no end".to_owned()));
    };
    let lines: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
    match lines.iter().position(|line| line.is_empty()) {
        Some(place) => Err(Doubt::Fail(format!("line {} is empty", place + 1))),
        None => Ok(lines),
    }
}

/// `1 entry`, `2 entries`.
pub(crate) fn count(number: impl Into<u64>, one: &str, many: &str) -> String {
    let number = number.into();
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A length as the number that reports and proofs use.
pub(crate) fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
