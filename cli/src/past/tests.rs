//! Windows of time, messages put together again, and advice, on receipts made by hand.

use super::*;
use serde_json::{Value, json};

fn receipt(id: &str, more: &Value) -> Receipt {
    let mut receipt = json!({
        "id": id, "at": "2026-11-24T12:00:00Z", "phase": "whole", "action": {"shape": "s", "verb": "select"},
        "caller": {"actor": "a", "actor_kind": "service", "auth": "none"},
        "decision": {"enforced": false, "policy": "p", "verdict": "allow"},
        "stream": {"gateway": "g", "epoch": 1, "seq": 1}, "target": {"database": "shop"},
    });
    for (key, value) in more.as_object().unwrap() {
        receipt[key] = value.clone();
    }
    serde_json::from_value(receipt).unwrap()
}

#[test]
fn receipts_of_a_message_come_together() {
    let of = |index: u32| json!({"action": {"shape": "s", "verb": "select", "statement_count": 2, "statement_index": index}});
    let mut messages = Messages::default();
    assert_eq!(messages.add(receipt("1", &json!({}))).len(), 1);
    assert!(messages.add(receipt("3", &of(2))).is_empty());
    let whole = messages.add(receipt("2", &of(1)));
    let ids: Vec<&str> = whole[0].iter().map(|one| &*one.id).collect();
    assert_eq!(ids, ["2", "3"]);
    assert!(messages.add(receipt("4", &json!({"phase": "intent"}))).is_empty());
    assert!(messages.add(receipt("5", &json!({"phase": "intent"}))).is_empty());
    let late = json!({"phase": "outcome", "intent": "4", "at": "2026-11-24T13:00:00Z"});
    let whole = messages.add(receipt("6", &late));
    assert_eq!((&*whole[0][0].id, &*whole[0][0].at), ("6", "2026-11-24T12:00:00Z"));
    assert_eq!(messages.rest().len(), 1);
}

#[test]
fn holes_and_gaps_are_seen() {
    let mut extent = Extent::default();
    let place = |seq: u64| {
        json!({"kind": "run_open", "stream": {"gateway": "g", "epoch": 1, "seq": seq}}).to_string()
    };
    for seq in [1, 2, 5] {
        assert!(extent.entry(place(seq).as_bytes()).is_none());
    }
    extent.entry(br#"{"kind":"gap","count":3}"#);
    extent.entry(b"rubbish");
    assert_eq!((extent.holes, extent.gaps, extent.lost, extent.unread), (1, 1, 3, 1));
    assert_eq!(extent.in_words().matches("INCOMPLETE").count(), 3);
}

#[test]
fn times_are_points_or_spans() {
    assert_eq!(time("1970-01-01T00:00:01Z").unwrap(), 1_000_000);
    assert!(time("1h").unwrap() < time("1s").unwrap());
    assert!(time("yesterday").unwrap_err().contains("RFC 3339"));
}
