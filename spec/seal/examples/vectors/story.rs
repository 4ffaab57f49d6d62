//! The small log behind the vectors: one run of four receipts, and what may go wrong with it.

use clyra_seal::bundle::{Item, Place};
use clyra_seal::key::{SigningKey, VerifyingKey};
use clyra_seal::note::Checkpoint;
use clyra_seal::{Hash, batch, canonical, merkle};
use serde_json::{Value, json};

/// A log in the making, and how it departs from the plain story.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) gap: bool,
    pub(crate) foreign: bool,
    pub(crate) wrong_root: bool,
    pub(crate) wrong_seq: bool,
    pub(crate) wrong_count: bool,
    pub(crate) gateway_seed: u8,
    skipped: Option<&'static str>,
    reopened: bool,
    two: bool,
    log: Vec<Vec<u8>>,
    /// Entries chosen for the bundle, with their index.
    pub(crate) items: Vec<(Vec<u8>, usize)>,
    batches: Vec<(usize, usize)>,
    ids: u64,
}

/// Key of a gateway of the vectors.
pub(crate) fn gateway_key(name: &str, seed: u8) -> SigningKey {
    let number = name.as_bytes().last().copied().unwrap_or_default() - b'0';
    let mut bytes = [seed; 32];
    bytes[0] = number;
    SigningKey::from_seed(name, &bytes).unwrap()
}

impl Story {
    /// The log as it is after `change` had its say.
    pub(crate) fn told(change: impl FnOnce(&mut Self)) -> Self {
        let mut story = Self { gateway_seed: 1, ..Self::default() };
        change(&mut story);
        story.tell("gw-1");
        if story.two {
            story.tell("gw-2");
        }
        story.items = story.log.iter().cloned().enumerate().map(|(index, entry)| (entry, index)).collect();
        let keep = |text: &str| !text.contains("\"run_id\":\"r2\"");
        story.items.retain(|(entry, _)| keep(std::str::from_utf8(entry).unwrap()));
        story
    }

    pub(crate) fn skip(&mut self, what: &'static str) {
        self.skipped = Some(what);
    }

    pub(crate) fn reopen(&mut self) {
        self.reopened = true;
    }

    pub(crate) fn second_gateway(&mut self) {
        self.two = true;
    }

    /// Puts the receipt of another run into the bundle.
    pub(crate) fn keep_foreign(&mut self) {
        self.items = self.log.iter().cloned().enumerate().map(|(index, entry)| (entry, index)).collect();
    }

    pub(crate) fn keys(&self) -> Vec<VerifyingKey> {
        let names = if self.two { &["gw-1", "gw-2"][..] } else { &["gw-1"] };
        names.iter().map(|name| gateway_key(name, self.gateway_seed).verifying()).collect()
    }

    /// The checkpoint over the whole log and the chosen entries with their proofs.
    pub(crate) fn proven(&self, origin: &str) -> (Checkpoint, Vec<Item>) {
        let leaves: Vec<Hash> = self.log.iter().map(|entry| merkle::leaf_hash(entry)).collect();
        let checkpoint =
            Checkpoint { origin: origin.into(), size: leaves.len() as u64, root: merkle::root(&leaves) };
        let items = self.items.iter().map(|(entry, index)| {
            let (head, count) = *self.batches.iter().rfind(|(head, _)| head <= index).unwrap();
            let place = if head == *index {
                Place::Header
            } else {
                let path = merkle::inclusion_path(&leaves[head + 1..=head + count], index - head - 1);
                Place::Covered { batch: head as u64, path }
            };
            Item {
                entry: entry.clone(),
                index: *index as u64,
                path: merkle::inclusion_path(&leaves, *index),
                place,
            }
        });
        (checkpoint, items.collect())
    }

    /// One gateway's part: policy, run, receipts in two batches.
    fn tell(&mut self, gateway: &str) {
        let key = gateway_key(gateway, self.gateway_seed);
        let mut first = vec![
            json!({"kind": "policy", "digest": POLICY, "mode": "enforce", "name": "shop", "reason": "start", "version": 3}),
        ];
        first.push(json!({"kind": "run_open", "run_id": "r1"}));
        first.push(receipt("whole", "allow", "select", 1));
        first.push(receipt("whole", "deny", "delete", 2));
        let mut second = vec![receipt("intent", "allow", "update", 3)];
        second.push(json!({"kind": "switch", "by": "ada", "level": "block_writes", "reason": "drill", "scope": "global"}));
        if self.gap {
            second.push(json!({"kind": "gap", "count": 2, "last_seq": 4, "lost_epoch": EPOCH, "reason": "outbox_full"}));
        }
        let mut receipts = 3;
        if self.skipped != Some("outcome") {
            second.push(receipt("outcome", "allow", "update", 4));
            receipts = 4;
        }
        if self.foreign {
            let mut other = receipt("whole", "allow", "select", 1);
            other["run"]["run_id"] = "r2".into();
            second.push(other);
        }
        if self.skipped != Some("run_close") {
            let count = receipts + u64::from(self.wrong_count);
            second.push(json!({"kind": "run_close", "count": count, "reason": "asked", "run_id": "r1"}));
        }
        if self.reopened {
            second.push(json!({"kind": "run_open", "run_id": "r1"}));
            second.push(receipt("whole", "allow", "select", receipts + 1));
            second
                .push(json!({"kind": "run_close", "count": receipts + 1, "reason": "idle", "run_id": "r1"}));
        }
        let middle = if self.wrong_seq { 2 } else { first.len() as u64 + 1 };
        let previous = self.batch(&key, 1, [0; 32], first, false);
        self.batch(&key, middle, previous, second, true);
    }

    fn batch(
        &mut self,
        key: &SigningKey,
        first_seq: u64,
        previous: Hash,
        entries: Vec<Value>,
        last: bool,
    ) -> Hash {
        let count = entries.len() as u64;
        let mut encoded = Vec::new();
        let mut intent = String::new();
        for (seq, mut entry) in (first_seq..).zip(entries) {
            let id = self.next_id();
            if entry["phase"] == "intent" {
                intent.clone_from(&id);
            }
            if entry["phase"] == "outcome" {
                entry["intent"] = intent.clone().into();
            }
            entry["at"] = AT.into();
            entry["id"] = id.into();
            entry["maker"] = key.id().into();
            entry["stream"] = json!({"epoch": EPOCH, "gateway": key.name(), "seq": seq});
            entry["v"] = 1.into();
            encoded.push(canonical::to_vec(&entry).unwrap());
        }
        let leaves: Vec<Hash> = encoded.iter().map(|entry| merkle::leaf_hash(entry)).collect();
        let root = if self.wrong_root { [5; 32] } else { merkle::root(&leaves) };
        let claims = batch::Claims {
            gateway: key.name().into(),
            epoch: EPOCH,
            first_seq,
            count,
            root,
            previous,
            last,
        };
        let header = batch::seal(key, &claims, AT, &self.next_id()).unwrap();
        let digest = batch::digest(&header);
        self.batches.push((self.log.len(), encoded.len()));
        self.log.push(header);
        self.log.append(&mut encoded);
        digest
    }

    fn next_id(&mut self) -> String {
        self.ids += 1;
        format!("01936a5e-0000-7000-8000-{:012x}", self.ids)
    }
}

fn receipt(phase: &str, verdict: &str, verb: &str, run_seq: u64) -> Value {
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

const AT: &str = "2026-11-22T10:00:00.000000Z";
const EPOCH: u64 = 1_795_000_000_000;
const POLICY: &str = "sha256:7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730";
