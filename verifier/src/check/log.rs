//! The log: its signed checkpoint, and the path from every entry up to it; it trusts the log with nothing else.

use super::{Evidence, count, lines, wide};
use crate::error::{Doubt, Finding, Flaw, flaw};
use crate::json::Value;
use crate::json::canonical;
use crate::json::fields::Fields;
use crate::json::text;
use crate::read::entry::Kind;
use crate::read::note;
use crate::read::tree::{self, Hash};

/// Where one entry stands, and its two paths.
pub(super) struct Proof {
    pub(super) index: u64,
    /// Index of the batch header that covers it; its own for a header.
    pub(super) batch: u64,
    pub(super) batch_path: Option<Vec<Hash>>,
    path: Vec<Hash>,
}

/// `checkpoint-signature`: the trusted log signed its size and root.
pub(super) fn checkpoint(evidence: &mut Evidence<'_>) -> Finding {
    let note = note::parse(evidence.file("checkpoint")?)?;
    let verified = note.verify(evidence.trust);
    let size = note.checkpoint.size;
    evidence.note = Some(note);
    let by = verified?;
    Ok(format!("signed by log `{by}` at size {size}"))
}

/// `inclusion`: every entry leads to the checkpoint's root from its index.
pub(super) fn inclusion(evidence: &mut Evidence<'_>) -> Finding {
    let entries = evidence.entries()?;
    let found = lines(evidence.file("proofs.jsonl")?)?;
    if found.len() != entries.len() {
        let (proofs, entries) = (found.len(), entries.len());
        return Err(Doubt::Fail(format!("{proofs} lines of proofs for {entries} entries")));
    }
    let read = found
        .iter()
        .enumerate()
        .map(|(place, line)| proof(line).map_err(|flaw| flaw.at(format_args!("proof {}", place + 1))));
    let proofs = read.collect::<Result<Vec<_>, Flaw>>()?;
    // What can be read is put to the later questions as well, whatever comes out here.
    evidence.proofs = Some(proofs);
    climbs(evidence)
}

fn climbs(evidence: &Evidence<'_>) -> Finding {
    let checkpoint = &evidence.note()?.checkpoint;
    let mut before = None;
    for (place, ((entry, proof), line)) in evidence.proven()?.zip(&evidence.lines).enumerate() {
        let told =
            |what: &str| Err(Doubt::Fail(format!("entry {} at index {}: {what}", place + 1, proof.index)));
        if before.is_some_and(|before| before >= proof.index) {
            return told("indexes do not rise");
        }
        before = Some(proof.index);
        let is_header = matches!(entry.kind, Kind::Batch(_));
        if is_header && (proof.batch != proof.index || proof.batch_path.is_some()) {
            return told("a batch header is its own batch and has no path in one");
        }
        if !is_header && proof.batch_path.is_none() {
            return told("the path in its batch is missing");
        }
        let root = tree::climb(tree::leaf(line), proof.index, checkpoint.size, &proof.path);
        if root != Some(checkpoint.root) {
            return told("its path does not lead to the checkpoint's root");
        }
    }
    let told = count(wide(evidence.lines.len()), "path leads", "paths lead");
    Ok(format!("{told} to the checkpoint's root"))
}

fn proof(line: &[u8]) -> Result<Proof, Flaw> {
    let value = canonical::parse(line)?;
    let mut fields = Fields::of(&value)?;
    let proof = Proof {
        index: fields.whole("index")?,
        batch: fields.whole("batch")?,
        batch_path: fields.maybe("batch_path").map(path).transpose()?,
        path: path(fields.any("path")?)?,
    };
    fields.end()?;
    Ok(proof)
}

fn path(value: &Value<'_>) -> Result<Vec<Hash>, Flaw> {
    let Value::List(items) = value else { return flaw("a path is not a list") };
    let node = |item: &Value<'_>| match item {
        Value::Text(spelled) => text::hex::<32>(spelled),
        _ => flaw("a node of a path is not a text"),
    };
    items.iter().map(node).collect()
}
