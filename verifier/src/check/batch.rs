//! The gateways' own signatures: which batches they signed for, and that every entry stands in one at its place.

use super::{Evidence, count, unreached, wide};
use crate::Trust;
use crate::error::{Doubt, Finding, Flaw, flaw};
use crate::json::canonical;
use crate::json::fields::Fields;
use crate::read::entry::{Entry, Kind};
use crate::read::envelope::Envelope;
use crate::read::tree::{self, Hash, sha256};
use crate::trust::Role;
use clyra_spec::limits::BATCH_ENTRIES_MAX;
use std::collections::BTreeMap;

/// A batch that a trusted gateway signed for.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) gateway: Box<str>,
    pub(crate) epoch: u64,
    pub(crate) first_seq: u64,
    pub(crate) count: u64,
    pub(crate) root: Hash,
    pub(crate) previous: Hash,
    pub(crate) is_final: bool,
    pub(crate) maker: Box<str>,
    /// SHA-256 of the header's bytes, the `previous` of the next one.
    pub(crate) digest: Hash,
}

/// `batch-signature`: every header by the key of the gateway that it names.
pub(super) fn signatures(evidence: &mut Evidence<'_>) -> Finding {
    let mut batches = BTreeMap::new();
    for ((entry, proof), line) in evidence.proven()?.zip(&evidence.lines) {
        if let Kind::Batch(envelope) = &entry.kind {
            let batch = open(entry, envelope, line, evidence.trust);
            let batch = batch.map_err(|flaw| flaw.at(format_args!("batch at index {}", proof.index)))?;
            batches.insert(proof.index, batch);
        }
    }
    let told = count(wide(batches.len()), "batch", "batches");
    evidence.batches = Some(batches);
    Ok(format!("{told} signed by trusted gateways"))
}

/// `batch-membership`: every entry leads to its batch's root from its seq.
pub(super) fn membership(evidence: &Evidence<'_>) -> Finding {
    let batches = evidence.batches()?;
    let mut members: u64 = 0;
    for ((entry, proof), line) in evidence.proven()?.zip(&evidence.lines) {
        let Some(stream) = &entry.stream else { continue };
        let told = |what: &str| Err(Doubt::Fail(format!("entry at index {}: {what}", proof.index)));
        let Some(batch) = batches.get(&proof.batch) else {
            return told("the header of its batch is not in the bundle");
        };
        let Some(place) = stream.seq.checked_sub(batch.first_seq).filter(|place| *place < batch.count) else {
            return told("its seq is not within its batch");
        };
        let path = proof.batch_path.as_deref().unwrap_or_default();
        if tree::climb(tree::leaf(line), place, batch.count, path) != Some(batch.root) {
            return told("its path does not lead to the root that the gateway signed");
        }
        members += 1;
    }
    Ok(format!("{} in the batches that the gateways signed", count(members, "entry is", "entries are")))
}

/// `stream-order`: entries match their batch, and seqs rise with the log.
pub(super) fn order(evidence: &Evidence<'_>) -> Finding {
    let batches = evidence.batches()?;
    let mut last: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (entry, proof) in evidence.proven()? {
        let Some(stream) = &entry.stream else { continue };
        let told = |what: &str| Err(Doubt::Fail(format!("entry at index {}: {what}", proof.index)));
        let Some(batch) = batches.get(&proof.batch) else {
            return Err(unreached("a batch header is missing"));
        };
        if stream.gateway != batch.gateway || stream.epoch != batch.epoch || entry.maker != batch.maker {
            return told("its gateway, epoch or maker is not that of its batch");
        }
        let place = stream.seq.checked_sub(batch.first_seq);
        if place.and_then(|place| proof.batch.checked_add(1)?.checked_add(place)) != Some(proof.index) {
            return told("it does not stand in the log where its batch puts it");
        }
        let here = (stream.epoch, stream.seq);
        if last.insert(&stream.gateway, here).is_some_and(|before| before >= here) {
            return told("its epoch and seq do not rise with the log");
        }
    }
    chained(batches)?;
    let told = count(wide(last.len()), "gateway", "gateways");
    Ok(format!("epochs and seqs of {told} rise with the log, and batches follow one another"))
}

/// Headers of one gateway follow one another: no overlap, no batch after the last, and neighbours are linked.
fn chained(batches: &BTreeMap<u64, Batch>) -> Result<(), Flaw> {
    let mut last: BTreeMap<&str, &Batch> = BTreeMap::new();
    let mut free: u64 = 0;
    for (index, batch) in batches {
        let told = |what: &str| flaw(format!("batch at index {index}: {what}"));
        if *index < free {
            return told("it begins within the batch before it");
        }
        free = index.saturating_add(1).saturating_add(batch.count);
        let Some(before) = last.insert(&batch.gateway, batch) else { continue };
        match follows(before, batch) {
            Some(true) if batch.previous != before.digest => {
                return told("it does not name the batch before it");
            }
            Some(_) if batch.previous == [0; 32] => return told("it claims to be its gateway's first"),
            Some(_) => {}
            None => return told("it does not follow the batch before it"),
        }
    }
    Ok(())
}

/// Whether `next` may come after `before`, and then whether nothing can stand between them.
pub(crate) fn follows(before: &Batch, next: &Batch) -> Option<bool> {
    let free = before.first_seq.saturating_add(before.count);
    if next.epoch > before.epoch {
        return Some(false);
    }
    (next.epoch == before.epoch && !before.is_final && next.first_seq >= free)
        .then_some(next.first_seq == free)
}

/// Verifies one header and takes its claims apart.
pub(crate) fn open(entry: &Entry, envelope: &Envelope, line: &[u8], trust: &Trust) -> Result<Batch, Flaw> {
    if *entry.maker != *envelope.keyid {
        return flaw("`maker` and `keyid` differ");
    }
    let signer = envelope.signer(trust, Role::Gateway)?;
    let batch = claims(&envelope.payload, entry, line).map_err(|flaw| flaw.at("payload"))?;
    if *batch.gateway != *signer.name {
        return flaw(format!("signed by `{}` for another gateway", signer.id));
    }
    Ok(batch)
}

fn claims(payload: &[u8], entry: &Entry, line: &[u8]) -> Result<Batch, Flaw> {
    let value = canonical::parse(payload)?;
    let mut fields = Fields::of(&value)?;
    let batch = Batch {
        gateway: fields.text("gateway")?.into(),
        epoch: fields.whole("epoch")?,
        first_seq: fields.whole("first_seq")?,
        count: fields.whole("count")?,
        root: fields.hex("root")?,
        previous: fields.hex("previous")?,
        is_final: fields.bool("final")?,
        maker: entry.maker.clone(),
        digest: sha256(line),
    };
    fields.end()?;
    if batch.epoch == 0 || batch.first_seq == 0 {
        return flaw("`epoch` and `first_seq` count from 1");
    }
    if batch.count > wide(BATCH_ENTRIES_MAX) {
        return flaw(format!("`count` is {}, at most {BATCH_ENTRIES_MAX} is allowed", batch.count));
    }
    if batch.count == 0 && !batch.is_final {
        return flaw("`count` is 0, which only a final batch may have");
    }
    Ok(batch)
}
