//! Bundles that pass, bundles that cannot be called complete, and bundles with one fault each.

use super::maker::{EPOCH, Log, Maker, pack};
use super::{close, gap, intent, open, outcome, policy, receipt, small, story, switch};
use crate::{Outcome, Report, verify_bundle};
use serde_json::{Value, json};
use std::collections::BTreeMap;

type Edit<T> = fn(&mut T);
type Files = BTreeMap<String, Vec<u8>>;

#[test]
fn good_bundles_pass() {
    for log in [story(), small()] {
        let report = verify_bundle(&log.bundle("r1"), &log.house.trust());
        assert_eq!(report.outcome(), Outcome::Pass, "{report}");
    }
}

#[test]
fn the_summary_is_counted_from_the_entries() {
    let log = story();
    let report = verify_bundle(&log.bundle("r1"), &log.house.trust());
    let summary = report.summary.clone().unwrap();
    assert_eq!(summary.run_id.as_deref(), Some("r1"));
    assert_eq!(summary.closed, Some(true));
    assert_eq!(
        summary.verdicts,
        BTreeMap::from([("allow".into(), 3), ("deny".into(), 1), ("kill".into(), 1)])
    );
    assert_eq!(summary.counts["policy"], 3);
    assert_eq!(summary.policies.len(), 3);
    assert_eq!((summary.streams.len(), summary.streams[1].receipts), (2, 3));
    let told: Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(told["outcome"], "PASS");
    assert_eq!(told["checks"].as_array().unwrap().len(), 19);
    assert_eq!(told["summary"]["log_size"], log.entries.len());
    assert!(report.to_string().ends_with("\nPASS"));
}

#[test]
fn stories_without_an_end_are_unable() {
    let id = super::maker::id(900);
    let cases: [(&str, Vec<Value>); 7] = [
        ("run-complete", vec![open("r1"), receipt("r1", 1, "allow")]),
        ("run-complete", vec![open("r1"), receipt("r1", 1, "allow"), close("r1", 1), open("r1")]),
        ("run-complete", vec![open("r1"), close("r1", 0), receipt("r1", 1, "allow")]),
        ("outcomes", vec![open("r1"), intent("r1", 1, &id), close("r1", 1)]),
        ("outcomes", vec![open("r1"), outcome("r1", 1, &id), close("r1", 1)]),
        ("gaps", vec![open("r1"), gap(Some(3)), close("r1", 0)]),
        ("gaps", vec![open("r1"), gap(None), receipt("r1", 1, "allow"), close("r1", 1)]),
    ];
    for (check, bodies) in cases {
        let mut log = Log::new();
        log.batch(0, EPOCH, &bodies);
        let report = verify_bundle(&log.bundle("r1"), &log.house.trust());
        assert_eq!(report.outcome(), Outcome::Unable, "{report}");
        let unable: Vec<_> = report.checks.iter().filter(|check| check.outcome != Outcome::Pass).collect();
        assert_eq!((unable.len(), unable[0].name), (1, check), "{report}");
        assert!(report.to_string().ends_with(&format!("\nUNABLE: {}", unable[0].detail)));
    }
}

#[test]
fn stories_that_contradict_themselves_fail() {
    let id = super::maker::id(900);
    let cases: [(&str, Vec<Value>); 10] = [
        ("run-complete", vec![receipt("r1", 1, "allow"), close("r1", 1)]),
        ("run-complete", vec![open("r1"), receipt("r1", 2, "allow"), close("r1", 1)]),
        (
            "run-complete",
            vec![open("r1"), receipt("r1", 1, "allow"), receipt("r1", 3, "allow"), close("r1", 2)],
        ),
        (
            "run-complete",
            vec![open("r1"), receipt("r1", 1, "allow"), receipt("r1", 1, "allow"), close("r1", 2)],
        ),
        ("run-complete", vec![open("r1"), receipt("r1", 1, "allow"), close("r1", 2)]),
        ("run-complete", vec![open("r1"), close("r1", 1), receipt("r1", 1, "allow"), close("r1", 1)]),
        (
            "outcomes",
            vec![
                open("r1"),
                intent("r1", 1, &id),
                outcome("r1", 2, &id),
                outcome("r1", 3, &id),
                close("r1", 3),
            ],
        ),
        ("entries-canonical", vec![open("r1"), json!({"kind": "rumour", "run_id": "r1"}), close("r1", 0)]),
        ("entries-canonical", vec![open("r1"), json!({"kind": "run_open", "run_id": "r1", "x": 1})]),
        (
            "entries-canonical",
            vec![open("r1"), json!({"kind": "run_close", "run_id": "r1", "reason": "idle"})],
        ),
    ];
    for (check, bodies) in cases {
        let mut log = Log::new();
        log.batch(0, EPOCH, &bodies);
        must_fail(&verify_bundle(&log.bundle("r1"), &log.house.trust()), check);
    }
}

#[test]
fn changed_files_are_named_even_when_packed_anew() {
    let log = story();
    let cases: [(&str, Edit<Files>); 9] = [
        ("files", |files| drop(files.remove("keys.jsonl"))),
        ("files", |files| drop(files.insert("extra".into(), Vec::new()))),
        ("manifest-envelope", |files| files.get_mut("manifest.dsse.json").unwrap().push(b'\n')),
        ("manifest-envelope", |files| {
            replace(files, "manifest.dsse.json", "\"signatures\":[", "\"signatures\":[{},")
        }),
        ("manifest-signature", |files| {
            replace(files, "manifest.dsse.json", "recorder.test+", "recorder.tesu+")
        }),
        ("manifest-subjects", |files| replace(files, "entries.jsonl", "update", "delete")),
        ("manifest-subjects", |files| drop(files.insert("keys.jsonl".into(), b"{}\n".to_vec()))),
        ("manifest-subjects", |files| replace(files, "SPEC.txt", "1. CONTAINER", "1. CONTAINED")),
        ("manifest-subjects", |files| replace(files, "checkpoint", "log.test", "log.tesu")),
    ];
    for (check, edit) in cases {
        let mut files = log.files(&log.members("r1"));
        let manifest = log.manifest("r1", &files, |_| {});
        files.insert("manifest.dsse.json".into(), manifest);
        edit(&mut files);
        must_fail(&verify_bundle(&pack(&files), &log.house.trust()), check);
    }
}

#[test]
fn a_lying_recorder_is_found_out() {
    let log = story();
    let cases: [(&str, Edit<Files>); 14] = [
        ("checkpoint-signature", |files| replace(files, "checkpoint", "log.test\n", "log.tesu\n")),
        ("checkpoint-signature", |files| {
            replace(files, "checkpoint", "\u{2014} log.test", "\u{2014} log.tesu")
        }),
        ("checkpoint-signature", |files| replace(files, "checkpoint", "\n\n", "\nmore\n\n")),
        ("entries-canonical", |files| replace(files, "entries.jsonl", "\"v\":1}", "\"v\":2}")),
        ("entries-canonical", |files| replace(files, "entries.jsonl", "\"v\":1}", "\"v\":1,\"v\":1}")),
        ("entries-canonical", |files| replace(files, "entries.jsonl", "\"v\":1}", "\"v\": 1}")),
        ("entries-canonical", |files| replace(files, "entries.jsonl", "\n", "\n\n")),
        ("entries-canonical", |files| assert!(files.get_mut("entries.jsonl").unwrap().pop().is_some())),
        ("inclusion", |files| replace(files, "entries.jsonl", "\"verb\":\"update\"", "\"verb\":\"select\"")),
        ("inclusion", |files| replace(files, "proofs.jsonl", "\"index\":5", "\"index\":6")),
        ("inclusion", |files| replace(files, "proofs.jsonl", "\"path\":[\"", "\"path\":[\"0")),
        ("inclusion", |files| cut_last_line(files, "proofs.jsonl")),
        ("batch-membership", |files| {
            replace(files, "proofs.jsonl", "{\"batch\":5,\"batch_path\"", "{\"batch\":0,\"batch_path\"")
        }),
        ("spec-text", |files| replace(files, "SPEC.txt", "1. CONTAINER", "1. CONTAINED")),
    ];
    for (place, (check, edit)) in cases.into_iter().enumerate() {
        let mut files = log.files(&log.members("r1"));
        let before = files.clone();
        edit(&mut files);
        assert_ne!(before, files, "case {place}");
        must_fail(&verify_bundle(&log.seal("r1", files, |_| {}), &log.house.trust()), check);
    }
}

#[test]
fn a_lying_manifest_is_found_out() {
    let log = story();
    let cases: [(&str, Edit<Value>); 14] = [
        ("manifest-envelope", |s| s["predicateType"] = "https://example.com".into()),
        ("manifest-envelope", |s| s["more"] = 1.into()),
        ("manifest-envelope", |s| s["predicate"]["container"] = "def".into()),
        ("manifest-subjects", |s| drop(s["subject"].as_array_mut().unwrap().pop())),
        ("manifest-subjects", |s| s["subject"].as_array_mut().unwrap().swap(0, 1)),
        ("manifest-subjects", |s| s["subject"][0]["digest"]["blake3"] = "00".repeat(32).into()),
        ("manifest-log", |s| s["predicate"]["log"]["size"] = 4.into()),
        ("manifest-log", |s| s["predicate"]["log"]["origin"] = "else".into()),
        ("run-members", |s| s["predicate"]["run_id"] = "r2".into()),
        ("summary", |s| s["predicate"]["verdicts"]["allow"] = 4.into()),
        ("summary", |s| s["predicate"]["closed"] = false.into()),
        ("summary", |s| s["predicate"]["streams"][0]["receipts"] = 9.into()),
        ("summary", |s| s["predicate"]["policies"] = json!([])),
        ("summary", |s| s["predicate"]["non_claims"] = json!([])),
    ];
    for (check, edit) in cases {
        let files = log.files(&log.members("r1"));
        must_fail(&verify_bundle(&log.seal("r1", files, edit), &log.house.trust()), check);
    }
}

#[test]
fn what_does_not_belong_is_refused() {
    let log = story();
    let members = log.members("r1");
    let foreign = |kind: &str, from: usize| {
        let entry = |index: &usize| {
            String::from_utf8_lossy(&log.entries[*index]).contains(&format!("\"kind\":\"{kind}\""))
        };
        (from..log.entries.len()).filter(entry).find(|index| !members.contains(index)).unwrap()
    };
    for extra in [foreign("receipt", 0), foreign("run_open", 0), foreign("switch", 0), foreign("gap", 0)] {
        let mut more = members.clone();
        more.push(extra);
        more.sort_unstable();
        must_fail(
            &verify_bundle(&log.seal("r1", log.files(&more), |_| {}), &log.house.trust()),
            "run-members",
        );
    }
    // A receipt that was left out is missed by the run's own count.
    let fewer: Vec<usize> = members.iter().copied().filter(|index| *index != 8).collect();
    must_fail(&verify_bundle(&log.seal("r1", log.files(&fewer), |_| {}), &log.house.trust()), "run-complete");
}

#[test]
fn a_gateway_must_sign_in_its_own_name_and_order() {
    let bodies = [open("r1"), receipt("r1", 1, "allow"), close("r1", 1)];
    let cases: [(&str, Edit<Value>); 8] = [
        ("batch-signature", |claims| claims["gateway"] = "gw-2".into()),
        ("batch-signature", |claims| claims["more"] = 1.into()),
        ("batch-signature", |claims| claims["count"] = 5000.into()),
        ("batch-signature", |claims| claims["epoch"] = 0.into()),
        ("batch-membership", |claims| claims["root"] = "00".repeat(32).into()),
        ("batch-membership", |claims| claims["first_seq"] = 3.into()),
        ("stream-order", |claims| claims["epoch"] = (EPOCH + 1).into()),
        ("stream-order", |claims| claims["previous"] = "00".repeat(32).into()),
    ];
    for (check, edit) in cases {
        let mut log = Log::new();
        log.batch(0, EPOCH, &[policy(1)]);
        log.batch_with(0, EPOCH, &bodies, edit);
        must_fail(&verify_bundle(&log.bundle("r1"), &log.house.trust()), check);
    }
    let mut log = Log::new();
    log.batch(0, EPOCH + 1, &[open("r1"), receipt("r1", 1, "allow"), close("r1", 1)]);
    log.batch(0, EPOCH, &[open("r1"), receipt("r1", 1, "allow"), switch(), close("r1", 1)]);
    must_fail(&verify_bundle(&log.bundle("r1"), &log.house.trust()), "stream-order");
}

#[test]
fn keys_that_nobody_trusts_prove_nothing() {
    let log = story();
    let text = log.house.trust_text();
    let stranger = Maker::new("stranger", 9).vkey();
    for (role, check) in [
        ("log ", "checkpoint-signature"),
        ("maker gateway ", "batch-signature"),
        ("maker recorder ", "manifest-signature"),
    ] {
        let line = text.lines().find(|line| line.starts_with(role)).unwrap();
        let trust = text.replace(line, &format!("{role}{stranger}")).parse().unwrap();
        must_fail(&verify_bundle(&log.bundle("r1"), &trust), check);
    }
}

fn must_fail(report: &Report, check: &str) {
    assert_eq!(report.outcome(), Outcome::Fail, "{check}\n{report}");
    assert_eq!(report.first_failed(), Some(check), "{report}");
}

fn replace(files: &mut Files, name: &str, from: &str, to: &str) {
    let content = String::from_utf8(files[name].clone()).unwrap();
    files.insert(name.to_owned(), content.replacen(from, to, 1).into_bytes());
}

fn cut_last_line(files: &mut Files, name: &str) {
    let content = files.get_mut(name).unwrap();
    content.pop();
    let end = content.iter().rposition(|byte| *byte == b'\n').unwrap();
    content.truncate(end + 1);
}
