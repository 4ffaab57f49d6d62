//! The writer and its segments: what a crash may leave, and what it may not.

use super::standing::Head;
use super::*;
use crate::intake::check::check;
use crate::sample::{Gateway, receipts};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use tempfile::TempDir;

const SEGMENT: u64 = 64 << 10;

struct House {
    folder: TempDir,
    gateway: Gateway,
}

impl House {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), gateway: Gateway::new("gw-1", 1) }
    }

    fn wal(&self) -> PathBuf {
        self.folder.path().join("wal")
    }

    fn open(&self) -> Result<Log, Error> {
        Log::open(&self.wal(), &Tip::default(), None, SEGMENT)
    }

    fn batch(&mut self, count: u64) -> Checked {
        check(self.gateway.batch(receipts("r", count)), &self.gateway.key.verifying()).unwrap()
    }

    /// Commits batches of this many entries, each as a group of its own.
    fn commit(&mut self, log: &mut Log, counts: &[u64]) {
        for count in counts {
            let checked = self.batch(*count);
            let answers = log.commit(&[checked]).unwrap();
            assert!(matches!(answers[..], [Says::Ack(_)]));
        }
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> =
            fs::read_dir(self.wal()).unwrap().map(|entry| entry.unwrap().path()).collect();
        found.retain(|path| path.extension().is_some_and(|extension| extension == "wal"));
        found.sort();
        found
    }
}

fn stand(log: &Log) -> (u64, Hash, BTreeMap<String, Head>) {
    let tip = look(&log.tip).clone();
    assert_eq!(tip.tree, log.tree);
    (tip.tree.size(), tip.tree.root(), tip.heads)
}

/// Offset behind the last byte that is not zero.
fn written(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |place| place + 1)
}

#[test]
fn a_restart_finds_all_that_was_acknowledged() {
    let mut house = House::new();
    let mut log = house.open().unwrap();
    house.commit(&mut log, &[1, 100, 7, 90, 90, 90]);
    let before = stand(&log);
    assert_eq!(before.0, 384);
    assert!(house.segments().len() > 2);
    drop(log);
    let mut log = house.open().unwrap();
    assert_eq!(stand(&log), before);
    house.commit(&mut log, &[3]);
    assert_eq!(stand(&house.open().unwrap()).0, 388);
}

#[test]
fn a_group_answers_in_order_and_each_batch_for_itself() {
    let mut house = House::new();
    let mut log = house.open().unwrap();
    let first = house.batch(2);
    let mut fork = Gateway::new("gw-1", 1);
    let fork = check(fork.batch(receipts("x", 2)), &fork.key.verifying()).unwrap();
    let second = house.batch(1);
    let mut other = Gateway::new("gw-2", 2);
    let other = check(other.batch(receipts("r", 1)), &other.key.verifying()).unwrap();
    let group = [first.clone(), fork, first.clone(), second.clone(), other];
    let answers = log.commit(&group).unwrap();
    let ack = |place: usize| match &answers[place] {
        Says::Ack(ack) => (ack.epoch, ack.seq, ack.index, ack.tree_size),
        other => panic!("{other:?}"),
    };
    assert_eq!(ack(0), (1_000, 2, 0, 3));
    assert!(matches!(&answers[1], Says::Refusal(refusal) if refusal.reason == "fork"));
    assert_eq!(ack(2), (1_000, 2, 0, 7));
    assert_eq!(ack(3), (1_000, 3, 3, 5));
    assert_eq!(ack(4), (1_000, 1, 5, 7));
    // Nothing but duplicates: nothing is written.
    let before = fs::read(&house.segments()[0]).unwrap();
    assert!(matches!(log.commit(&[first, second]).unwrap()[..], [Says::Ack(_), Says::Ack(_)]));
    assert_eq!(fs::read(&house.segments()[0]).unwrap(), before);
    assert_eq!(stand(&house.open().unwrap()), stand(&log));
}

#[test]
fn a_torn_tail_is_cut_wherever_the_power_went() {
    let mut house = House::new();
    let mut log = house.open().unwrap();
    house.commit(&mut log, &[5, 5]);
    let before = stand(&log);
    let path = house.segments()[0].clone();
    let start = written(&fs::read(&path).unwrap());
    house.commit(&mut log, &[5]);
    drop(log);
    let whole = fs::read(&path).unwrap();
    let end = written(&whole);
    for torn in (start + 1..end).step_by(97).chain([end - 1]) {
        let mut bytes = whole.clone();
        bytes[torn..].fill(0);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(stand(&house.open().unwrap()), before, "torn at {torn}");
        assert_eq!(written(&fs::read(&path).unwrap()), start);
        assert_eq!(fs::metadata(&path).unwrap().len(), SEGMENT);
    }
    // Sectors that reached the disk out of order: the start is missing, the end is there.
    let mut bytes = whole.clone();
    bytes[start..start + 512].fill(0);
    fs::write(&path, &bytes).unwrap();
    assert_eq!(stand(&house.open().unwrap()), before);
    fs::write(&path, &whole).unwrap();
    assert_eq!(stand(&house.open().unwrap()).0, before.0 + 6);
}

#[test]
fn damage_before_sound_frames_is_an_error_and_changes_nothing() {
    let mut house = House::new();
    let mut log = house.open().unwrap();
    house.commit(&mut log, &[5]);
    let second = written(&fs::read(&house.segments()[0]).unwrap());
    house.commit(&mut log, &[5, 5]);
    drop(log);
    let path = house.segments()[0].clone();
    let whole = fs::read(&path).unwrap();
    for place in [second, second + 9, second + 13, second + 30, second + 400] {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x40;
        fs::write(&path, &bytes).unwrap();
        let error = house.open().unwrap_err().to_string();
        assert!(error.contains(&format!("damaged at byte {second}")) && error.contains(".wal"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn damage_in_a_full_segment_is_an_error() {
    let mut house = House::new();
    let mut log = house.open().unwrap();
    house.commit(&mut log, &[60, 60, 60, 60]);
    drop(log);
    let segments = house.segments();
    assert!(segments.len() >= 3);
    let whole = fs::read(&segments[0]).unwrap();
    let mut bytes = whole.clone();
    bytes[written(&whole) - 1] ^= 1;
    fs::write(&segments[0], &bytes).unwrap();
    assert!(matches!(house.open(), Err(Error::Damaged { .. })));
    // Frames that vanished altogether are missed by the next segment.
    fs::write(&segments[0], vec![0; whole.len()]).unwrap();
    assert!(matches!(house.open(), Err(Error::Damaged { .. })));
    fs::write(&segments[0], &whole).unwrap();
    fs::remove_file(&segments[1]).unwrap();
    assert!(matches!(house.open(), Err(Error::Damaged { .. })));
    fs::remove_file(&segments[0]).unwrap();
    assert!(matches!(house.open(), Err(Error::Mismatch { .. })));
}

#[test]
fn a_prepared_segment_is_used_and_a_crash_while_making_one_is_survived() {
    let mut house = House::new();
    let mut log = house.open().unwrap();
    wal::prepare_spare(&house.wal(), SEGMENT).unwrap();
    house.commit(&mut log, &[60, 60]);
    assert!(!house.wal().join("spare").exists());
    let size = stand(&log).0;
    drop(log);
    // A crash left the next segment empty.
    let path = house.wal().join(format!("{size:020}.wal"));
    fs::write(&path, b"").unwrap();
    let mut log = house.open().unwrap();
    house.commit(&mut log, &[60, 60]);
    assert_eq!(stand(&house.open().unwrap()), stand(&log));
}

#[test]
fn after_a_failed_write_nothing_is_acknowledged_any_more() {
    let mut house = House::new();
    let mut log = house.open().unwrap();
    house.commit(&mut log, &[1]);
    let before = stand(&log);
    log.wal.break_file();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (fail, failed) = watch::channel(None);
    let (jobs, waiting) = mpsc::channel(8);
    let (answers, mut answered) = mpsc::channel(8);
    for count in [2, 3] {
        let reply = runtime.block_on(answers.clone().reserve_owned()).unwrap();
        jobs.try_send(Job { checked: house.batch(count), reply }).unwrap();
    }
    drop(jobs);
    write(log, waiting, &fail);
    for _ in 0..2 {
        let answer = answered.blocking_recv().unwrap().unwrap().says.unwrap();
        assert!(matches!(answer, Says::Refusal(refusal) if refusal.reason == "closed"));
    }
    assert!(failed.borrow().as_ref().unwrap().contains(".wal"));
    assert_eq!(stand(&house.open().unwrap()), before);
}

#[test]
fn a_frame_says_nothing_where_its_index_is_another() {
    let mut house = House::new();
    let mut log = house.open().unwrap();
    house.commit(&mut log, &[5]);
    drop(log);
    let path = house.segments()[0].clone();
    let moved = house.wal().join(format!("{:020}.wal", 7));
    fs::rename(&path, &moved).unwrap();
    assert!(matches!(Log::open(&house.wal(), &Tip::default(), None, SEGMENT), Err(Error::Mismatch { .. })));
    fs::rename(&moved, &path).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let end = written(&whole);
    // The same frame once more: whole, but not the one that is due.
    file.write_all_at(&whole[..end], end as u64).unwrap();
    assert!(house.open().unwrap_err().to_string().contains("expected index 6, found 0"));
}
