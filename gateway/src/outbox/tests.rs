//! The outbox as a whole, against a recorder in memory: what it keeps, what it tells, when it shuts.

use super::issuer::{HEARTBEAT_US, Issuer};
use super::memory::Memory;
use super::pen::{Page, Pen};
use super::{Error, Outbox, OutboxSettings};
use crate::draft::{Draft, PolicyCard, ReceiptDraft, RunClaims, SessionCard};
use clyra_policy::{Decision, Facts};
use clyra_proto::evidence::Batch;
use clyra_seal::key::SigningKey;
use clyra_seal::{batch, canonical, merkle};
use clyra_spec::limits::ENTRY_BYTES_MAX;
use clyra_spec::{ActorKind, Auth, Phase, Verdict};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use uuid::Uuid;

const AT_US: u64 = 1_795_000_000_123_456;

#[test]
fn a_silent_run_has_a_heartbeat_a_minute_until_it_is_closed() {
    let (mut issuer, mut page) = (issuer(), Page::default());
    let run = claims("r1");
    assert_eq!(issuer.next_beat_us(), None);
    issuer.issue(&mut page, &Draft::RunJoin(Arc::clone(&run)), 0);
    assert!(!issuer.beat(&mut page, 10 * HEARTBEAT_US), "a run without a receipt is not open");
    let start = 10 * HEARTBEAT_US;
    issuer.issue(&mut page, &receipt(Some(&run)), start);
    issuer.issue(&mut page, &receipt(Some(&run)), start + 7);
    assert_eq!(issuer.next_beat_us(), Some(start + HEARTBEAT_US));
    issuer.beat(&mut page, start + HEARTBEAT_US);
    assert_eq!(page.count(), 3, "spoken of since");
    assert_eq!(issuer.next_beat_us(), Some(start + HEARTBEAT_US + 7));
    issuer.beat(&mut page, start + HEARTBEAT_US + 7);
    issuer.beat(&mut page, start + 2 * HEARTBEAT_US + 6);
    issuer.beat(&mut page, start + 2 * HEARTBEAT_US + 7);
    issuer.close_asked(&mut page, "r1", start + 2 * HEARTBEAT_US + 8);
    issuer.beat(&mut page, start + 4 * HEARTBEAT_US);
    assert_eq!(issuer.next_beat_us(), None);
    let entries: Vec<Value> = page.entries().map(|entry| serde_json::from_slice(entry).unwrap()).collect();
    let told: Vec<String> = entries.iter().map(story).collect();
    let expected = ["run_open", "receipt 1", "receipt 2", "heartbeat 2", "heartbeat 2", "run_close asked 2"];
    assert_eq!(told, expected);
}

#[test]
fn runs_open_close_and_open_again_with_numbers_that_go_on() {
    let (mut issuer, mut page) = (issuer(), Page::default());
    let run = claims("r1");
    issuer.issue(&mut page, &Draft::RunJoin(Arc::clone(&run)), 0);
    for _ in 0..2 {
        issuer.issue(&mut page, &receipt(Some(&run)), 0);
    }
    issuer.issue(&mut page, &receipt(None), 0);
    assert_eq!(issuer.next_close_us(), None, "a run with a member stays open");
    issuer.issue(&mut page, &Draft::RunLeave(Arc::clone(&run)), 1_000);
    assert_eq!(issuer.next_close_us(), Some(1_500));
    issuer.close_idle(&mut page, 1_499);
    issuer.close_idle(&mut page, 1_500);
    issuer.issue(&mut page, &receipt(Some(&run)), 2_000);
    assert_eq!(issuer.close_asked(&mut page, "r1", 2_000), Some(3));
    assert_eq!(issuer.close_asked(&mut page, "r1", 2_000), Some(3), "closed already");
    assert_eq!(issuer.close_asked(&mut page, "r2", 2_000), None);
    issuer.issue(&mut page, &receipt(Some(&run)), 2_000);
    assert!(!issuer.close_all(&mut page, 2_000));
    let entries: Vec<Value> = page.entries().map(|entry| serde_json::from_slice(entry).unwrap()).collect();
    let told: Vec<String> = entries.iter().map(story).collect();
    let expected = [
        "run_open",
        "receipt 1",
        "receipt 2",
        "receipt",
        "run_close idle 2",
        "run_open",
        "receipt 3",
        "run_close asked 3",
        "run_open",
        "receipt 4",
        "run_close shutdown 4",
    ];
    assert_eq!(told, expected);
    assert!(entries.iter().zip(1..).all(|(entry, seq)| entry["stream"]["seq"] == seq));
}

#[test]
fn entries_are_canonical_and_one_that_is_too_long_loses_its_lists() {
    let (mut issuer, mut page) = (issuer(), Page::default());
    assert!(issuer.issue(&mut page, &receipt(Some(&claims("r\u{1}\"ü"))), 0));
    let many: Vec<Box<str>> = (0..3_000).map(|n| format!("a function with a long name {n}").into()).collect();
    let mut facts = Facts::of_postgres(b"select 1");
    facts.statements[0].functions = many.into();
    let Draft::Receipt(mut long) = receipt(None) else { panic!() };
    long.facts = Arc::new(facts);
    assert!(issuer.issue(&mut page, &Draft::Receipt(long), 0));
    let Draft::Receipt(mut endless) = receipt(None) else { panic!() };
    endless.run = Some(claims(&"r".repeat(ENTRY_BYTES_MAX)));
    assert!(!issuer.issue(&mut page, &Draft::Receipt(endless), 0), "even its label is too long");
    issuer.tell_losses(&mut page, AT_US);
    let entries: Vec<&[u8]> = page.entries().collect();
    for entry in &entries {
        assert!(entry.len() <= ENTRY_BYTES_MAX);
        assert_eq!(canonical::to_vec(&serde_json::from_slice(entry).unwrap()).unwrap(), *entry);
    }
    let read: Vec<Value> = entries.iter().map(|entry| serde_json::from_slice(entry).unwrap()).collect();
    let (first, long, gap) = (&read[1], &read[2], &read[3]);
    assert_eq!(first["at"], "2026-11-18T11:06:40.123456Z");
    assert!(long["action"]["functions"].is_null());
    assert!(long["action"]["tags"].as_array().unwrap().contains(&"names_truncated".into()));
    assert_eq!((&gap["kind"], &gap["count"], &gap["last_seq"]), (&"gap".into(), &1.into(), &3.into()));
}

#[test]
fn runs_beyond_all_bounds_bear_no_run() {
    let mut issuer = issuer();
    let mut last = Value::Null;
    for number in 0..1_001 {
        let mut page = Page::default();
        assert!(issuer.issue(&mut page, &receipt(Some(&claims(&format!("r{number}")))), 0));
        last = serde_json::from_slice(page.entries().last().unwrap()).unwrap();
    }
    assert_eq!((&last["kind"], &last["run"]), (&"receipt".into(), &Value::Null));
    let mut page = Page::default();
    assert!(issuer.issue(&mut page, &receipt(Some(&claims("r0"))), 0), "known ones go on");
    let known: Value = serde_json::from_slice(page.entries().last().unwrap()).unwrap();
    assert_eq!(known["run"]["run_seq"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_durable_survives_a_crash_and_the_crash_is_told() {
    let house = House::new();
    let outbox = house.start();
    for _ in 0..3 {
        outbox.durable(receipt(None)).await.unwrap();
    }
    let first_epoch = outbox.epoch();
    drop(outbox);
    let outbox = house.start();
    let recorder = Memory::serve(house.key().verifying(), house.recorder).await;
    let held = recorder.wait_for(4).await;
    assert_eq!(
        held.iter().map(story).collect::<Vec<_>>(),
        ["receipt", "receipt", "receipt", "gap unclean_stop"]
    );
    assert_eq!((&held[3]["lost_epoch"], &held[3]["last_seq"]), (&first_epoch.into(), &3.into()));
    assert!(outbox.epoch() > first_epoch);
    outbox.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_end_is_cut_and_a_damaged_middle_is_refused() {
    let house = House::new();
    let outbox = house.start();
    for _ in 0..3 {
        outbox.durable(receipt(None)).await.unwrap();
    }
    drop(outbox);
    let file = house.spool_files().pop().unwrap();
    let whole = std::fs::read(&file).unwrap();
    for torn in [
        whole[..whole.len() - 1].to_vec(),
        [&whole[..], b"CLYF\x10"].concat(),
        [&whole[..], &[0; 4096]].concat(),
    ] {
        std::fs::write(&file, &torn).unwrap();
        house.forget_all_but(&file);
        drop(house.start());
        let cut = std::fs::read(&file).unwrap();
        assert!(whole.starts_with(&cut) && cut.len() + 2_000 > whole.len());
    }
    let mut damaged = whole.clone();
    damaged[40] ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    house.forget_all_but(&file);
    let refused = house.try_start().unwrap_err();
    assert!(matches!(&refused, Error::Damaged { path, offset: 0 } if *path == file), "{refused}");
    let again = [&whole[..], &damaged[..]].concat();
    std::fs::write(&file, again).unwrap();
    std::fs::write(house.folder.join(format!("{}-1.spool", u64::MAX >> 12)), b"").unwrap();
    let Error::Damaged { offset, .. } = house.try_start().unwrap_err() else { panic!() };
    assert_eq!(offset, whole.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_that_comes_late_gets_everything_once_and_the_spool_is_empty_after_a_clean_stop() {
    let house = House::new();
    let outbox = house.start();
    let run = claims("r1");
    outbox.put(Draft::RunJoin(Arc::clone(&run)));
    for _ in 0..500 {
        outbox.put(receipt(Some(&run)));
    }
    outbox.durable(receipt(Some(&run))).await.unwrap();
    assert!(!outbox.connected() && outbox.state.shelf.held() > 0 && outbox.room().is_ok());
    let recorder = Memory::serve(house.key().verifying(), house.recorder).await;
    recorder.wait_for(502).await;
    until("everything is acknowledged", || outbox.state.shelf.held() == 0 && outbox.connected()).await;
    assert_eq!(outbox.lag_us(), 0);
    outbox.put(receipt(Some(&run)));
    outbox.stop().await.unwrap();
    assert!(outbox.room().is_err() && house.spool_files().is_empty());
    let held = recorder.wait_for(504).await;
    assert_eq!(story(&held[503]), "run_close shutdown 502");
    assert!(recorder.claims().last().unwrap().last);
    let outbox = house.start();
    outbox.durable(receipt(None)).await.unwrap();
    let held = recorder.wait_for(505).await;
    assert_eq!((story(&held[504]), &held[504]["stream"]["seq"]), ("receipt".into(), &1.into()));
    outbox.stop().await.unwrap();
    let last = recorder.claims().pop().unwrap();
    assert_eq!((last.count, last.last), (0, true), "an epoch ends cleanly also without a last entry");
    assert_eq!(recorder.wait_for(505).await.len(), 505);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_ack_is_healed_by_the_next_welcome() {
    let house = House::new();
    let outbox = house.start();
    let recorder = Memory::serve(house.key().verifying(), house.recorder).await;
    recorder.lock().acks_lost = 3;
    for n in 1..=8 {
        outbox.durable(receipt(None)).await.unwrap();
        recorder.wait_for(n).await;
    }
    until("everything is acknowledged", || outbox.state.shelf.held() == 0).await;
    assert_eq!(recorder.wait_for(8).await.len(), 8);
    assert_eq!(recorder.lock().acks_lost, 0);
    outbox.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_shuts_the_gate_and_what_was_let_pass_is_told() {
    let house = House::new();
    let outbox = house.start_with(|settings| (settings.queue_max, settings.linger_ms) = (4, 60_000));
    for _ in 0..4 {
        assert!(outbox.room().is_ok());
        outbox.put(receipt(None));
    }
    assert!(outbox.shut().unwrap().contains("full"));
    for _ in 0..3 {
        outbox.lost();
    }
    assert_eq!(outbox.close_run("nobody").await, None);
    assert!(outbox.room().is_ok() && outbox.state.inbox.depth() == 0);
    let recorder = Memory::serve(house.key().verifying(), house.recorder).await;
    let held = recorder.wait_for(5).await;
    assert_eq!((story(&held[4]), &held[4]["count"]), ("gap outbox_full".into(), &3.into()));
    outbox.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_shuts_the_gate_until_the_recorder_is_back() {
    let house = House::new();
    let outbox = house.start_with(|settings| settings.spool_bytes_max = 4_000);
    while outbox.durable(receipt(None)).await.is_ok() {}
    assert!(outbox.shut().unwrap().contains("wait for the recorder"));
    let _recorder = Memory::serve(house.key().verifying(), house.recorder).await;
    until("the gate opens", || outbox.room().is_ok()).await;
    outbox.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_disk_shuts_the_gate_and_loses_nothing() {
    let house = House::new();
    let outbox = house.start();
    let away = house.folder.with_extension("away");
    std::fs::rename(&house.folder, &away).unwrap();
    let shut = outbox.durable(receipt(None)).await.unwrap_err();
    assert!(shut.why.contains(house.folder.to_str().unwrap()), "{shut}");
    outbox.put(receipt(None));
    assert_eq!(outbox.durable(receipt(None)).await.unwrap_err(), shut);
    std::fs::rename(&away, &house.folder).unwrap();
    until("the disk is back", || outbox.room().is_ok()).await;
    outbox.durable(receipt(None)).await.unwrap();
    let recorder = Memory::serve(house.key().verifying(), house.recorder).await;
    recorder.wait_for(4).await;
    outbox.stop().await.unwrap();
    let outbox = house.start();
    std::os::unix::fs::symlink("/dev/full", house.folder.join(format!("{}-1.spool", outbox.epoch())))
        .unwrap();
    let shut = outbox.durable(receipt(None)).await.unwrap_err();
    assert!(shut.why.contains("No space left"), "{shut}");
    assert!(outbox.stop().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_synced_is_written_again_elsewhere() {
    let house = House::new();
    let outbox = house.start();
    let file = house.folder.join(format!("{}-1.spool", outbox.epoch()));
    std::os::unix::fs::symlink("/dev/null", &file).unwrap();
    let shut = outbox.durable(receipt(None)).await.unwrap_err();
    assert!(shut.why.starts_with("cannot sync"), "{shut}");
    std::fs::remove_file(&file).unwrap();
    until("the disk is back", || outbox.room().is_ok()).await;
    drop(outbox);
    let outbox = house.start();
    let recorder = Memory::serve(house.key().verifying(), house.recorder).await;
    let held = recorder.wait_for(2).await;
    assert_eq!(held.iter().map(story).collect::<Vec<_>>(), ["receipt", "gap unclean_stop"]);
    outbox.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_left_when_long_and_removed_when_acknowledged() {
    let house = House::new();
    let outbox = house.start_with(|settings| settings.spool_bytes_max = 512 << 10);
    while house.spool_files().len() < 4 {
        outbox.durable(receipt(None)).await.unwrap();
    }
    drop(outbox);
    let mut files = house.spool_files();
    files.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    let away = house.folder.join("away");
    std::fs::rename(&files[1], &away).unwrap();
    assert!(house.try_start().is_err_and(|refused| matches!(refused, Error::Missing { .. })));
    std::fs::rename(&away, &files[1]).unwrap();
    let outbox = house.start();
    let recorder = Memory::serve(house.key().verifying(), house.recorder).await;
    until("everything is acknowledged", || outbox.state.shelf.held() == 0).await;
    let seqs: Vec<u64> =
        recorder.entries().iter().map(|entry| entry["stream"]["seq"].as_u64().unwrap()).collect();
    let (gap, receipts) = seqs.split_last().unwrap();
    assert!(*gap == 1 && receipts.iter().copied().eq(1..=receipts.len() as u64));
    outbox.durable(receipt(None)).await.unwrap();
    until("only the newest file is left", || house.spool_files().len() == 1).await;
    outbox.stop().await.unwrap();
    assert!(house.spool_files().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_shuts_the_gate_and_says_why() {
    let house = House::new();
    let outbox = house.start();
    let recorder = Memory::serve(house.key().verifying(), house.recorder).await;
    recorder.lock().refuses = Some("fork");
    outbox.durable(receipt(None)).await.unwrap();
    until("the gate is shut", || outbox.shut().is_some_and(|why| why.contains("`fork`"))).await;
    outbox.stop().await.unwrap();
    let stranger = House { folder: house.folder.with_extension("other"), ..house };
    recorder.lock().refuses = None;
    recorder.lock().batches.push(batch_of_another_life(&stranger));
    let outbox = stranger.start();
    until("the gate is shut", || outbox.shut().is_some_and(|why| why.contains("does not go on from there")))
        .await;
    assert!(stranger.try_start().is_err_and(|refused| matches!(refused, Error::InUse { .. })));
    outbox.stop().await.unwrap();
    std::fs::remove_dir_all(&stranger.folder).unwrap();
}

/// A folder, a key and an address for one gateway and its recorder.
struct House {
    folder: PathBuf,
    recorder: SocketAddr,
}

impl House {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("clyra-outbox-{}", Uuid::now_v7()));
        let recorder = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { folder, recorder }
    }

    fn key(&self) -> SigningKey {
        SigningKey::from_seed("gw-1", &[7; 32]).unwrap()
    }

    fn start(&self) -> Arc<Outbox> {
        self.try_start().unwrap()
    }

    fn try_start(&self) -> Result<Arc<Outbox>, Error> {
        Outbox::start(OutboxSettings::new(self.folder.clone(), self.recorder), self.key(), Handle::current())
    }

    fn start_with(&self, change: impl FnOnce(&mut OutboxSettings)) -> Arc<Outbox> {
        let mut settings = OutboxSettings::new(self.folder.clone(), self.recorder);
        change(&mut settings);
        Outbox::start(settings, self.key(), Handle::current()).unwrap()
    }

    fn spool_files(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|name| name == "spool")).collect()
    }

    /// As if the starts since that file was written had never been.
    fn forget_all_but(&self, file: &Path) {
        for other in self.spool_files() {
            if other != file {
                std::fs::remove_file(other).unwrap();
            }
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn batch_of_another_life(house: &House) -> Batch {
    let claims = batch::Claims {
        gateway: "gw-1".into(),
        epoch: 1,
        first_seq: 1,
        count: 0,
        root: merkle::root(&[]),
        previous: [0; 32],
        last: true,
    };
    let id = "01936a5e-0000-7000-8000-000000000001";
    let header = batch::seal(&house.key(), &claims, "2026-11-22T10:00:00.000000Z", id).unwrap();
    Batch { header: header.into(), entries: Vec::new() }
}

pub(super) async fn until(what: &str, done: impl Fn() -> bool) {
    let poll = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        while !done() {
            ticks.tick().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), poll).await.is_ok(), "waited in vain until {what}");
}

fn story(entry: &Value) -> String {
    let mut words = vec![entry["kind"].as_str().unwrap().to_owned()];
    words.extend(entry["reason"].as_str().map(str::to_owned));
    words.extend(entry["run"]["run_seq"].as_u64().map(|seq| seq.to_string()));
    if entry["kind"] == "run_close" || entry["kind"] == "heartbeat" {
        words.push(entry["count"].to_string());
    }
    words.join(" ")
}

fn issuer() -> Issuer {
    Issuer::new(Pen::new("gw-1+00000000", "gw-1", 7, 1), 7, 500)
}

fn claims(run_id: &str) -> Arc<RunClaims> {
    Arc::new(RunClaims {
        run_id: run_id.into(),
        change_intent: Some("a reason".into()),
        ..RunClaims::default()
    })
}

fn receipt(run: Option<&Arc<RunClaims>>) -> Draft {
    Draft::Receipt(Box::new(ReceiptDraft {
        id: Uuid::now_v7(),
        at_us: AT_US,
        phase: Phase::Whole,
        intent: None,
        session: Arc::new(SessionCard {
            actor: "0".repeat(32),
            actor_kind: ActorKind::Agent,
            auth: Auth::Scram,
            tenant: None,
            via: Some("psql".to_owned()),
            database: "shop".to_owned(),
            upstream: "main".to_owned(),
        }),
        run: run.cloned(),
        facts: Arc::new(Facts::of_postgres(b"select 1")),
        statement: 0,
        shape: [b'a'; 32],
        sent: None,
        key: None,
        decision: Decision {
            approvals: None,
            verdict: Verdict::Allow,
            enforced: true,
            strict: false,
            rules: Arc::new([]),
            refusal: None,
            duties: None,
        },
        policy: Arc::new(PolicyCard { digest: format!("sha256:{}", "b".repeat(64)), version: 1 }),
        decided_us: 1,
        outcome: None,
    }))
}
