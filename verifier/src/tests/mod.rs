//! Good bundles pass, each fault is named, and garbage never passes.

mod bundle;
mod log;
mod maker;
mod noise;
mod trust;
mod vectors;

use self::maker::{EPOCH, Log, hex};
use serde_json::{Value, json};

/// A receipt of a run.
fn receipt(run_id: &str, run_seq: u64, verdict: &str) -> Value {
    json!({
        "kind": "receipt",
        "action": {"shape": "0123456789abcdef0123456789abcdef", "verb": "update", "writes": ["public.orders"]},
        "caller": {"actor": "00112233445566778899aabbccddeeff", "actor_kind": "agent", "auth": "scram", "via": "Zoë \"x\"\n"},
        "decision": {
            "decided_us": 3, "enforced": true, "policy": digest(1), "policy_version": 7, "verdict": verdict,
            "rules": [{"enforced": true, "id": "fence", "reason": "not_allowed", "verdict": verdict}],
        },
        "outcome": {"bytes_in": 80, "bytes_out": 20, "rows": 1, "status": "ok", "total_us": 900, "upstream_us": 800},
        "phase": "whole",
        "run": {"run_id": run_id, "run_seq": run_seq, "asset_ids": ["orders"], "currency": "EUR"},
        "target": {"database": "shop", "protocol": "postgres", "upstream": "main"},
    })
}

fn intent(run_id: &str, run_seq: u64, id: &str) -> Value {
    let mut intent = receipt(run_id, run_seq, "allow");
    intent["id"] = id.into();
    intent["phase"] = "intent".into();
    intent.as_object_mut().unwrap().remove("outcome");
    intent
}

fn outcome(run_id: &str, run_seq: u64, of: &str) -> Value {
    let mut outcome = receipt(run_id, run_seq, "allow");
    outcome["phase"] = "outcome".into();
    outcome["intent"] = of.into();
    outcome
}

fn open(run_id: &str) -> Value {
    json!({"kind": "run_open", "run_id": run_id})
}

fn close(run_id: &str, count: u64) -> Value {
    json!({"kind": "run_close", "run_id": run_id, "count": count, "reason": "idle"})
}

fn policy(number: u8) -> Value {
    json!({"kind": "policy", "digest": digest(number), "mode": "enforce", "name": "shop", "reason": "start", "version": 7})
}

fn switch() -> Value {
    json!({"kind": "switch", "by": "ops", "cause": "asked", "level": "block_writes", "reason": "drill", "scope": "global", "turn": 1})
}

fn gap(count: Option<u64>) -> Value {
    let mut gap = json!({"kind": "gap", "last_seq": 4, "lost_epoch": EPOCH, "reason": "outbox_full"});
    if let Some(count) = count {
        gap["count"] = count.into();
    }
    gap
}

fn digest(number: u8) -> String {
    format!("sha256:{}", hex(&[number; 32]))
}

/// Two gateways, three batches of the first, run `r1` closed, other things in between.
fn story() -> Log {
    let mut log = Log::new();
    log.batch(0, EPOCH, &[policy(1), open("other"), receipt("other", 1, "allow"), switch()]);
    log.batch(1, EPOCH + 5, &[policy(2), open("r1"), receipt("r1", 1, "allow"), receipt("r1", 2, "deny")]);
    log.batch(
        0,
        EPOCH,
        &[open("r1"), receipt("r1", 1, "allow"), intent("r1", 2, &maker::id(900)), policy(3), switch()],
    );
    log.batch(0, EPOCH, &[outcome("r1", 3, &maker::id(900)), receipt("other", 2, "deny"), close("r1", 3)]);
    log.batch(
        1,
        EPOCH + 5,
        &[close("r1", 2), open("r1"), receipt("r1", 3, "kill"), close("r1", 3), gap(None)],
    );
    log
}

/// The smallest run: open, one receipt, close.
fn small() -> Log {
    let mut log = Log::new();
    log.batch(0, EPOCH, &[open("r1"), receipt("r1", 1, "allow"), close("r1", 1)]);
    log
}
