//! Bundles whose runs saw the kill switch turned: by operators as they must, by one of them alone, by a stranger, or with a
//! turn left out. It never reads a clock.

use super::make::{Vector, bad, honest};
use super::story::Batch;
use clyra_seal::{canonical, dsse, key::SigningKey};
use clyra_spec::media::SWITCH_PAYLOAD_TYPE;
use serde_json::{Value, json};

/// Key of an operator of the vectors; the trust file lists the first two.
pub(crate) fn operator_key(number: u8) -> SigningKey {
    SigningKey::from_seed(&format!("op-{number}"), &[30 + number; 32]).unwrap()
}

pub(crate) fn vectors() -> Vec<Vector> {
    let with = |turns: fn() -> Vec<Value>| honest(|batches: &mut Vec<Batch>| put(batches, turns()));
    let wrong = |name, told, turns| bad(name, "switches", told, with(turns));
    let entry = |name, told, turns| bad(name, "entries-canonical", told, with(turns));
    vec![
        Vector {
            name: "good/switches",
            check: None,
            told: "raised by one operator, released by another; a mistake taken back; kills of several scopes",
            bytes: with(|| {
                vec![
                    signed(turn(1, "00", json!({"level": "cancel_running"})), 1),
                    signed(turn(2, "10", json!({"level": "disconnect", "before": "cancel_running"})), 1),
                    signed(turn(3, "30", json!({"level": "observe", "before": "disconnect"})), 2),
                    signed(
                        turn(4, "00", json!({"level": "block_writes", "scope": "actor", "name": ACTOR})),
                        2,
                    ),
                    signed(
                        turn(
                            5,
                            "00",
                            json!({"level": "observe", "before": "block_writes", "scope": "actor", "name": ACTOR}),
                        ),
                        2,
                    ),
                    turn(
                        6,
                        "40",
                        json!({"level": "block_statements", "cause": "breaker", "scope": "run", "name": "r1"}),
                    ),
                    turn(
                        7,
                        "41",
                        json!({"level": "cancel_running", "class": "ddl", "expires": "2026-11-22T11:00:00Z"}),
                    ),
                ]
            }),
        },
        bad(
            "unable/switch-hole",
            "switches",
            "a turn in between is not shown",
            with(|| {
                vec![
                    turn(1, "00", json!({"level": "block_writes"})),
                    turn(3, "01", json!({"level": "observe"})),
                ]
            }),
        ),
        bad(
            "unable/switch-stranger",
            "switches",
            "an order by somebody whom the trust file does not list",
            with(|| vec![signed(turn(1, "00", json!({"level": "block_writes"})), 3)]),
        ),
        wrong("bad/switch-alone", "one operator raises and releases, ten minutes apart", || {
            vec![
                signed(turn(1, "00", json!({"level": "block_writes"})), 1),
                signed(turn(2, "05", json!({"level": "block_statements", "before": "block_writes"})), 1),
                signed(turn(3, "10", json!({"level": "observe", "before": "block_statements"})), 1),
            ]
        }),
        wrong("bad/switch-name", "raised under the name of the operator who releases", || {
            vec![
                turn(1, "00", json!({"level": "block_writes", "by": "op-1"})),
                signed(turn(2, "02", json!({"level": "observe", "before": "block_writes"})), 1),
            ]
        }),
        wrong("bad/switch-signature", "an order with the signature of another one", || {
            let mut turned = signed(turn(1, "00", json!({"level": "block_writes"})), 1);
            let other = signed(turn(1, "01", json!({"level": "block_writes"})), 1);
            turned["dsse"]["signatures"] = other["dsse"]["signatures"].clone();
            vec![turned]
        }),
        wrong("bad/switch-turn", "a turn given twice", || {
            vec![turn(4, "00", json!({"level": "block_writes"})), turn(4, "01", json!({"level": "observe"}))]
        }),
        entry("bad/switch-order", "an order for another level than the entry's", || {
            let mut turned = signed(turn(1, "00", json!({"level": "observe"})), 1);
            turned["level"] = "disconnect".into();
            vec![turned]
        }),
        entry("bad/switch-nobody", "a kill of an actor without its name", || {
            vec![turn(1, "00", json!({"level": "block_writes", "scope": "actor"}))]
        }),
        entry("bad/switch-plain", "an actor by name", || {
            vec![turn(1, "00", json!({"level": "block_writes", "scope": "actor", "name": "etl"}))]
        }),
    ]
}

/// The turns in the place of the plain story's, within the run.
fn put(batches: &mut [Batch], turns: Vec<Value>) {
    batches[1].entries.splice(1..2, turns);
}

/// A turn at this minute of the hour.
fn turn(number: u64, minute: &str, more: Value) -> Value {
    let mut entry = json!({
        "at": format!("2026-11-22T10:{minute}:00.000000Z"), "by": "ada", "cause": "asked",
        "id": format!("01936a5e-0000-7000-8000-0000000001{number:02x}"), "kind": "switch", "reason": "drill",
        "scope": "global", "turn": number,
    });
    if let Value::Object(mut fields) = more {
        entry.as_object_mut().unwrap().append(&mut fields);
    }
    entry
}

/// The turn under an operator's order.
fn signed(mut entry: Value, operator: u8) -> Value {
    let key = operator_key(operator);
    entry["by"] = key.name().into();
    let said = entry.as_object().unwrap().iter();
    let said = said.filter(|(name, _)| !matches!(&***name, "cause" | "kind" | "turn" | "before"));
    let mut payload: Value = said.map(|(name, value)| (name.clone(), value.clone())).collect();
    payload["v"] = 1.into();
    let envelope = dsse::sign(SWITCH_PAYLOAD_TYPE, &canonical::to_vec(&payload).unwrap(), &key);
    entry["dsse"] = serde_json::from_slice(&envelope.to_vec().unwrap()).unwrap();
    entry
}

const ACTOR: &str = "ffeeddccbbaa99887766554433221100";
