//! The small log behind the vectors: one run of four receipts in two batches, as plain data, so that anything may be told
//! otherwise before it is sealed. It never reads a clock.

use super::forge::Forge;
use clyra_seal::bundle::{Item, Place};
use clyra_seal::key::SigningKey;
use clyra_seal::note::Checkpoint;
use clyra_seal::{Hash, batch, canonical, merkle};
use serde_json::{Value, json};

/// Entries that one header covers, and how far their gateway is from honest.
pub(crate) struct Batch {
    pub(crate) gateway: &'static str,
    pub(crate) epoch: u64,
    pub(crate) first_seq: u64,
    pub(crate) last: bool,
    pub(crate) entries: Vec<Value>,
    pub(crate) forge: Forge,
}

/// One entry of the log.
pub(crate) struct Logged {
    /// As it was logged.
    pub(crate) bytes: Vec<u8>,
    /// As an honest gateway would have written it; the manifest is made from this.
    pub(crate) honest: Vec<u8>,
    /// Index of the header, and how many entries it covers.
    head: usize,
    count: usize,
}

/// Key of a gateway of the vectors.
pub(crate) fn gateway_key(name: &str, seed: u8) -> SigningKey {
    let number = name.as_bytes().last().copied().unwrap_or_default() - b'0';
    let mut bytes = [seed; 32];
    bytes[0] = number;
    SigningKey::from_seed(name, &bytes).unwrap()
}

/// The plain story of one gateway: policy, run, receipts, switch; two batches, the second one final.
pub(crate) fn plain(gateway: &'static str) -> Vec<Batch> {
    let first = vec![
        policy(),
        json!({"kind": "run_open", "run_id": "r1"}),
        receipt("whole", "allow", "select", 1),
        receipt("whole", "deny", "delete", 2),
    ];
    let second = vec![
        receipt("intent", "allow", "update", 3),
        switch(),
        receipt("outcome", "allow", "update", 4),
        json!({"kind": "run_close", "count": 4, "reason": "asked", "run_id": "r1"}),
    ];
    let batch = |first_seq, entries, last| Batch {
        gateway,
        epoch: EPOCH,
        first_seq,
        last,
        entries,
        forge: Forge::default(),
    };
    vec![batch(1, first, false), batch(5, second, true)]
}

/// Writes the log that these batches make.
pub(crate) fn write(batches: Vec<Batch>) -> Vec<Logged> {
    let mut log: Vec<Logged> = Vec::new();
    let mut ids = 0;
    let mut next_id = || {
        ids += 1;
        format!("01936a5e-0000-7000-8000-{ids:012x}")
    };
    let mut previous: Vec<(&str, Hash)> = Vec::new();
    let mut intent = String::new();
    for batch in batches {
        let key = gateway_key(batch.gateway, 1);
        let mut covered = Vec::new();
        for (seq, mut entry) in (batch.first_seq..).zip(batch.entries) {
            let id = next_id();
            if entry["phase"] == "intent" {
                intent.clone_from(&id);
            }
            if entry["phase"] == "outcome" {
                fill(&mut entry, "intent", intent.as_str().into());
            }
            fill(&mut entry, "at", AT.into());
            fill(&mut entry, "id", id.into());
            fill(&mut entry, "maker", key.id().into());
            let stream = json!({"epoch": batch.epoch, "gateway": batch.gateway, "seq": seq});
            fill(&mut entry, "stream", stream);
            fill(&mut entry, "v", 1.into());
            let honest = canonical::to_vec(&entry).unwrap();
            covered.push((batch.forge.entry(&honest), honest));
        }
        let leaves: Vec<Hash> = covered.iter().map(|(bytes, _)| merkle::leaf_hash(bytes)).collect();
        let claims = batch::Claims {
            gateway: batch.gateway.into(),
            epoch: batch.epoch,
            first_seq: batch.first_seq,
            count: leaves.len() as u64,
            root: merkle::root(&leaves),
            previous: previous
                .iter()
                .rfind(|(of, _)| *of == batch.gateway)
                .map_or([0; 32], |(_, hash)| *hash),
            last: batch.last,
        };
        let (bytes, honest) = batch.forge.header(&key, &claims, &next_id());
        previous.push((batch.gateway, batch::digest(&bytes)));
        let (head, count) = (log.len(), covered.len());
        log.push(Logged { bytes, honest, head, count });
        log.extend(covered.into_iter().map(|(bytes, honest)| Logged { bytes, honest, head, count }));
    }
    log
}

/// The checkpoint over the whole log.
pub(crate) fn checkpoint(log: &[Logged]) -> Checkpoint {
    Checkpoint { origin: "log-1".into(), size: log.len() as u64, root: merkle::root(&leaves(log)) }
}

/// The entries at these indexes as they go into a bundle, told honestly, with the proofs of what was logged.
pub(crate) fn items(log: &[Logged], picked: &[usize]) -> Vec<Item> {
    let leaves = leaves(log);
    let item = |index: usize| {
        let Logged { honest, head, count, .. } = &log[index];
        let place = if *head == index {
            Place::Header
        } else {
            let path = merkle::inclusion_path(&leaves[head + 1..=head + count], index - head - 1);
            Place::Covered { batch: *head as u64, path }
        };
        let path = merkle::inclusion_path(&leaves, index);
        Item { entry: honest.clone(), index: index as u64, path, place }
    };
    picked.iter().map(|index| item(*index)).collect()
}

fn leaves(log: &[Logged]) -> Vec<Hash> {
    log.iter().map(|entry| merkle::leaf_hash(&entry.bytes)).collect()
}

fn fill(entry: &mut Value, field: &str, value: Value) {
    entry.as_object_mut().unwrap().entry(field).or_insert(value);
}

/// A receipt of run `r1`.
pub(crate) fn receipt(phase: &str, verdict: &str, verb: &str, run_seq: u64) -> Value {
    let mut receipt = json!({
        "action": {"reads": ["public.orders"], "shape": "00112233445566778899aabbccddeeff", "verb": verb},
        "caller": {"actor": "ffeeddccbbaa99887766554433221100", "actor_kind": "agent", "auth": "scram", "via": "étl"},
        "decision": {"decided_us": 7, "enforced": true, "policy": POLICY, "policy_version": 3, "verdict": verdict},
        "kind": "receipt",
        "phase": phase,
        "run": {"asset_ids": ["orders"], "run_id": "r1", "run_seq": run_seq},
        "target": {"database": "shop", "protocol": "postgres", "upstream": "main"},
    });
    if phase != "intent" && verdict == "allow" {
        receipt["outcome"] = json!({"bytes_in": 40, "bytes_out": 90, "rows": 1, "status": "ok", "total_us": 900, "upstream_us": 800});
    }
    if verdict == "deny" {
        receipt["decision"]["rules"] =
            json!([{"enforced": true, "id": "no-mass-delete", "reason": "no_where", "verdict": "deny"}]);
    }
    receipt
}

/// A policy taken into use.
pub(crate) fn policy() -> Value {
    json!({"kind": "policy", "digest": POLICY, "mode": "enforce", "name": "shop", "reason": "start", "version": 3})
}

/// The kill switch turned.
pub(crate) fn switch() -> Value {
    json!({"kind": "switch", "by": "ada", "cause": "asked", "level": "block_writes", "reason": "drill", "scope": "global", "turn": 7})
}

/// A loss reported, of two entries unless nobody knows.
pub(crate) fn gap(known: bool) -> Value {
    let mut gap = json!({"kind": "gap", "last_seq": 4, "lost_epoch": EPOCH, "reason": "outbox_full"});
    if known {
        gap["count"] = 2.into();
    }
    gap
}

/// When everything happens.
pub(crate) const AT: &str = "2026-11-22T10:00:00.000000Z";
/// The only epoch of the plain story.
pub(crate) const EPOCH: u64 = 1_795_000_000_000;
const POLICY: &str = "sha256:7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730";
