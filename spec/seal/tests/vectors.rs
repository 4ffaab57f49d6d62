//! The vectors in the repository are those that the maker makes.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a maker of test data may stop at the first surprise, and lists are long"
)]

#[path = "../examples/vectors/forge.rs"]
mod forge;
#[path = "../examples/vectors/gateway.rs"]
mod gateway;
#[path = "../examples/vectors/keyless.rs"]
mod keyless;
#[path = "../examples/vectors/make.rs"]
mod make;
#[path = "../examples/vectors/recorder.rs"]
mod recorder;
#[path = "../examples/vectors/story.rs"]
mod story;
#[path = "../examples/vectors/switch.rs"]
mod switch;

use clyra_seal::{batch, dsse::Envelope, key::VerifyingKey, note};
use clyra_spec::media::STATEMENT_PAYLOAD_TYPE;
use serde_json::Value;
use std::{fs, path::Path};

#[test]
fn vectors_are_as_they_are_made() {
    let made = make::files();
    for (name, content) in &made {
        assert!(
            fs::read(folder().join(name)).unwrap() == *content,
            "{name}: run the example `vectors` again"
        );
    }
    let found: usize =
        ["", "good", "unable", "bad"].map(|inner| files_in(&folder().join(inner))).iter().sum();
    assert_eq!(found, made.len() + 1, "README.md and the vectors, nothing else");
}

/// What the makers read themselves, they read as strictly as the verifier.
#[test]
fn makers_refuse_what_the_verifier_refuses() {
    let mut refused = 0;
    for vector in
        serde_json::from_slice::<Vec<Value>>(&fs::read(folder().join("index.json")).unwrap()).unwrap()
    {
        let (file, check) = (vector["file"].as_str().unwrap(), vector["check"].as_str().unwrap_or_default());
        if ["container", "files"].contains(&check) {
            continue;
        }
        let files = forge::unpack(&fs::read(folder().join(file)).unwrap());
        let manifest = Envelope::from_slice(&files["manifest.dsse.json"])
            .and_then(|envelope| envelope.open(STATEMENT_PAYLOAD_TYPE, &make::recorder_key().verifying()));
        let checkpoint = std::str::from_utf8(&files["checkpoint"])
            .is_ok_and(|note| note::open_checkpoint(note, &make::log_key().verifying()).is_ok());
        assert_eq!(checkpoint, check != "checkpoint-signature", "{file}: checkpoint");
        match check {
            "manifest-signature" => assert!(manifest.is_err(), "{file}: manifest"),
            // The payload's own form is not for the seal to judge.
            "manifest-envelope" => refused -= i32::from(manifest.is_ok()),
            _ => assert!(manifest.is_ok(), "{file}: manifest"),
        }
        let lines = files["entries.jsonl"].split(|byte| *byte == b'\n');
        let headers: Vec<&[u8]> =
            lines.filter(|line| line.starts_with(b"{\"at\"") && has(line, b"\"kind\":\"batch\"")).collect();
        let opened =
            headers.iter().all(|header| gateways().iter().any(|key| batch::open(header, key).is_ok()));
        let must = check != "batch-signature" && !file.starts_with("bad/header-");
        assert_eq!(opened, must, "{file}: batch headers");
        refused += i32::from(check.contains("signature") || check == "manifest-envelope");
    }
    assert!(refused >= 35, "{refused} refused");
}

fn has(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
}

fn gateways() -> [VerifyingKey; 2] {
    ["gw-1", "gw-2"].map(|name| story::gateway_key(name, 1).verifying())
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors"))
}

fn files_in(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file()).count()
}
