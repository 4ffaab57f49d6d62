//! Bundles by a recorder that signs what it likes: manifest, proofs, checkpoint. No gateway helps it.

use super::forge::{self, pack, replace, swap, unpack};
use super::make::{self, Files, Vector, bad, honest, log_key, recorder_key, resign};
use super::story;
use clyra_seal::dsse;
use clyra_seal::key::SigningKey;
use clyra_spec::media::STATEMENT_PAYLOAD_TYPE;
use serde_json::{Value, json};

pub(crate) fn vectors() -> Vec<Vector> {
    signatures()
        .into_iter()
        .chain(statements())
        .chain(checkpoints())
        .chain(proofs())
        .chain(summaries())
        .collect()
}

/// A good bundle with its files changed and the manifest signed anew.
fn resigned(change: impl Fn(&mut Files)) -> Vec<u8> {
    let mut files = unpack(&honest(|_| {}));
    change(&mut files);
    resign(&mut files, &recorder_key(), |_| {});
    pack(&files)
}

/// A good bundle whose manifest says something else.
fn restated(from: &str, to: &str) -> Vec<u8> {
    let mut files = unpack(&honest(|_| {}));
    resign(&mut files, &recorder_key(), |payload| *payload = swap(payload, from, to));
    pack(&files)
}

/// A good bundle whose statement is this one.
fn stating(change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut files = unpack(&honest(|_| {}));
    let mut statement = make::statement(&files);
    change(&mut statement);
    let payload = clyra_seal::canonical::to_vec(&statement).unwrap();
    sign_manifest(&mut files, &payload, STATEMENT_PAYLOAD_TYPE);
    pack(&files)
}

fn sign_manifest(files: &mut Files, payload: &[u8], signed_type: &str) {
    let mut envelope = dsse::sign(signed_type, payload, &recorder_key());
    envelope.payload_type = STATEMENT_PAYLOAD_TYPE.to_owned();
    files.insert("manifest.dsse.json".into(), envelope.to_vec().unwrap());
}

/// Signatures that a check takes only when it is not strict.
fn signatures() -> Vec<Vector> {
    let signature = |name, told, bytes| bad(name, "manifest-signature", told, bytes);
    let forged = |forge: &dyn Fn(&[u8]) -> [u8; 64]| {
        let mut files = unpack(&honest(|_| {}));
        let payload = clyra_seal::canonical::to_vec(&make::statement(&files)).unwrap();
        let sig = forge(&dsse::pae(STATEMENT_PAYLOAD_TYPE, &payload));
        let envelope = json!({
            "payload": base64(&payload), "payloadType": STATEMENT_PAYLOAD_TYPE,
            "signatures": [{"keyid": recorder_key().id(), "sig": base64(&sig)}],
        });
        files.insert("manifest.dsse.json".into(), clyra_seal::canonical::to_vec(&envelope).unwrap());
        pack(&files)
    };
    let seed = &make::RECORDER_SEED;
    vec![
        signature("bad/signature-zero", "64 bytes of zero", forged(&|_| [0; 64])),
        signature(
            "bad/signature-large-s",
            "S is not below the order",
            forged(&|message| forge::with_large_s(recorder_key().sign(message))),
        ),
        signature(
            "bad/signature-torsion",
            "R has a part of order 8",
            forged(&|message| forge::with_torsion(seed, message)),
        ),
        signature(
            "bad/signature-small-r",
            "R is of small order",
            forged(&|message| forge::with_small_r(seed, message)),
        ),
        signature(
            "bad/signature-bare",
            "signed without the pre-authentication encoding",
            forged(&|message| {
                let start = message.windows(2).position(|window| window == b" {").unwrap() + 1;
                recorder_key().sign(&message[start..])
            }),
        ),
        signature("bad/signature-type", "signed as a batch header", {
            let mut files = unpack(&honest(|_| {}));
            let payload = clyra_seal::canonical::to_vec(&make::statement(&files)).unwrap();
            sign_manifest(&mut files, &payload, "application/vnd.clyra.batch+json");
            pack(&files)
        }),
    ]
}

/// The statement: its form, its subjects, its log.
fn statements() -> Vec<Vector> {
    let envelope = |name, told, bytes| bad(name, "manifest-envelope", told, bytes);
    let subjects = |name, told, bytes| bad(name, "manifest-subjects", told, bytes);
    let log = |name, told, bytes| bad(name, "manifest-log", told, bytes);
    vec![
        envelope(
            "bad/statement-field",
            "an unknown field in the predicate",
            stating(|s| s["predicate"]["more"] = 1.into()),
        ),
        envelope(
            "bad/statement-lacks",
            "no `producer`",
            stating(|s| {
                s["predicate"].as_object_mut().unwrap().remove("producer");
            }),
        ),
        envelope(
            "bad/statement-type",
            "a statement of another version",
            restated("in-toto.io/Statement/v1", "in-toto.io/Statement/v2"),
        ),
        envelope(
            "bad/statement-predicate",
            "a predicate of another version",
            restated("dev/spec/bundle/v1\",\"subject", "dev/spec/bundle/v2\",\"subject"),
        ),
        envelope(
            "bad/statement-container",
            "a kind of container that is not known",
            restated("\"container\":\"pef\"", "\"container\":\"xef\""),
        ),
        envelope(
            "bad/statement-float",
            "a number with a fraction",
            restated("\"receipts\":4", "\"receipts\":4.0"),
        ),
        envelope(
            "bad/statement-large",
            "a number beyond 2^53-1",
            restated("\"receipts\":4", "\"receipts\":9007199254740992"),
        ),
        envelope(
            "bad/statement-order",
            "keys that do not ascend",
            restated("\"epoch\":1795000000000,\"first_seq\":2", "\"first_seq\":2,\"epoch\":1795000000000"),
        ),
        envelope(
            "bad/statement-hex",
            "a digest in upper case",
            stating(|s| {
                let upper = s["predicate"]["log"]["root"].as_str().unwrap().to_uppercase();
                s["predicate"]["log"]["root"] = upper.into();
            }),
        ),
        subjects(
            "bad/subject-missing",
            "`proofs.jsonl` is not listed",
            stating(|s| drop(s["subject"].as_array_mut().unwrap().pop())),
        ),
        subjects(
            "bad/subject-twice",
            "`SPEC.txt` is listed twice",
            stating(|s| {
                let subjects = s["subject"].as_array_mut().unwrap();
                subjects.insert(1, subjects[0].clone());
            }),
        ),
        subjects(
            "bad/subject-order",
            "subjects that do not ascend by name",
            stating(|s| s["subject"].as_array_mut().unwrap().swap(0, 1)),
        ),
        subjects(
            "bad/subject-absent",
            "a listed file is not there",
            stating(|s| {
                let subjects = s["subject"].as_array_mut().unwrap();
                let mut more = subjects[4].clone();
                more["name"] = "z.txt".into();
                subjects.push(more);
            }),
        ),
        subjects(
            "bad/subject-sha256",
            "another SHA-256 beside the right BLAKE3",
            stating(|s| s["subject"][2]["digest"]["sha256"] = "0".repeat(64).into()),
        ),
        subjects(
            "bad/subject-blake3",
            "another BLAKE3 beside the right SHA-256",
            stating(|s| s["subject"][2]["digest"]["blake3"] = "0".repeat(64).into()),
        ),
        log("bad/manifest-size", "another size than the checkpoint", restated("\"size\":", "\"size\":1")),
        log(
            "bad/manifest-root",
            "another root than the checkpoint",
            stating(|s| s["predicate"]["log"]["root"] = "0".repeat(64).into()),
        ),
        log(
            "bad/manifest-origin",
            "another log than the checkpoint",
            restated("\"origin\":\"log-1\"", "\"origin\":\"log-2\""),
        ),
    ]
}

/// The checkpoint, often by someone who holds the log's key as well.
fn checkpoints() -> Vec<Vector> {
    let signed = |text: &str, key: &SigningKey| {
        let blob = [&key.verifying().hash()[..], &key.sign(text.as_bytes())].concat();
        resigned(|files| {
            let note = format!("{text}\n\u{2014} {} {}\n", key.name(), base64(&blob));
            files.insert("checkpoint".into(), note.into_bytes());
        })
    };
    let text = String::from_utf8(unpack(&honest(|_| {}))["checkpoint"].clone()).unwrap();
    let body = format!("{}\n", text.split_once("\n\n").unwrap().0);
    let root = body.lines().nth(2).unwrap().to_owned();
    let checkpoint = |name, told, bytes| bad(name, "checkpoint-signature", told, bytes);
    let other_log = SigningKey::from_seed("log-1", &[98; 32]).unwrap();
    let unused = root.strip_suffix('=').unwrap();
    let last = unused.chars().last().unwrap();
    let loose =
        format!("{}{}=", unused.strip_suffix(last).unwrap(), char::from(u8::try_from(last).unwrap() + 1));
    vec![
        checkpoint(
            "bad/checkpoint-size",
            "another size under the old signature",
            resigned(|files| {
                replace(files, "checkpoint", "\n10\n", "\n99\n");
            }),
        ),
        checkpoint(
            "bad/log-key",
            "signed by a key of the log's name that nobody trusts",
            signed(&body, &other_log),
        ),
        checkpoint("bad/log-role", "signed by the recorder's key", signed(&body, &recorder_key())),
        checkpoint("bad/checkpoint-line", "a fourth line", signed(&format!("{body}more\n"), &log_key())),
        checkpoint("bad/checkpoint-short", "no root", signed("log-1\n10\n", &log_key())),
        checkpoint(
            "bad/checkpoint-origin",
            "signed for a log of another name",
            signed(&swap(&body, "log-1", "log-9"), &log_key()),
        ),
        checkpoint(
            "bad/checkpoint-zero",
            "a size with a leading zero",
            signed(&swap(&body, "\n10\n", "\n010\n"), &log_key()),
        ),
        checkpoint(
            "bad/checkpoint-base64",
            "a root whose unused bits are not zero",
            signed(&swap(&body, &root, &loose), &log_key()),
        ),
        checkpoint(
            "bad/checkpoint-line-end",
            "no line end behind the signature",
            resigned(|files| {
                assert_eq!(files.get_mut("checkpoint").unwrap().pop(), Some(b'\n'));
            }),
        ),
        checkpoint(
            "bad/checkpoint-dash",
            "a hyphen for the dash",
            resigned(|files| replace(files, "checkpoint", "\u{2014} ", "- ")),
        ),
        checkpoint(
            "bad/checkpoint-second",
            "a second signature of the log that does not hold",
            resigned(|files| {
                let blob = [&log_key().verifying().hash()[..], &[1; 64]].concat();
                let line = format!("\u{2014} log-1 {}\n", base64(&blob));
                files.get_mut("checkpoint").unwrap().extend_from_slice(line.as_bytes());
            }),
        ),
    ]
}

/// Entries that the recorder changed, and proofs.
fn proofs() -> Vec<Vector> {
    let inclusion = |name, told, bytes| bad(name, "inclusion", told, bytes);
    let line = |change: &dyn Fn(&mut Vec<String>)| {
        resigned(|files| {
            let text = String::from_utf8(files["proofs.jsonl"].clone()).unwrap();
            let mut lines = text.lines().map(str::to_owned).collect();
            change(&mut lines);
            files.insert("proofs.jsonl".into(), (lines.join("\n") + "\n").into_bytes());
        })
    };
    let field = |at: usize, change: &dyn Fn(&mut Value)| {
        line(&|lines| {
            let mut proof = serde_json::from_str(&lines[at]).unwrap();
            change(&mut proof);
            lines[at] = proof.to_string();
        })
    };
    let zeros = || Value::from("0".repeat(64));
    vec![
        inclusion(
            "bad/verdict-changed",
            "a denial told as allowed",
            resigned(|files| {
                replace(files, "entries.jsonl", "\"verdict\":\"deny\"", "\"verdict\":\"allow\"");
            }),
        ),
        inclusion(
            "bad/proof-missing",
            "one line of proofs less than entries",
            line(&|lines| drop(lines.pop())),
        ),
        inclusion(
            "bad/proof-more",
            "one line of proofs more than entries",
            line(&|lines| lines.push(lines[9].clone())),
        ),
        inclusion("bad/proof-node", "another node in a path", field(4, &|proof| proof["path"][1] = zeros())),
        inclusion(
            "bad/proof-long",
            "a path with a node more",
            field(4, &|proof| proof["path"].as_array_mut().unwrap().push(zeros())),
        ),
        inclusion(
            "bad/proof-short",
            "a path with a node less",
            field(4, &|proof| drop(proof["path"].as_array_mut().unwrap().pop())),
        ),
        inclusion(
            "bad/proof-index",
            "the index of another entry",
            field(4, &|proof| proof["index"] = 5.into()),
        ),
        inclusion(
            "bad/proof-beyond",
            "an index beyond the log",
            field(9, &|proof| proof["index"] = 10.into()),
        ),
        inclusion("bad/proof-field", "an unknown field", field(4, &|proof| proof["more"] = 1.into())),
        inclusion(
            "bad/proof-hex",
            "a node in upper case",
            field(4, &|proof| {
                proof["path"][0] = proof["path"][0].as_str().unwrap().to_uppercase().into();
            }),
        ),
        inclusion(
            "bad/proof-no-batch-path",
            "an entry without a path in its batch",
            field(4, &|proof| {
                proof.as_object_mut().unwrap().remove("batch_path");
            }),
        ),
        inclusion(
            "bad/proof-header-path",
            "a header with a path in a batch",
            field(0, &|proof| proof["batch_path"] = json!([])),
        ),
        inclusion(
            "bad/proof-header-batch",
            "a header that another header covers",
            field(5, &|proof| proof["batch"] = 0.into()),
        ),
        inclusion(
            "bad/proof-order",
            "two entries and their proofs exchanged",
            resigned(|files| {
                for name in ["entries.jsonl", "proofs.jsonl"] {
                    let text = String::from_utf8(files[name].clone()).unwrap();
                    let mut lines: Vec<&str> = text.lines().collect();
                    lines.swap(3, 4);
                    files.insert(name.into(), (lines.join("\n") + "\n").into_bytes());
                }
            }),
        ),
        bad(
            "bad/batch-path",
            "batch-membership",
            "another node in a path to a batch's root",
            field(4, &|proof| proof["batch_path"][0] = zeros()),
        ),
        bad(
            "bad/batch-index",
            "batch-membership",
            "an entry said to be in another batch",
            field(6, &|proof| proof["batch"] = 0.into()),
        ),
        bad("bad/batch-missing", "batch-membership", "the header of a batch is left out", {
            make::cut(story::plain("gw-1"), |index| index != 5, &log_key(), &recorder_key())
        }),
    ]
}

/// What the manifest says of the entries, and the text of the spec.
fn summaries() -> Vec<Vector> {
    let summary = |name, told, bytes| bad(name, "summary", told, bytes);
    let spec = |name, told, bytes| bad(name, "spec-text", told, bytes);
    vec![
        summary("bad/summary-verdicts", "one denial too many", restated("\"deny\":1", "\"deny\":2")),
        summary("bad/summary-counts", "one receipt too few", restated("\"receipt\":4", "\"receipt\":3")),
        summary(
            "bad/summary-zero",
            "a kind that is not there, counted as zero",
            restated("\"counts\":{\"batch\":2", "\"counts\":{\"approval\":0,\"batch\":2"),
        ),
        summary("bad/summary-streams", "another last seq", restated("\"last_seq\":8", "\"last_seq\":9")),
        summary(
            "bad/summary-policies",
            "a policy that nobody used",
            stating(|s| {
                s["predicate"]["policies"]
                    .as_array_mut()
                    .unwrap()
                    .push(format!("sha256:{}", "f".repeat(64)).into());
            }),
        ),
        summary(
            "bad/summary-closed",
            "a closed run said to be open",
            restated("\"closed\":true", "\"closed\":false"),
        ),
        summary(
            "bad/summary-claims",
            "a claim that the format does not make",
            stating(|s| {
                s["predicate"]["claims"].as_array_mut().unwrap().push("every statement was lawful".into());
            }),
        ),
        summary(
            "bad/summary-non-claims",
            "a non-claim left out",
            stating(|s| drop(s["predicate"]["non_claims"].as_array_mut().unwrap().pop())),
        ),
        spec(
            "bad/spec-text",
            "the rules of another version",
            resigned(|files| replace(files, "SPEC.txt", "VERSION 1", "VERSION 2")),
        ),
        spec(
            "bad/spec-text-longer",
            "a line more in the rules",
            resigned(|files| files.get_mut("SPEC.txt").unwrap().push(b'\n')),
        ),
    ]
}

fn base64(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}
