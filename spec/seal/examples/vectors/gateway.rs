//! Bundles from logs that a dishonest gateway filled: its own signatures are in order, what it signed is not.

use super::forge::{Forge, Twist, swap};
use super::make::{self, Vector, bad, honest, log_key, recorder_key};
use super::story::{self, Batch};
use clyra_seal::key::SigningKey;
use serde_json::{Value, json};

pub(crate) fn vectors() -> Vec<Vector> {
    spellings().into_iter().chain(forms()).chain(headers()).chain(streams()).chain(runs()).collect()
}

/// Every entry of a batch twisted where `of` stands in it.
fn twist(of: &'static str, from: &'static str, to: &'static str) -> Twist {
    Box::new(move |text| if text.contains(of) { swap(text, from, to) } else { text.to_owned() })
}

/// The plain story with entries of the first batch spelled otherwise.
fn spelled(of: &'static str, from: &'static str, to: &'static str) -> Vec<u8> {
    honest(|batches| batches[0].forge.entry = Some(twist(of, from, to)))
}

/// Entries that two readers could understand differently.
fn spellings() -> Vec<Vector> {
    let entry = |name, told, bytes| bad(name, "entries-canonical", told, bytes);
    vec![
        entry("bad/entry-space", "a space", spelled("\"run_seq\":1}", "{\"action\":", "{ \"action\":")),
        entry(
            "bad/entry-key-order",
            "keys that do not ascend",
            spelled(
                "\"run_open\"",
                "\"kind\":\"run_open\",\"maker\":\"gw-1+f77f1882\"",
                "\"maker\":\"gw-1+f77f1882\",\"kind\":\"run_open\"",
            ),
        ),
        entry(
            "bad/entry-key-twice",
            "a key that stands twice",
            spelled(
                "\"run_seq\":2}",
                "\"verdict\":\"deny\"}],\"verdict\":\"deny\"",
                "\"verdict\":\"deny\"}],\"verdict\":\"allow\",\"verdict\":\"deny\"",
            ),
        ),
        entry(
            "bad/entry-key-ascii",
            "a key that is not ASCII",
            spelled("\"run_open\"", "\"v\":1", "\"v\":1,\"é\":1"),
        ),
        entry(
            "bad/entry-escape",
            "a letter escaped that must not be",
            spelled("\"run_seq\":1}", "étl", "\\u00e9tl"),
        ),
        entry(
            "bad/entry-escape-case",
            "an escape in upper case",
            spelled("\"run_seq\":1}", "étl", "\\u001F"),
        ),
        entry("bad/entry-slash", "an escaped slash", spelled("\"run_seq\":1}", "étl", "a\\/b")),
        entry("bad/entry-surrogate", "half of a surrogate pair", spelled("\"run_seq\":1}", "étl", "\\ud800")),
        entry("bad/entry-control", "a raw control character", spelled("\"run_seq\":1}", "étl", "a\tb")),
        entry(
            "bad/entry-fraction",
            "a number with a fraction",
            spelled("\"run_seq\":1}", "\"rows\":1", "\"rows\":1.0"),
        ),
        entry(
            "bad/entry-exponent",
            "a number with an exponent",
            spelled("\"run_seq\":1}", "\"rows\":1", "\"rows\":1e0"),
        ),
        entry(
            "bad/entry-minus-zero",
            "a zero with a sign",
            spelled("\"run_seq\":1}", "\"rows\":1", "\"rows\":-0"),
        ),
        entry(
            "bad/entry-large",
            "a number beyond 2^53-1",
            spelled("\"run_seq\":1}", "\"rows\":1", "\"rows\":9007199254740993"),
        ),
        entry("bad/entry-null", "a null", spelled("\"run_seq\":1}", "\"rows\":1", "\"rows\":null")),
        entry("bad/entry-mark", "a byte order mark", spelled("\"run_open\"", "{\"at\"", "\u{feff}{\"at\"")),
        entry(
            "bad/entry-carriage-return",
            "a line that ends in CR LF",
            spelled("\"run_open\"", "\"v\":1}", "\"v\":1}\r"),
        ),
        entry(
            "bad/entry-tail",
            "something behind the object",
            spelled("\"run_open\"", "\"v\":1}", "\"v\":1}{}"),
        ),
        entry(
            "bad/entry-large-bytes",
            "an entry of more than 65,535 bytes",
            honest(|batches| {
                batches[0].entries[2]["caller"]["via"] = "v".repeat(65_535).into();
            }),
        ),
    ]
}

/// Entries that are not what their kind says.
fn forms() -> Vec<Vector> {
    let entry = |name, told, bytes| bad(name, "entries-canonical", told, bytes);
    let receipt = |from, to| spelled("\"run_seq\":1}", from, to);
    let changed = |change: fn(&mut Vec<Value>)| honest(|batches| change(&mut batches[0].entries));
    vec![
        entry("bad/entry-kind", "an unknown kind", spelled("\"run_open\"", "\"run_open\"", "\"run_opem\"")),
        entry("bad/entry-version", "another version", spelled("\"run_open\"", "\"v\":1", "\"v\":2")),
        entry("bad/entry-field", "an unknown field", changed(|entries| entries[1]["more"] = 1.into())),
        entry(
            "bad/entry-inner-field",
            "an unknown field in a group",
            changed(|entries| entries[2]["caller"]["more"] = 1.into()),
        ),
        entry(
            "bad/entry-lacks",
            "no `target`",
            changed(|entries| drop(entries[2].as_object_mut().unwrap().remove("target"))),
        ),
        entry(
            "bad/entry-empty-list",
            "an empty list that would be left out",
            changed(|entries| entries[2]["action"]["tags"] = json!([])),
        ),
        entry("bad/entry-verb", "an unknown verb", receipt("\"verb\":\"select\"", "\"verb\":\"selekt\"")),
        entry(
            "bad/entry-verdict",
            "an unknown verdict",
            receipt("\"verdict\":\"allow\"", "\"verdict\":\"maybe\""),
        ),
        entry(
            "bad/entry-shape",
            "a fingerprint of 31 digits",
            receipt("00112233445566778899aabbccddeeff", "0112233445566778899aabbccddeeff"),
        ),
        entry(
            "bad/entry-policy",
            "a policy digest without its algorithm",
            changed(|entries| entries[0]["digest"] = "7".repeat(64).into()),
        ),
        entry(
            "bad/entry-id",
            "an id that is a UUID of version 4",
            changed(|entries| entries[1]["id"] = "01936a5e-0000-4000-8000-000000000002".into()),
        ),
        entry(
            "bad/entry-time",
            "a time without `Z`",
            changed(|entries| entries[1]["at"] = "2026-11-22T10:00:00+00:00".into()),
        ),
        entry(
            "bad/entry-day",
            "a day that no month has",
            changed(|entries| entries[1]["at"] = "2026-02-30T10:00:00Z".into()),
        ),
        entry(
            "bad/entry-maker",
            "a maker that is no key id",
            changed(|entries| entries[1]["maker"] = "gw-1".into()),
        ),
        entry(
            "bad/entry-seq-zero",
            "a seq that counts from 0",
            changed(|entries| {
                entries[1]["stream"] = json!({"epoch": story::EPOCH, "gateway": "gw-1", "seq": 0})
            }),
        ),
        entry(
            "bad/entry-negative",
            "a negative count",
            spelled("\"run_seq\":1}", "\"rows\":1", "\"rows\":-1"),
        ),
        entry(
            "bad/entry-whole-intent",
            "a receipt of phase `whole` that names an intent",
            changed(|entries| {
                entries[2]["intent"] = "01936a5e-0000-7000-8000-000000000001".into();
            }),
        ),
        entry(
            "bad/entry-intent-key",
            "an intent under a key, which is claimed later",
            honest(|batches| {
                batches[1].entries[0]["key"] = json!({"key": "0".repeat(32), "state": "first"});
            }),
        ),
        entry(
            "bad/entry-key-state",
            "a state of a key that is none",
            honest(|batches| {
                batches[0].entries[2]["key"] = json!({"key": "0".repeat(32), "state": "again"});
            }),
        ),
        entry(
            "bad/entry-intent-outcome",
            "an intent that has its outcome already",
            honest(|batches| {
                batches[1].entries[0]["outcome"] = batches[0].entries[2]["outcome"].clone();
            }),
        ),
        entry(
            "bad/entry-no-intent",
            "an outcome that names no intent",
            honest(|batches| {
                let forge = |text: &str| match text.split_once("\"intent\":\"") {
                    Some((before, after)) => {
                        format!("{before}{}", after.split_once("\",").unwrap().1)
                    }
                    None => text.to_owned(),
                };
                batches[1].forge.entry = Some(Box::new(forge));
            }),
        ),
        entry(
            "bad/header-stream",
            "a header with a place in a stream",
            honest(|batches| {
                batches[1].forge.header = Some(twist(
                    "",
                    "\"v\":1",
                    "\"stream\":{\"epoch\":1,\"gateway\":\"gw-1\",\"seq\":1},\"v\":1",
                ));
            }),
        ),
        entry(
            "bad/header-two-signatures",
            "a header with two signatures",
            honest(|batches| {
                batches[1].forge.header = Some(twist(
                    "",
                    "\"signatures\":[",
                    "\"signatures\":[{\"keyid\":\"gw-1+f77f1882\",\"sig\":\"\"},",
                ));
            }),
        ),
    ]
}

/// Headers whose signature says nothing, or whose claims are out of bounds.
fn headers() -> Vec<Vector> {
    let header = |name, told, forge: Forge| {
        bad(name, "batch-signature", told, honest(|batches| batches[1].forge = forge))
    };
    let claims = |change: fn(&mut Value)| Forge { claims: Some(Box::new(change)), ..Forge::default() };
    let signer = |key: SigningKey| Forge { signer: Some(key), ..Forge::default() };
    vec![
        header(
            "bad/gateway-key",
            "signed by a key of the gateway's name that nobody trusts",
            signer(story::gateway_key("gw-1", 97)),
        ),
        header("bad/gateway-role", "signed by the recorder's key", signer(recorder_key())),
        header("bad/gateway-other", "signed by another gateway's key", signer(story::gateway_key("gw-2", 1))),
        header(
            "bad/header-maker",
            "another maker than the one who signed",
            Forge {
                header: Some(twist("", "\"maker\":\"gw-1+f77f1882\"", "\"maker\":\"gw-2+1cf74fb2\"")),
                ..Forge::default()
            },
        ),
        header(
            "bad/header-type",
            "signed as a statement",
            Forge { signed_type: Some("application/vnd.in-toto+json"), ..Forge::default() },
        ),
        header("bad/header-claim", "an unknown claim", claims(|claims| claims["more"] = 1.into())),
        header(
            "bad/header-lacks",
            "no `final`",
            claims(|claims| drop(claims.as_object_mut().unwrap().remove("final"))),
        ),
        header(
            "bad/header-space",
            "claims that are not canonical",
            Forge {
                payload: Some(Box::new(|text| swap(text, ",\"epoch\"", ", \"epoch\""))),
                ..Forge::default()
            },
        ),
        header(
            "bad/header-count",
            "more than 4,096 entries",
            claims(|claims| claims["count"] = 4_097.into()),
        ),
        header("bad/header-epoch", "epoch 0", claims(|claims| claims["epoch"] = 0.into())),
        bad(
            "bad/header-none",
            "batch-signature",
            "no entry, and not the last batch",
            honest(|batches| {
                batches[0].forge.claims = Some(Box::new(|claims| claims["count"] = 0.into()));
            }),
        ),
        bad(
            "bad/batch-root",
            "batch-membership",
            "another root than that of the entries",
            honest(|batches| {
                batches[1].forge.claims = Some(Box::new(|claims| claims["root"] = "05".repeat(32).into()));
            }),
        ),
        bad(
            "bad/batch-count",
            "batch-membership",
            "fewer entries claimed than covered",
            honest(|batches| {
                batches[1].forge.claims = Some(Box::new(|claims| claims["count"] = 3.into()));
            }),
        ),
        bad(
            "bad/batch-seq",
            "batch-membership",
            "a seq beyond the batch",
            honest(|batches| {
                batches[1].entries[3]["stream"] = json!({"epoch": story::EPOCH, "gateway": "gw-1", "seq": 9});
            }),
        ),
    ]
}

/// Batches and entries that do not follow one another.
fn streams() -> Vec<Vector> {
    let order = |name, told, change: fn(&mut Vec<Batch>)| bad(name, "stream-order", told, honest(change));
    let place = |gateway: &str, epoch: u64, seq: u64| json!({"epoch": epoch, "gateway": gateway, "seq": seq});
    vec![
        order("bad/seq", "a batch whose numbers were given before", |batches| batches[1].first_seq = 2),
        bad(
            "bad/stream-gateway",
            "stream-order",
            "an entry of another gateway",
            honest(|batches| {
                batches[1].entries[1]["stream"] = place("gw-2", story::EPOCH, 6);
            }),
        ),
        bad(
            "bad/stream-epoch",
            "stream-order",
            "an entry of another epoch",
            honest(|batches| {
                batches[1].entries[1]["stream"] = place("gw-1", story::EPOCH + 1, 6);
            }),
        ),
        order("bad/stream-maker", "an entry of another maker", |batches| {
            batches[1].entries[1]["maker"] = "gw-2+1cf74fb2".into()
        }),
        order("bad/epoch-falls", "an epoch before the one before", |batches| {
            batches[1].epoch = story::EPOCH - 1;
            batches[1].first_seq = 1;
        }),
        order("bad/after-final", "a batch behind the final one", |batches| batches[0].last = true),
        order("bad/previous", "a header that names another one before it", |batches| {
            batches[1].forge.claims = Some(Box::new(|claims| claims["previous"] = "07".repeat(32).into()));
        }),
        order("bad/previous-none", "a second header that claims to be the first", |batches| {
            batches[1].first_seq = 7;
            batches[1].forge.claims = Some(Box::new(|claims| claims["previous"] = "00".repeat(32).into()));
        }),
    ]
}

/// Runs with too much, too little, or the wrong things in them.
fn runs() -> Vec<Vector> {
    let member = |name, told, change: fn(&mut Vec<Batch>)| bad(name, "run-members", told, honest(change));
    let run = |name, told, change: fn(&mut Vec<Batch>)| bad(name, "run-complete", told, honest(change));
    let outcome = |name, told, change: fn(&mut Vec<Batch>)| bad(name, "outcomes", told, honest(change));
    vec![
        member("bad/other-run", "a receipt of another run", |batches| {
            let mut other = story::receipt("whole", "allow", "select", 1);
            other["run"]["run_id"] = "r2".into();
            batches[1].entries.insert(3, other);
        }),
        member("bad/no-run", "a receipt of no run", |batches| {
            let mut other = story::receipt("whole", "allow", "select", 1);
            other.as_object_mut().unwrap().remove("run");
            batches[1].entries.insert(3, other);
        }),
        member("bad/switch-before", "a turn of the kill switch before the run", |batches| {
            batches[0].entries.insert(0, story::switch());
            batches[1].first_seq = 6;
        }),
        member("bad/policy-after", "a policy behind the run", |batches| {
            batches[1].entries.push(story::policy())
        }),
        member("bad/policy-twice", "two policies before the run", |batches| {
            batches[0].entries.insert(0, story::policy());
            batches[1].first_seq = 6;
        }),
        member("bad/other-gateway", "a policy of a gateway without a part in the run", |batches| {
            let mut other = story::plain("gw-2").remove(0);
            other.entries.truncate(1);
            batches.insert(1, other);
        }),
        member("bad/heartbeat-run", "a heartbeat of another run", |batches| {
            let mut other = heartbeat(3);
            other["run_id"] = "r2".into();
            batches[1].entries.insert(1, other);
        }),
        member("bad/approval", "an approval, which no bundle holds", |batches| {
            batches[1].entries.insert(3, json!({
                "approval": "01936a5e-0000-7000-8000-0000000000ff", "by": "ada", "kind": "approval_revoked", "reason": "drill",
            }));
        }),
        bad("bad/idle-header", "run-members", "a header that covers nothing of the bundle", {
            let mut batches = story::plain("gw-1");
            batches[1].last = false;
            batches.push(Batch {
                gateway: "gw-1",
                epoch: story::EPOCH,
                first_seq: 9,
                last: true,
                entries: vec![story::switch()],
                forge: Forge::default(),
            });
            make::cut(batches, |index| index != 11, &log_key(), &recorder_key())
        }),
        run("bad/receipt-dropped", "a receipt that the gateway numbered is not shown", |batches| {
            batches[0].entries.remove(3);
            batches[1].first_seq = 4;
        }),
        run("bad/run-seq-twice", "a number in the run given twice", |batches| {
            batches[1].entries[0]["run"]["run_seq"] = 2.into()
        }),
        run("bad/run-not-opened", "no run_open", |batches| {
            batches[0].entries.remove(1);
            batches[1].first_seq = 4;
        }),
        run("bad/close-count", "run_close counts a receipt more", |batches| {
            batches[1].entries[3]["count"] = 5.into()
        }),
        run("bad/heartbeat-count", "a heartbeat counts a receipt less", |batches| {
            batches[1].entries.insert(1, heartbeat(2));
        }),
        run("bad/heartbeat-first", "a heartbeat before run_open", |batches| {
            batches[0].entries.insert(1, heartbeat(0));
            batches[1].first_seq = 6;
        }),
        outcome("bad/intent-twice", "two intents of one id", |batches| {
            let mut again = story::receipt("intent", "allow", "update", 4);
            again["id"] = "01936a5e-0000-7000-8000-000000000006".into();
            batches[1].entries.insert(1, again);
            batches[1].entries[3]["run"]["run_seq"] = 5.into();
            batches[1].entries[4]["count"] = 5.into();
        }),
        outcome("bad/outcome-twice", "two outcomes of one intent", |batches| {
            batches[1].entries.insert(3, story::receipt("outcome", "allow", "update", 5));
            batches[1].entries[4]["count"] = 5.into();
        }),
    ]
}

/// A sign of life of the run.
fn heartbeat(count: u64) -> Value {
    json!({"kind": "heartbeat", "count": count, "run_id": "r1"})
}
