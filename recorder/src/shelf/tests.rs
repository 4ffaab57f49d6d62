//! Publishing, with a crash after each step, and with another recorder on the same store.

use super::*;
use crate::intake::check::check;
use crate::log::Log;
use crate::sample::{Gateway, receipts};
use clyra_seal::merkle;
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const SEGMENT: u64 = 64 << 10;

struct House {
    folder: TempDir,
    runtime: Runtime,
    gateway: Gateway,
    key: Arc<SigningKey>,
    shelf: Shelf,
    log: Log,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let key = Arc::new(SigningKey::from_seed("log-1", &[9; 32]).unwrap());
        let (shelf, log) = open(folder.path(), &runtime, &key).unwrap();
        Self { folder, runtime, gateway: Gateway::new("gw-1", 1), key, shelf, log }
    }

    /// As after a crash: all that is in memory is gone.
    fn restart(&mut self) -> Result<(), Error> {
        (self.shelf, self.log) = open(self.folder.path(), &self.runtime, &self.key)?;
        Ok(())
    }

    fn record(&mut self, counts: &[u64]) {
        for count in counts {
            let batch = self.gateway.batch(receipts("r", *count));
            let checked = check(batch, &self.gateway.key.verifying()).unwrap();
            self.log.commit(&[checked]).unwrap();
        }
    }

    fn publish(&mut self) -> Result<(), Error> {
        self.shelf.publish(&self.log.tip())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Reads the whole log as a stranger would: signature, entries, leaves, root.
    fn fsck(&self, size: u64) {
        let note = fs::read_to_string(self.path("log/checkpoint")).unwrap();
        let checkpoint = note::open_checkpoint(&note, &self.key.verifying()).unwrap();
        assert_eq!(checkpoint.size, size);
        let mut leaves = Vec::new();
        for tile in 0..size.div_ceil(tiles::TILE) {
            let width = tiles::TILE.min(size - tile * tiles::TILE);
            let entries = tiles::entries(&self.shelf.store, tile, width).unwrap();
            let hashes: Vec<Hash> = entries.iter().map(|entry| merkle::leaf_hash(entry)).collect();
            assert_eq!(hashes, tiles::hashes(&self.shelf.store, 0, tile, width).unwrap());
            leaves.extend(hashes);
        }
        assert_eq!(merkle::root(&leaves), checkpoint.root);
        let full = leaves.chunks_exact(256).map(merkle::root).collect::<Vec<_>>();
        if !full.is_empty() {
            assert_eq!(tiles::hashes(&self.shelf.store, 1, 0, full.len() as u64).unwrap(), full);
        }
    }
}

fn open(data: &Path, runtime: &Runtime, key: &Arc<SigningKey>) -> Result<(Shelf, Log), Error> {
    let store = Store::open(&data.join("log"), runtime.handle().clone())?;
    let wal = data.join("wal");
    let (shelf, base) = Shelf::open(store, Arc::clone(key), wal.clone(), SEGMENT)?;
    let log = Log::open(&wal, &base, shelf.won(), SEGMENT)?;
    Ok((shelf, log))
}

#[test]
fn what_is_published_is_the_whole_log_and_survives_restarts() {
    let mut house = House::new();
    let mut size = 0;
    for counts in [&[1][..], &[200, 54], &[1], &[255], &[256, 256, 3], &[]] {
        house.record(counts);
        size += counts.iter().map(|count| count + 1).sum::<u64>();
        house.publish().unwrap();
        house.fsck(size);
        house.restart().unwrap();
        assert_eq!(crate::log::look(&house.log.tip()).tree.size(), size);
    }
    // Segments below the checkpoint and partial tiles that are full by now are gone.
    assert_eq!(fs::read_dir(house.path("wal")).unwrap().filter(is_segment).count(), 1);
    assert!(!house.path("log/tile/0/000.p").exists());
    assert!(!house.path("log/tile/entries/000.p").exists());
    assert!(house.path("log/tile/0/000").exists());
}

fn is_segment(entry: &std::io::Result<fs::DirEntry>) -> bool {
    entry.as_ref().unwrap().file_name().to_str().unwrap().ends_with(".wal")
}

#[test]
fn a_crash_after_each_step_is_survived() {
    for step in 0..4 {
        let mut house = House::new();
        house.record(&[10]);
        house.publish().unwrap();
        house.record(&[250, 20]);
        let commit = Commit::of(&crate::log::look(&house.log.tip()));
        if step >= 1 {
            house.shelf.win(commit.clone()).unwrap();
        }
        let mut tiles = house.shelf.tiles.clone();
        if step >= 2 {
            house.shelf.write_tiles(&commit, &mut tiles).unwrap();
        }
        if step >= 3 {
            house.shelf.sign(&commit, tiles).unwrap();
        }
        house.restart().unwrap();
        assert_eq!(house.shelf.won().is_some(), step == 1 || step == 2);
        house.record(&[5]);
        house.publish().unwrap();
        house.fsck(11 + 251 + 21 + 6);
        house.restart().unwrap();
    }
}

#[test]
fn a_crash_before_the_very_first_checkpoint_is_survived() {
    let mut house = House::new();
    house.record(&[3]);
    let commit = Commit::of(&crate::log::look(&house.log.tip()));
    house.shelf.win(commit).unwrap();
    house.restart().unwrap();
    house.publish().unwrap();
    house.fsck(4);
}

#[test]
fn two_recorders_never_sign_both() {
    let mut house = House::new();
    house.record(&[3]);
    house.publish().unwrap();
    let store = house.shelf.store.clone();
    let stale = Shelf::open(store, Arc::clone(&house.key), house.path("wal"), SEGMENT).unwrap().0;
    house.record(&[4]);
    let ours = Commit::of(&crate::log::look(&house.log.tip()));
    // The other one commits other entries first.
    let mut theirs = ours.clone();
    theirs.tree.append([1; 32]);
    let mut other = stale;
    other.win(theirs.clone()).unwrap();
    assert!(matches!(house.publish(), Err(Error::Forked { number: 2, .. })));
    house.fsck(4);
    // After a restart the foreign commit does not follow from our segments.
    assert!(matches!(house.restart(), Err(Error::Mismatch { .. })));
}

#[test]
fn a_recorder_that_fell_far_behind_cannot_sign() {
    let mut house = House::new();
    house.record(&[3]);
    house.publish().unwrap();
    let store = house.shelf.store.clone();
    let mut stale = Shelf::open(store, Arc::clone(&house.key), house.path("wal"), SEGMENT).unwrap().0;
    for _ in 0..40 {
        house.record(&[1]);
        house.publish().unwrap();
    }
    // Its next commit was deleted long ago, so it can be written again; a higher number tells.
    assert_eq!(commit::numbers(&house.shelf.store).unwrap().len(), 16);
    let commit = Commit::of(&crate::log::look(&house.log.tip()));
    assert!(matches!(stale.win(commit), Err(Error::Forked { number: 41, .. })));
    house.fsck(84);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let spoil = |spoil: &dyn Fn(&House)| {
        let mut house = House::new();
        house.record(&[30]);
        house.publish().unwrap();
        house.record(&[30]);
        spoil(&house);
        house.restart().unwrap_err().to_string()
    };
    let flip = |house: &House, name: &str, place: usize| {
        let mut bytes = fs::read(house.path(name)).unwrap();
        bytes[place] ^= 1;
        fs::write(house.path(name), bytes).unwrap();
    };
    let commit = "log/commit/00000000000000000001";
    assert!(spoil(&|house| flip(house, "log/tile/0/000.p/31", 40)).contains("tiles do not give the root"));
    assert!(spoil(&|house| flip(house, "log/checkpoint", 70)).contains("does not verify"));
    assert!(spoil(&|house| flip(house, commit, 12)).contains("commit"));
    assert!(spoil(&|house| fs::remove_file(house.path(commit)).unwrap()).contains("no commit"));
    assert!(spoil(&|house| fs::remove_file(house.path("log/tile/0/000.p/31")).unwrap()).contains("missing"));
    assert!(spoil(&|house| fs::remove_dir_all(house.path("wal")).unwrap()).contains("wal"));
    // A commit was won, then its entries were lost: never sign something else instead.
    let lost = spoil(&|house| {
        let commit = Commit::of(&crate::log::look(&house.log.tip()));
        commit.win(&house.shelf.store, "log-1", 2).unwrap();
        let wal = house.path("wal/00000000000000000000.wal");
        let bytes = fs::read(&wal).unwrap();
        let second = bytes.windows(8).rposition(|window| window == b"\x01CLYLOG\x01").unwrap();
        let kept = [&bytes[..second], &vec![0; bytes.len() - second]].concat();
        fs::write(&wal, kept).unwrap();
    });
    assert!(lost.contains("do not lead to the commit"), "{lost}");
}
