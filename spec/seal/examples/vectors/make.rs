//! The bundles of `spec/vectors`, good and bad. It never reads a clock or a random byte.

use super::story::{self, Story};
use clyra_seal::bundle::{self, Cut, Role};
use clyra_seal::{container, dsse, key::SigningKey, note};
use clyra_spec::media::STATEMENT_PAYLOAD_TYPE;
use std::collections::BTreeMap;

/// Contents by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Every file of `spec/vectors` but its page, by name.
pub(crate) fn files() -> Files {
    let mut files = Files::from([("trust.txt".to_owned(), trust().into_bytes())]);
    let mut lines = Vec::new();
    for (name, outcome, check, bytes) in vectors() {
        let check = check.map_or("null".into(), |check| format!("\"{check}\""));
        lines.push(format!("  {{\"check\":{check},\"file\":\"{name}.pef.zip\",\"outcome\":\"{outcome}\"}}"));
        files.insert(format!("{name}.pef.zip"), bytes);
    }
    files.insert("index.json".into(), format!("[\n{}\n]\n", lines.join(",\n")).into_bytes());
    files
}

/// Name, outcome, the check that must say so, bytes.
fn vectors() -> Vec<(&'static str, &'static str, Option<&'static str>, Vec<u8>)> {
    let full = || Story::told(|_| {});
    let good = |story: &Story| cut(story, "r1", &log_key(), &recorder_key());
    let bytes = good(&full());
    let mut all = vec![
        ("good-closed", "pass", None, bytes.clone()),
        ("good-reopened", "pass", None, good(&Story::told(Story::reopen))),
        ("good-two-gateways", "pass", None, good(&Story::told(Story::second_gateway))),
        ("unable-open", "unable", Some("run-complete"), good(&Story::told(|story| story.skip("run_close")))),
        (
            "unable-intent-alone",
            "unable",
            Some("outcomes"),
            good(&Story::told(|story| story.skip("outcome"))),
        ),
        ("unable-gap", "unable", Some("gaps"), good(&Story::told(|story| story.gap = true))),
    ];
    all.extend(bad_files(&bytes));
    all.extend(bad_stories());
    all
}

/// A good bundle, tampered with by someone who holds no key, or the recorder's key only.
fn bad_files(good: &[u8]) -> Vec<(&'static str, &'static str, Option<&'static str>, Vec<u8>)> {
    let fail = |name, check, bytes| (name, "fail", Some(check), bytes);
    let with = |change: &dyn Fn(&mut Files)| {
        let mut files = unpack(good);
        change(&mut files);
        pack(&files)
    };
    let resigned = |change: &dyn Fn(&mut Files)| {
        let mut files = unpack(good);
        change(&mut files);
        resign(&mut files, &recorder_key(), |_| {});
        pack(&files)
    };
    let replace = |files: &mut Files, name: &str, from: &str, to: &str| {
        let text = String::from_utf8(files[name].clone()).unwrap();
        assert!(text.contains(from));
        files.insert(name.into(), text.replacen(from, to, 1).into_bytes());
    };
    vec![
        fail("bad-trailing-byte", "container", [good, b"x"].concat()),
        fail("bad-extra-file", "files", with(&|files| drop(files.insert("z.txt".into(), b"x".to_vec())))),
        fail("bad-missing-file", "files", with(&|files| drop(files.remove("keys.jsonl")))),
        fail(
            "bad-envelope-space",
            "manifest-envelope",
            with(&|files| {
                replace(files, "manifest.dsse.json", "\"payloadType\":", "\"payloadType\": ");
            }),
        ),
        fail(
            "bad-manifest-key",
            "manifest-signature",
            with(&|files| {
                resign(files, &SigningKey::from_seed("recorder-1", &[99; 32]).unwrap(), |_| {});
            }),
        ),
        fail(
            "bad-keys-file",
            "manifest-subjects",
            with(&|files| replace(files, "keys.jsonl", "gateway", "gatewax")),
        ),
        fail(
            "bad-checkpoint-size",
            "checkpoint-signature",
            resigned(&|files| {
                let text = String::from_utf8(files["checkpoint"].clone()).unwrap();
                let size = text.lines().nth(1).unwrap().to_owned();
                replace(files, "checkpoint", &format!("\n{size}\n"), "\n99\n");
            }),
        ),
        fail(
            "bad-entry-space",
            "entries-canonical",
            resigned(&|files| replace(files, "entries.jsonl", "{\"action\":", "{ \"action\":")),
        ),
        fail(
            "bad-entry-kind",
            "entries-canonical",
            resigned(&|files| replace(files, "entries.jsonl", "\"run_open\"", "\"run_opem\"")),
        ),
        fail(
            "bad-verdict-changed",
            "inclusion",
            resigned(&|files| {
                replace(files, "entries.jsonl", "\"verdict\":\"deny\"", "\"verdict\":\"allow\"");
            }),
        ),
        fail(
            "bad-summary",
            "summary",
            with(&|files| {
                resign(files, &recorder_key(), |payload| {
                    *payload = payload.replace("\"deny\":1", "\"deny\":2")
                });
            }),
        ),
        fail(
            "bad-manifest-root",
            "manifest-log",
            with(&|files| {
                resign(files, &recorder_key(), |payload| {
                    *payload = payload.replace("\"size\":", "\"size\":1")
                });
            }),
        ),
        fail(
            "bad-spec-text",
            "spec-text",
            resigned(&|files| replace(files, "SPEC.txt", "VERSION 1", "VERSION 2")),
        ),
    ]
}

/// Logs that a dishonest gateway or recorder might have written.
fn bad_stories() -> Vec<(&'static str, &'static str, Option<&'static str>, Vec<u8>)> {
    let fail = |name, check, story: &Story| {
        (name, "fail", Some(check), cut(story, "r1", &log_key(), &recorder_key()))
    };
    let other_log = SigningKey::from_seed("log-1", &[98; 32]).unwrap();
    let full = Story::told(|_| {});
    let mut dropped = Story::told(|_| {});
    dropped.items.retain(|(entry, _)| !String::from_utf8_lossy(entry).contains("\"run_seq\":2}"));
    let mut foreign = Story::told(|story| story.foreign = true);
    foreign.keep_foreign();
    vec![
        ("bad-log-key", "fail", Some("checkpoint-signature"), cut(&full, "r1", &other_log, &recorder_key())),
        fail("bad-gateway-key", "batch-signature", &Story::told(|story| story.gateway_seed = 97)),
        fail("bad-batch-root", "batch-membership", &Story::told(|story| story.wrong_root = true)),
        fail("bad-seq", "stream-order", &Story::told(|story| story.wrong_seq = true)),
        fail("bad-other-run", "run-members", &foreign),
        fail("bad-receipt-dropped", "run-complete", &dropped),
        fail("bad-close-count", "run-complete", &Story::told(|story| story.wrong_count = true)),
    ]
}

fn cut(story: &Story, run_id: &str, log: &SigningKey, recorder: &SigningKey) -> Vec<u8> {
    let (checkpoint, items) = story.proven(log.name());
    let text = note::sign_checkpoint(log.name(), checkpoint.size, &checkpoint.root, log);
    let mut keys = vec![(Role::Log, log.verifying()), (Role::Recorder, recorder.verifying())];
    keys.extend(story.keys().into_iter().map(|key| (Role::Gateway, key)));
    let cut = Cut {
        run_id,
        note: &text,
        checkpoint: &checkpoint,
        items: &items,
        keys: &keys,
        producer: "clyra 0.1.0",
    };
    bundle::build(&cut, recorder).unwrap()
}

/// Signs the manifest anew: digests as the files now are, then whatever `change` does to the payload.
fn resign(files: &mut Files, key: &SigningKey, change: impl Fn(&mut String)) {
    let envelope = dsse::Envelope::from_slice(&files["manifest.dsse.json"]).unwrap();
    let payload = envelope.open(STATEMENT_PAYLOAD_TYPE, &recorder_key().verifying()).unwrap();
    let mut statement: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    for subject in statement["subject"].as_array_mut().unwrap() {
        let content = &files[subject["name"].as_str().unwrap()];
        subject["digest"]["sha256"] = clyra_seal::hex(&clyra_seal::batch::digest(content)).into();
        subject["digest"]["blake3"] = blake3::hash(content).to_hex().as_str().into();
    }
    let mut text = String::from_utf8(clyra_seal::canonical::to_vec(&statement).unwrap()).unwrap();
    change(&mut text);
    let manifest = dsse::sign(STATEMENT_PAYLOAD_TYPE, text.as_bytes(), key).to_vec().unwrap();
    files.insert("manifest.dsse.json".into(), manifest);
}

fn pack(files: &Files) -> Vec<u8> {
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    container::write(&files).unwrap()
}

fn unpack(mut zip: &[u8]) -> Files {
    let mut files = Files::new();
    while zip.starts_with(b"PK\x03\x04") {
        let size = u32::from_le_bytes(zip[22..26].try_into().unwrap()) as usize;
        let start = 30 + usize::from(u16::from_le_bytes(zip[26..28].try_into().unwrap()));
        let name = String::from_utf8(zip[30..start].to_vec()).unwrap();
        files.insert(name, zip[start..start + size].to_vec());
        zip = &zip[start + size..];
    }
    files
}

fn trust() -> String {
    let gateways: String = ["gw-1", "gw-2"].iter().fold(String::new(), |text, name| {
        text + &format!("maker gateway {}\n", story::gateway_key(name, 1).verifying())
    });
    format!(
        "# keys of the test vectors; their seeds are public\nlog {}\nquorum none\n\n{gateways}maker recorder {}\n",
        log_key().verifying(),
        recorder_key().verifying()
    )
}

fn log_key() -> SigningKey {
    SigningKey::from_seed("log-1", &[10; 32]).unwrap()
}

fn recorder_key() -> SigningKey {
    SigningKey::from_seed("recorder-1", &[20; 32]).unwrap()
}
