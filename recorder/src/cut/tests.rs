//! What the index picks is what a walk over the whole log would.

use super::*;
use crate::sample::{Gateway, policy, receipt};
use crate::shelf::tiles::{Staged, Tiles};
use serde_json::{Value, json};
use std::path::Path;

/// Runs `r0` to `r3` at two gateways, with policies and switches between, told at random.
fn log(random: &mut fastrand::Rng) -> Vec<Bytes> {
    let mut gateways = [Gateway::new("gw-1", 1), Gateway::new("gw-2", 2)];
    let mut entries = Vec::new();
    while entries.len() < 1_500 {
        let gateway = random.choice(&mut gateways).unwrap();
        let told = (0..random.u64(1..20)).map(|_| match random.u8(0..40) {
            0 => policy(),
            1 => json!({"kind": "switch", "by": "ada", "level": "observe", "reason": "x", "scope": "global"}),
            2 => json!({"kind": "run_open", "run_id": format!("r{}", random.u8(0..4))}),
            3..20 => receipt("other", 1),
            _ => receipt(&format!("r{}", random.u8(0..4)), 1),
        });
        let batch = gateway.batch(told.collect());
        entries.push(batch.header);
        entries.extend(batch.entries);
    }
    entries
}

/// Indexes that belong into the bundle of a run, as the page says.
fn expected(log: &[Bytes], run_id: &str) -> BTreeSet<u64> {
    let entries: Vec<Value> = log.iter().map(|entry| serde_json::from_slice(entry).unwrap()).collect();
    let is_own = |e: &Value| e["run"]["run_id"] == run_id || e["run_id"] == run_id;
    let own: Vec<usize> = (0..entries.len()).filter(|index| is_own(&entries[*index])).collect();
    let gateways: BTreeSet<&str> =
        own.iter().map(|index| entries[*index]["stream"]["gateway"].as_str().unwrap()).collect();
    let mut chosen: BTreeSet<usize> = own.iter().copied().collect();
    for gateway in gateways {
        let of = |index: &usize, kinds: &[&str]| {
            let entry = &entries[*index];
            kinds.contains(&entry["kind"].as_str().unwrap()) && entry["stream"]["gateway"] == gateway
        };
        chosen.extend((own[0]..own[own.len() - 1]).filter(|index| of(index, &["policy", "switch", "gap"])));
        chosen.extend((0..own[0]).rfind(|index| of(index, &["policy"])));
    }
    let header = |index: &usize| (0..=*index).rfind(|at| entries[*at]["kind"] == "batch").unwrap();
    let headers: Vec<usize> = chosen.iter().map(header).collect();
    chosen.into_iter().chain(headers).map(|index| index as u64).collect()
}

fn place(index: u64) -> usize {
    usize::try_from(index).unwrap()
}

fn cutter(folder: &Path, store: Store) -> Cutter {
    let key = SigningKey::from_seed("log", &[1; 32]).unwrap();
    Cutter {
        store,
        makers: Arc::new(Makers::new(&[], folder.join("makers")).unwrap()),
        log_key: key.verifying(),
        bundle_key: SigningKey::from_seed("recorder", &[2; 32]).unwrap(),
        index: Index::open(&folder.join("index.redb")).unwrap(),
        one: Mutex::new(()),
    }
}

#[test]
fn the_index_picks_what_a_walk_would_pick() {
    let mut random = fastrand::Rng::with_seed(7);
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = Store::open(&folder.path().join("log"), runtime.handle().clone()).unwrap();
    let log = log(&mut random);
    let cutter = cutter(folder.path(), store.clone());
    let (mut tiles, mut staged, mut shown) = (Tiles::default(), Staged::new(), 0);
    let is_header = |index: usize| log.get(index).is_none_or(|entry| batch::claimed(entry).is_ok());
    for (size, entry) in (1..).zip(&log) {
        tiles.append(entry, &mut staged).unwrap();
        if size - shown >= 300 && is_header(place(size)) {
            shown = size;
            tiles.stage_partial(&mut staged);
            store.put_all(&mut staged).unwrap();
            let published = Published { size, root: tiles.root(), note: String::new() };
            cutter.index.fill(&store, &published).unwrap();
            for run in ["r0", "r1", "r2", "r3"] {
                let picked = cutter.pick(run, size).unwrap();
                let found: BTreeSet<u64> = picked.entries.keys().copied().collect();
                assert_eq!(found, expected(&log[..place(size)], run), "{run} of {size}");
                cutter.prove(&picked, &published).unwrap();
            }
            assert!(matches!(cutter.pick("none", size), Err(Error::NoSuchRun { .. })));
        }
    }
    // Another log in the same place is noticed by its last entry, a shorter one by its size.
    let other = Store::open(&folder.path().join("other"), runtime.handle().clone()).unwrap();
    let (mut tiles, mut staged) = (Tiles::default(), Staged::new());
    for entry in log.iter().skip(20).take(1_497) {
        tiles.append(entry, &mut staged).unwrap();
    }
    tiles.stage_partial(&mut staged);
    other.put_all(&mut staged).unwrap();
    let size = log.len().min(1_517) as u64 - 20;
    let published = Published { size, root: tiles.root(), note: String::new() };
    cutter.index.fill(&other, &published).unwrap();
    let id =
        |entry: &Bytes| serde_json::from_slice::<Value>(entry).unwrap()["id"].as_str().unwrap().to_owned();
    let found = cutter.index.id(&id(&log[30])).unwrap().unwrap();
    assert_eq!(id(&log[20 + place(found.index)]), id(&log[30]));
    assert_eq!(cutter.index.id("nonsense").unwrap(), None);
}
