//! Whole logs on disk: good ones pass, each broken file is named.

use super::maker::{EPOCH, Log, leaf, root};
use super::{close, open, receipt, story};
use crate::{Outcome, verify_log};
use std::fs;
use std::path::Path;

#[test]
fn good_logs_pass_at_every_kind_of_width() {
    for (batches, per_batch) in [(1, 1), (1, 255), (2, 127), (1, 256), (5, 300)] {
        let log = long(batches, per_batch);
        let dir = tempfile::tempdir().unwrap();
        write(&log, dir.path());
        let report = verify_log(dir.path(), &log.house.trust()).unwrap();
        assert_eq!(report.outcome(), Outcome::Pass, "{report}");
        assert_eq!(report.summary.unwrap().log_size, log.entries.len() as u64);
    }
    let dir = tempfile::tempdir().unwrap();
    let log = story();
    write(&log, dir.path());
    let report = verify_log(dir.path(), &log.house.trust()).unwrap();
    assert_eq!(report.outcome(), Outcome::Pass, "{report}");
    let summary = report.summary.unwrap();
    assert_eq!((summary.streams.len(), summary.streams[1].receipts, summary.policies.len()), (2, 3, 3));
}

#[test]
fn each_broken_file_is_named() {
    let log = long(3, 300);
    for (file, check) in [
        ("checkpoint", "checkpoint-signature"),
        ("tile/0/000", "tiles"),
        ("tile/0/003.p/135", "tiles"),
        ("tile/1/000.p/3", "tiles"),
        ("tile/entries/001", "tiles"),
        ("tile/entries/003.p/135", "tiles"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        write(&log, dir.path());
        let path = dir.path().join(file);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        let report = verify_log(dir.path(), &log.house.trust()).unwrap();
        assert_eq!(report.first_failed(), Some(check), "{file}\n{report}");
        if file != "checkpoint" {
            fs::remove_file(&path).unwrap();
            let report = verify_log(dir.path(), &log.house.trust()).unwrap();
            assert_eq!(report.first_failed(), Some("tiles"), "{file}\n{report}");
        }
    }
    assert!(verify_log(Path::new("/nonexistent"), &log.house.trust()).is_err());
}

#[test]
fn a_lying_log_is_found_out() {
    let bodies = || vec![open("r1"), receipt("r1", 1, "allow"), close("r1", 1)];
    let told = |edit: fn(&mut Log), check: &str| {
        let mut log = Log::new();
        log.batch(0, EPOCH, &bodies());
        edit(&mut log);
        log.batch(0, EPOCH, &bodies());
        let dir = tempfile::tempdir().unwrap();
        write(&log, dir.path());
        let report = verify_log(dir.path(), &log.house.trust()).unwrap();
        assert_eq!(report.first_failed(), Some(check), "{report}");
    };
    told(
        |log| gives(log.batch_with(0, EPOCH, &[open("r2")], |c| c["previous"] = "11".repeat(32).into())),
        "stream-order",
    );
    told(
        |log| gives(log.batch_with(0, EPOCH, &[open("r2")], |c| c["first_seq"] = 9.into())),
        "batch-membership",
    );
    told(
        |log| gives(log.batch_with(0, EPOCH, &[open("r2")], |c| c["gateway"] = "gw-2".into())),
        "batch-signature",
    );
    told(|log| drop(log.entries.remove(2)), "batch-membership");
    told(|log| log.entries[3][10] ^= 1, "batch-membership");
    told(|log| log.entries[3] = b"{}".to_vec(), "entries-canonical");
    told(|log| log.entries.truncate(3), "stream-order");
}

/// The third level begins at 65,536 entries; their content does not matter to the tiles.
#[test]
fn tiles_of_the_third_level_are_walked() {
    let mut log = Log::new();
    log.entries = vec![b"{}".to_vec(); 65_536 + 256 + 7];
    let dir = tempfile::tempdir().unwrap();
    write(&log, dir.path());
    assert!(dir.path().join("tile/2/000.p/1").exists() && dir.path().join("tile/1/001.p/1").exists());
    let outcome = |check: &str| {
        let report = verify_log(dir.path(), &log.house.trust()).unwrap();
        report.checks.into_iter().find(|made| made.name == check).unwrap().outcome
    };
    assert_eq!((outcome("tiles"), outcome("root")), (Outcome::Pass, Outcome::Pass));
    fs::write(dir.path().join("tile/2/000.p/1"), [0; 32]).unwrap();
    assert_eq!(outcome("tiles"), Outcome::Fail);
}

fn gives(_index: usize) {}

fn long(batches: u64, per_batch: u64) -> Log {
    let mut log = Log::new();
    for batch in 0..batches {
        let bodies: Vec<_> =
            (0..per_batch).map(|n| receipt("r1", batch * per_batch + n + 1, "allow")).collect();
        log.batch(0, EPOCH, &bodies);
    }
    log
}

/// Writes the files of a log, from its page.
fn write(log: &Log, dir: &Path) {
    fs::write(dir.join("checkpoint"), log.checkpoint()).unwrap();
    let mut hashes: Vec<[u8; 32]> = log.entries.iter().map(|entry| leaf(entry)).collect();
    for (number, entries) in log.entries.chunks(256).enumerate() {
        let framed: Vec<u8> = entries
            .iter()
            .flat_map(|entry| [&u16::try_from(entry.len()).unwrap().to_be_bytes(), entry.as_slice()].concat())
            .collect();
        put(dir, "entries", number, entries.len(), &framed);
    }
    let mut level = 0;
    while !hashes.is_empty() {
        for (number, tile) in hashes.chunks(256).enumerate() {
            put(dir, &level.to_string(), number, tile.len(), tile.as_flattened());
        }
        hashes = hashes.chunks_exact(256).map(root).collect();
        level += 1;
    }
}

fn put(dir: &Path, kind: &str, number: usize, width: usize, bytes: &[u8]) {
    let place = if width == 256 { format!("{number:03}") } else { format!("{number:03}.p/{width}") };
    let path = dir.join("tile").join(kind).join(place);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
