//! Bundles: the evidence of one run in one file (spec/bundle.md). Which entries belong to the run is the caller's to say.

pub mod container;
mod manifest;

use crate::sign::dsse;
use crate::sign::key::{SigningKey, VerifyingKey};
use crate::sign::note::Checkpoint;
use crate::{Error, Hash, canonical, hex};
use clyra_spec::media::STATEMENT_PAYLOAD_TYPE;
use manifest::Summary;
use serde_json::json;
use std::fmt::Write as _;

/// One entry of the log with its proofs.
#[derive(Clone, Debug)]
pub struct Item {
    /// The entry, byte-exact as logged.
    pub entry: Vec<u8>,
    /// Its index in the log.
    pub index: u64,
    /// Its inclusion path in the tree of the checkpoint, leaf to root.
    pub path: Vec<Hash>,
    /// Where it stands towards its batch.
    pub place: Place,
}

/// Where an entry stands towards its batch.
#[derive(Clone, Debug)]
pub enum Place {
    /// It is the header.
    Header,
    /// A header covers it.
    Covered {
        /// Index of the header in the log.
        batch: u64,
        /// Inclusion path in the tree of the batch, leaf to root.
        path: Vec<Hash>,
    },
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Signs batch headers.
    Gateway,
    /// Signs checkpoints.
    Log,
    /// Signs bundles.
    Recorder,
}

/// All that goes into the bundle of one run.
#[derive(Debug)]
pub struct Cut<'a> {
    /// The run.
    pub run_id: &'a str,
    /// The signed checkpoint, as text.
    pub note: &'a str,
    /// What it says.
    pub checkpoint: &'a Checkpoint,
    /// The entries, ascending by index.
    pub items: &'a [Item],
    /// Keys seen; readers take them as information only.
    pub keys: &'a [(Role, VerifyingKey)],
    /// Name and version of the program.
    pub producer: &'a str,
}

/// Bytes of the bundle, its manifest signed by the recorder's key.
///
/// # Errors
/// When an entry is not of a form that the log takes, or the bundle is larger than a container may be.
pub fn build(cut: &Cut<'_>, key: &SigningKey) -> Result<Vec<u8>, Error> {
    let mut entries = Vec::with_capacity(cut.items.iter().map(|item| item.entry.len() + 1).sum());
    let mut proofs = String::new();
    let mut summary = Summary::default();
    for item in cut.items {
        summary.add(cut.run_id, &item.entry)?;
        entries.extend_from_slice(&item.entry);
        entries.push(b'\n');
        write_proof(item, &mut proofs);
    }
    let keys = keys_text(cut.keys)?;
    let others: [(&str, &[u8]); 5] = [
        ("SPEC.txt", SPEC.as_bytes()),
        ("checkpoint", cut.note.as_bytes()),
        ("entries.jsonl", &entries),
        ("keys.jsonl", &keys),
        ("proofs.jsonl", proofs.as_bytes()),
    ];
    let statement = summary.statement(cut, &others);
    let manifest = dsse::sign(STATEMENT_PAYLOAD_TYPE, &canonical::to_vec(&statement)?, key).to_vec()?;
    let mut files = others.to_vec();
    files.push(("manifest.dsse.json", &manifest));
    container::write(&files)
}

/// One line: `batch`, `batch_path` (absent for headers), `index`, `path`.
fn write_proof(item: &Item, to: &mut String) {
    let joined =
        |path: &[Hash]| path.iter().map(|hash| format!("\"{}\"", hex(hash))).collect::<Vec<_>>().join(",");
    // Writing to a String cannot fail.
    let _ = match &item.place {
        Place::Header => write!(to, "{{\"batch\":{},", item.index),
        Place::Covered { batch, path } => {
            write!(to, "{{\"batch\":{batch},\"batch_path\":[{}],", joined(path))
        }
    };
    let _ = writeln!(to, "\"index\":{},\"path\":[{}]}}", item.index, joined(&item.path));
}

fn keys_text(keys: &[(Role, VerifyingKey)]) -> Result<Vec<u8>, Error> {
    let mut sorted: Vec<_> = keys.iter().collect();
    sorted.sort_unstable_by(|left, right| left.1.id().cmp(right.1.id()));
    sorted.dedup_by(|left, right| left.1.id() == right.1.id());
    let mut text = Vec::new();
    for (role, key) in sorted {
        let role = match role {
            Role::Gateway => "gateway",
            Role::Log => "log",
            Role::Recorder => "recorder",
        };
        let line = json!({"keyid": key.id(), "role": role, "vkey": key.to_string()});
        text.append(&mut canonical::to_vec(&line)?);
        text.push(b'\n');
    }
    Ok(text)
}

/// What `SPEC.txt` says in every bundle of this version.
const SPEC: &str = include_str!("../../../SPEC.txt");
