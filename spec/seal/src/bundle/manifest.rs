//! The manifest of a bundle: what its files say when they are added up. It adds up only what it is given.

use super::Cut;
use crate::{Error, hex};
use clyra_spec::media::{BUNDLE_PREDICATE, STATEMENT_TYPE};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Sums over the entries of a bundle, added in the order of the log.
#[derive(Debug, Default)]
pub(super) struct Summary {
    counts: BTreeMap<String, u64>,
    verdicts: BTreeMap<String, u64>,
    policies: BTreeSet<String>,
    streams: BTreeMap<(String, u64), Sums>,
}

/// Sums over the run's own entries of one gateway and epoch.
#[derive(Debug, Default)]
struct Sums {
    first_seq: u64,
    last_seq: u64,
    receipts: u64,
    /// The own entry with the highest seq so far is a `run_close`.
    ends_closed: bool,
}

impl Summary {
    /// Adds one entry.
    pub(super) fn add(&mut self, run_id: &str, entry: &[u8]) -> Result<(), Error> {
        let face: Face =
            serde_json::from_slice(entry).map_err(|fault| Error::malformed("entry", fault.to_string()))?;
        match face.kind.as_str() {
            "receipt" => {
                let decision = face.decision.ok_or_else(|| Error::malformed("receipt", "no decision"))?;
                if face.phase.as_deref() != Some("outcome") {
                    *self.verdicts.entry(decision.verdict).or_default() += 1;
                }
                self.policies.insert(decision.policy);
                if face.run.is_some_and(|run| run.run_id == run_id) {
                    self.own(face.stream, &face.kind)?;
                }
            }
            "run_open" | "heartbeat" | "run_close" if face.run_id.as_deref() == Some(run_id) => {
                self.own(face.stream, &face.kind)?;
            }
            "policy" => self.policies.extend(face.digest),
            _ => {}
        }
        *self.counts.entry(face.kind).or_default() += 1;
        Ok(())
    }

    fn own(&mut self, stream: Option<Stream>, kind: &str) -> Result<(), Error> {
        let stream = stream.ok_or_else(|| Error::malformed("entry", "no stream"))?;
        let sums = self.streams.entry((stream.gateway, stream.epoch)).or_default();
        if sums.first_seq == 0 {
            sums.first_seq = stream.seq;
        }
        sums.last_seq = stream.seq;
        sums.receipts += u64::from(kind == "receipt");
        sums.ends_closed = kind == "run_close";
        Ok(())
    }

    fn closed(&self) -> bool {
        !self.streams.is_empty() && self.streams.values().all(|sums| sums.ends_closed)
    }

    /// The in-toto Statement over the other files.
    pub(super) fn statement(&self, cut: &Cut<'_>, files: &[(&str, &[u8])]) -> Value {
        let subjects: Vec<Value> = files
            .iter()
            .map(|(name, content)| {
                let digest = json!({
                    "blake3": blake3::hash(content).to_hex().as_str(),
                    "sha256": hex(&Sha256::digest(content)),
                });
                json!({"digest": digest, "name": name})
            })
            .collect();
        json!({
            "_type": STATEMENT_TYPE,
            "predicate": self.predicate(cut),
            "predicateType": BUNDLE_PREDICATE,
            "subject": subjects,
        })
    }

    fn predicate(&self, cut: &Cut<'_>) -> Value {
        let streams: Vec<Value> = self
            .streams
            .iter()
            .map(|((gateway, epoch), sums)| {
                json!({
                    "epoch": epoch,
                    "first_seq": sums.first_seq,
                    "gateway": gateway,
                    "last_seq": sums.last_seq,
                    "receipts": sums.receipts,
                })
            })
            .collect();
        let mut claims = CLAIMS.to_vec();
        if self.closed() {
            claims.push(CLAIM_WHEN_CLOSED);
        }
        json!({
            "claims": claims,
            "closed": self.closed(),
            "container": "pef",
            "counts": self.counts,
            "log": {
                "origin": cut.checkpoint.origin,
                "root": hex(&cut.checkpoint.root),
                "size": cut.checkpoint.size,
            },
            "non_claims": NON_CLAIMS,
            "policies": self.policies,
            "producer": cut.producer,
            "run_id": cut.run_id,
            "spec": "clyra.dev/spec/bundle/v1",
            "streams": streams,
            "verdicts": self.verdicts,
        })
    }
}

/// What the summary needs of an entry; the rest is passed over.
#[derive(Deserialize)]
struct Face {
    kind: String,
    stream: Option<Stream>,
    run: Option<Run>,
    run_id: Option<String>,
    phase: Option<String>,
    decision: Option<Decision>,
    digest: Option<String>,
}

#[derive(Deserialize)]
struct Stream {
    epoch: u64,
    gateway: String,
    seq: u64,
}

#[derive(Deserialize)]
struct Run {
    run_id: String,
}

#[derive(Deserialize)]
struct Decision {
    policy: String,
    verdict: String,
}

const CLAIMS: [&str; 2] = [
    "every entry listed stands in the log at the index stated, under the root of the checkpoint",
    "every entry listed was signed for by the gateway that made it, at its place in that gateway's stream",
];
const CLAIM_WHEN_CLOSED: &str = "the receipts listed are all that the gateways numbered for this run";
const NON_CLAIMS: [&str; 4] = [
    "that no statement reached a database without passing a gateway",
    "that what callers say about themselves and their run is true",
    "that the clocks of the gateways were right",
    "that the policies in force were sufficient",
];
