//! A gateway of one's own for tests: numbers, seals and chains like a real one. It never goes to the network.

use bytes::Bytes;
use clyra_proto::evidence::Batch;
use clyra_seal::batch::{self, Claims};
use clyra_seal::key::SigningKey;
use clyra_seal::{Hash, merkle};
use serde_json::{Value, json};

pub(crate) struct Gateway {
    pub(crate) key: SigningKey,
    pub(crate) epoch: u64,
    pub(crate) next_seq: u64,
    pub(crate) previous: Hash,
}

impl Gateway {
    pub(crate) fn new(name: &str, seed: u8) -> Self {
        let key = SigningKey::from_seed(name, &[seed; 32]).unwrap();
        Self { key, epoch: 1_000, next_seq: 1, previous: [0; 32] }
    }

    /// The next batch over these entries.
    pub(crate) fn batch(&mut self, entries: Vec<Value>) -> Batch {
        self.sealed(entries, false)
    }

    pub(crate) fn sealed(&mut self, entries: Vec<Value>, last: bool) -> Batch {
        let first_seq = self.next_seq;
        let entries: Vec<Bytes> = entries.into_iter().map(|entry| self.encode(entry)).collect();
        let leaves: Vec<Hash> = entries.iter().map(|entry| merkle::leaf_hash(entry)).collect();
        let claims = Claims {
            gateway: self.key.name().into(),
            epoch: self.epoch,
            first_seq,
            count: entries.len() as u64,
            root: merkle::root(&leaves),
            previous: self.previous,
            last,
        };
        let id = format!("01936a5e-0000-7000-8000-{:012x}", self.epoch + first_seq);
        let header = batch::seal(&self.key, &claims, AT, &id).unwrap();
        self.previous = batch::digest(&header);
        Batch { header: header.into(), entries }
    }

    fn encode(&mut self, mut entry: Value) -> Bytes {
        entry["at"] = AT.into();
        entry["id"] = format!("01936a5e-1111-7000-8000-{:012x}", self.next_seq).into();
        entry["maker"] = self.key.id().into();
        entry["stream"] = json!({"epoch": self.epoch, "gateway": self.key.name(), "seq": self.next_seq});
        entry["v"] = 1.into();
        self.next_seq += 1;
        clyra_seal::canonical::to_vec(&entry).unwrap().into()
    }
}

/// Receipts 1 to `count` of a run.
pub(crate) fn receipts(run_id: &str, count: u64) -> Vec<Value> {
    (1..=count).map(|run_seq| receipt(run_id, run_seq)).collect()
}

pub(crate) fn receipt(run_id: &str, run_seq: u64) -> Value {
    json!({
        "action": {"reads": ["public.orders"], "shape": "00112233445566778899aabbccddeeff", "verb": "select"},
        "caller": {"actor": "ffeeddccbbaa99887766554433221100", "actor_kind": "service", "auth": "scram"},
        "decision": {"decided_us": 3, "enforced": true, "policy": POLICY, "policy_version": 1, "verdict": "allow"},
        "kind": "receipt",
        "outcome": {"bytes_in": 1, "bytes_out": 2, "status": "ok", "total_us": 9, "upstream_us": 8},
        "phase": "whole",
        "run": {"run_id": run_id, "run_seq": run_seq},
        "target": {"database": "shop", "protocol": "postgres", "upstream": "main"},
    })
}

pub(crate) fn policy() -> Value {
    json!({"digest": POLICY, "kind": "policy", "mode": "enforce", "name": "shop", "reason": "start", "version": 1})
}

const AT: &str = "2026-11-22T10:00:00.000000Z";
const POLICY: &str = "sha256:7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730";
