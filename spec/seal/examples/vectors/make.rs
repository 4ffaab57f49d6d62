//! The bundles of `spec/vectors`, good and bad, by name. It never reads a clock or a random byte.

use super::forge::{self, Forge};
use super::story::{self, Batch};
use super::{gateway, keyless, recorder, switch};
use clyra_seal::bundle::{self, Cut, Role};
use clyra_seal::{dsse, key::SigningKey, note};
use clyra_spec::media::STATEMENT_PAYLOAD_TYPE;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Contents by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A bundle with a known outcome.
pub(crate) struct Vector {
    /// Its folder (`good`, `unable`, `bad`) and its name.
    pub(crate) name: &'static str,
    /// The first check that must not pass; none where all must.
    pub(crate) check: Option<&'static str>,
    /// What is the matter with it.
    pub(crate) told: &'static str,
    /// The bundle.
    pub(crate) bytes: Vec<u8>,
}

/// A bundle with one fault.
pub(crate) fn bad(name: &'static str, check: &'static str, told: &'static str, bytes: Vec<u8>) -> Vector {
    Vector { name, check: Some(check), told, bytes }
}

/// Every file of `spec/vectors` but its page, by name.
pub(crate) fn files() -> Files {
    let mut files = Files::from([("trust.txt".to_owned(), trust().into_bytes())]);
    let mut lines = Vec::new();
    let vectors = good()
        .into_iter()
        .chain(keyless::vectors())
        .chain(recorder::vectors())
        .chain(gateway::vectors())
        .chain(switch::vectors());
    for Vector { name, check, told, bytes } in vectors {
        let outcome = match name.split_once('/') {
            Some(("good", _)) => "pass",
            Some(("unable", _)) => "unable",
            _ => "fail",
        };
        let file = format!("{name}.pef.zip");
        lines.push(json!({"check": check, "file": file, "outcome": outcome, "told": told}).to_string());
        assert!(files.insert(file, bytes).is_none(), "two vectors are named {name}");
    }
    files.insert("index.json".into(), format!("[\n{}\n]\n", lines.join(",\n")).into_bytes());
    files
}

fn good() -> Vec<Vector> {
    let told =
        |name, told, change: fn(&mut Vec<Batch>)| Vector { name, check: None, told, bytes: honest(change) };
    let unable = |name, check, told, change: fn(&mut Vec<Batch>)| bad(name, check, told, honest(change));
    vec![
        told("good/closed", "one run of one gateway, opened and closed", |_| {}),
        told("good/reopened", "opened again after its close, and closed again", |batches| {
            batches[1].entries.extend([
                json!({"kind": "run_open", "run_id": "r1"}),
                story::receipt("whole", "allow", "select", 5),
                json!({"kind": "run_close", "count": 5, "reason": "idle", "run_id": "r1"}),
            ]);
        }),
        told("good/heartbeat", "a run that was silent for a while", |batches| {
            batches[1].entries.insert(1, json!({"kind": "heartbeat", "count": 3, "run_id": "r1"}));
        }),
        told("good/key", "a change under a key, and the same again", |batches| {
            let key = |state: &str| json!({"key": "0123456789abcdef0123456789abcdef", "state": state});
            batches[0].entries[2]["key"] = key("first");
            let mut again = story::receipt("whole", "replay", "update", 5);
            again["key"] = key("replayed");
            batches[1].entries.extend([
                json!({"kind": "run_open", "run_id": "r1"}),
                again,
                json!({"kind": "run_close", "count": 5, "reason": "idle", "run_id": "r1"}),
            ]);
        }),
        told("good/two-gateways", "one run through two gateways", |batches| {
            batches.extend(story::plain("gw-2"))
        }),
        told("good/two-epochs", "one run through two lives of a gateway", |batches| {
            batches.push(Batch {
                gateway: "gw-1",
                epoch: story::EPOCH + 1,
                first_seq: 1,
                last: true,
                entries: vec![
                    story::policy(),
                    json!({"kind": "run_open", "run_id": "r1"}),
                    story::receipt("whole", "allow", "select", 1),
                    json!({"kind": "run_close", "count": 1, "reason": "shutdown", "run_id": "r1"}),
                ],
                forge: Forge::default(),
            });
        }),
        unable("unable/open", "run-complete", "the run was never closed", |batches| {
            batches[1].entries.pop();
        }),
        unable(
            "unable/reopened",
            "run-complete",
            "opened again after its close, and not closed again",
            |batches| {
                batches[1].entries.push(json!({"kind": "run_open", "run_id": "r1"}));
            },
        ),
        unable("unable/heartbeat-last", "run-complete", "a heartbeat is the last of it", |batches| {
            batches[1].entries[3] = json!({"kind": "heartbeat", "count": 4, "run_id": "r1"});
        }),
        unable("unable/intent-alone", "outcomes", "an intent has no outcome", |batches| {
            batches[1].entries.remove(2);
            batches[1].entries[2]["count"] = 3.into();
        }),
        unable(
            "unable/outcome-alone",
            "outcomes",
            "an outcome names an intent that is not there",
            |batches| {
                batches[1].entries[2]["intent"] = "01936a5e-0000-7000-8000-0000000000ff".into();
                batches[1].entries.remove(0);
                batches[1].entries[1]["run"]["run_seq"] = 3.into();
                batches[1].entries[2]["count"] = 3.into();
            },
        ),
        unable("unable/gap", "gaps", "two entries are known to be lost", |batches| {
            batches[1].entries.insert(2, story::gap(true));
        }),
        unable("unable/gap-uncounted", "gaps", "nobody knows how many entries are lost", |batches| {
            batches[1].entries.insert(2, story::gap(false));
        }),
    ]
}

/// The bundle of the plain story after `change` had its say, cut by honest people.
pub(crate) fn honest(change: impl FnOnce(&mut Vec<Batch>)) -> Vec<u8> {
    let mut batches = story::plain("gw-1");
    change(&mut batches);
    cut(batches, |_| true, &log_key(), &recorder_key())
}

/// The bundle that these keys cut from the log of these batches; `keep` says which entries are in it.
pub(crate) fn cut(
    batches: Vec<Batch>,
    keep: impl Fn(usize) -> bool,
    log_key: &SigningKey,
    recorder: &SigningKey,
) -> Vec<u8> {
    let mut names: Vec<&str> = batches.iter().map(|batch| batch.gateway).collect();
    names.dedup();
    let mut keys = vec![(Role::Log, log_key.verifying()), (Role::Recorder, recorder.verifying())];
    keys.extend(names.iter().map(|name| (Role::Gateway, story::gateway_key(name, 1).verifying())));
    let log = story::write(batches);
    let picked: Vec<usize> = (0..log.len()).filter(|index| keep(*index)).collect();
    let checkpoint = story::checkpoint(&log);
    let note = note::sign_checkpoint(log_key.name(), checkpoint.size, &checkpoint.root, log_key);
    let items = story::items(&log, &picked);
    let cut = Cut {
        run_id: "r1",
        note: &note,
        checkpoint: &checkpoint,
        items: &items,
        keys: &keys,
        producer: "clyra 0.1.0",
    };
    let made = bundle::build(&cut, recorder).unwrap();
    if picked.iter().all(|index| log[*index].bytes == log[*index].honest) {
        return made;
    }
    let mut files = forge::unpack(&made);
    let lines = picked.iter().flat_map(|index| [log[*index].bytes.as_slice(), b"\n"]);
    files.insert("entries.jsonl".into(), lines.collect::<Vec<_>>().concat());
    resign(&mut files, recorder, |_| {});
    forge::pack(&files)
}

/// The statement over these files as they now are.
pub(crate) fn statement(files: &Files) -> Value {
    let envelope = dsse::Envelope::from_slice(&files["manifest.dsse.json"]).unwrap();
    let payload = envelope.open(STATEMENT_PAYLOAD_TYPE, &recorder_key().verifying()).unwrap();
    let mut statement: Value = serde_json::from_slice(&payload).unwrap();
    for subject in statement["subject"].as_array_mut().unwrap() {
        let content = &files[subject["name"].as_str().unwrap()];
        subject["digest"]["sha256"] = clyra_seal::hex(&clyra_seal::batch::digest(content)).into();
        subject["digest"]["blake3"] = blake3::hash(content).to_hex().as_str().into();
    }
    statement
}

/// Signs the manifest anew: digests as the files now are, then whatever `change` does to the payload.
pub(crate) fn resign(files: &mut Files, key: &SigningKey, change: impl Fn(&mut String)) {
    let statement = statement(files);
    let mut text = String::from_utf8(clyra_seal::canonical::to_vec(&statement).unwrap()).unwrap();
    change(&mut text);
    let manifest = dsse::sign(STATEMENT_PAYLOAD_TYPE, text.as_bytes(), key).to_vec().unwrap();
    files.insert("manifest.dsse.json".into(), manifest);
}

fn trust() -> String {
    let gateways: String = ["gw-1", "gw-2"].iter().fold(String::new(), |text, name| {
        text + &format!("maker gateway {}\n", story::gateway_key(name, 1).verifying())
    });
    let operators: String = [1, 2].iter().fold(String::new(), |text, number| {
        text + &format!("maker operator {}\n", switch::operator_key(*number).verifying())
    });
    format!(
        "# keys of the test vectors; their seeds are public\nlog {}\nquorum none\n\n{gateways}maker recorder {}\n{operators}",
        log_key().verifying(),
        recorder_key().verifying()
    )
}

pub(crate) fn log_key() -> SigningKey {
    SigningKey::from_seed("log-1", &[10; 32]).unwrap()
}

pub(crate) fn recorder_key() -> SigningKey {
    SigningKey::from_seed("recorder-1", &RECORDER_SEED).unwrap()
}

/// The recorder's secret, which is no secret.
pub(crate) const RECORDER_SEED: [u8; 32] = [20; 32];
