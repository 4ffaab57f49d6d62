//! A flipped bit in any file is found, with the file and with where it is.

use super::*;
use crate::intake::check::check;
use crate::log::{Log, look};
use crate::sample::{Gateway, policy, receipts};
use crate::shelf::Shelf;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A recorder's folder with a log of some tiles, published in three steps, and more in the segments.
fn folder(runtime: &Handle) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let key = Arc::new(SigningKey::load_or_generate(&data.join("log.key"), "clyra-log").unwrap());
    SigningKey::load_or_generate(&data.join("bundle.key"), "clyra-recorder").unwrap();
    let store = Store::open(&data.join("log"), runtime.clone()).unwrap();
    let wal = data.join("wal");
    let (mut shelf, base) = Shelf::open(store, key, wal.clone(), SEGMENT).unwrap();
    let mut log = Log::open(&wal, &base, None, SEGMENT).unwrap();
    let mut gateway = Gateway::new("gw-1", 1);
    for (step, count) in (1..).zip([100, 300, 150, 20]) {
        let batch = gateway.batch([vec![policy()], receipts("r", count)].concat());
        log.commit(&[check(batch, &gateway.key.verifying()).unwrap()]).unwrap();
        if step < 4 {
            shelf.publish(&log.tip()).unwrap();
        }
    }
    assert_eq!(look(&log.tip()).tree.size(), 578);
    folder
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                found.insert(path, bytes);
            }
        }
    }
    found
}

#[test]
fn every_flipped_bit_is_found_in_its_file_not_behind_its_place() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = folder(runtime.handle());
    let sound = walk(folder.path(), runtime.handle().clone()).unwrap();
    assert_eq!(sound.faults, []);
    assert_eq!((sound.published, sound.size), (556, 578));
    let mut random = fastrand::Rng::with_seed(3);
    let (mut seen, mut flips) = (BTreeMap::new(), 0);
    for (path, bytes) in files(folder.path()) {
        let kind =
            path.strip_prefix(folder.path()).unwrap().to_str().unwrap().split('/').next().unwrap().to_owned();
        if matches!(kind.as_str(), "lock" | "makers" | "index.redb") {
            continue;
        }
        let drawn: Vec<usize> = (0..12).map(|_| random.usize(0..bytes.len())).collect();
        for place in [0, bytes.len() - 1].into_iter().chain(drawn) {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << random.u8(0..8);
            fs::write(&path, &flipped).unwrap();
            let found = walk(folder.path(), runtime.handle().clone()).unwrap();
            let here = found.faults.iter().find(|fault| fault.path == path);
            let here = here.unwrap_or_else(|| panic!("{} at {place}: {:?}", path.display(), found.faults));
            assert!(here.offset <= place as u64, "{} at {place}: {here:?}", path.display());
            flips += 1;
        }
        fs::write(&path, &bytes).unwrap();
        *seen.entry(kind).or_insert(0) += 1;
    }
    assert!(seen["log"] >= 8 && seen["wal"] >= 1 && flips > 100, "{seen:?}");
}

#[test]
fn a_missing_file_and_a_stranger_are_found() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = folder(runtime.handle());
    let tile = folder.path().join("log/tile/0/000");
    let bytes = fs::read(&tile).unwrap();
    fs::remove_file(&tile).unwrap();
    let found = walk(folder.path(), runtime.handle().clone()).unwrap();
    assert!(
        found.faults.iter().any(|fault| fault.path == tile && fault.why.contains("missing")),
        "{found:?}"
    );
    fs::write(&tile, bytes).unwrap();
    let stranger = folder.path().join("log/tile/0/notes");
    fs::write(&stranger, "x").unwrap();
    let found = walk(folder.path(), runtime.handle().clone()).unwrap();
    assert_eq!(found.faults.len(), 1);
    assert_eq!(found.faults[0].path, stranger);
}

const SEGMENT: u64 = 256 << 10;
