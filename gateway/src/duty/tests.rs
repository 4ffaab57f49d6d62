//! Meters and ledger under random use, crash and restart.

use super::{
    ledger::{Ledger, Over},
    meter::Meter,
};
use clyra_policy::{Cap, Limit, Per, Unit};
use std::{path::Path, sync::Arc, thread};

const HOUR_US: u64 = 3_600_000_000;

fn cap(amount: u64) -> Cap {
    let limit = Limit::Budget { amount, window_us: HOUR_US };
    Cap { per: Per::Actor, of: Unit::Statements, limit }
}

#[test]
fn no_window_ever_holds_more_than_the_budget() {
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (amount, window_us) = (random.u64(1..500), random.u64(1..50_000));
        let limit = Limit::Budget { amount, window_us };
        let (mut meter, mut now) = (Meter::default(), 1_000_000);
        let mut used: Vec<(u64, u64)> = Vec::new();
        for _ in 0..2_000 {
            now += random.u64(0..window_us / 20 + 2);
            let units = random.u64(1..amount / 3 + 2);
            let room = meter.room(limit, now);
            let took = meter.take(limit, now, units);
            assert_eq!(took, units <= room);
            if took {
                used.push((now, units));
            } else if let Some(frees) = meter.frees_at_us(limit, units) {
                // What is promised holds.
                assert!(frees > now, "seed {seed}");
                let mut later = meter.clone();
                assert!(later.take(limit, frees, units), "seed {seed}");
            }
            if took && random.u8(..) < 40 {
                meter.give_back(limit, now, units);
                used.pop();
            }
        }
        for (at, _) in &used {
            let within = |(other, _): &&(u64, u64)| *other <= *at && *at < *other + window_us;
            let sum: u64 = used.iter().filter(within).map(|(_, units)| units).sum();
            assert!(sum <= amount, "seed {seed}: {sum} of {amount}");
        }
        assert!(meter.spells().count() <= 130, "seed {seed}");
    }
}

#[test]
fn a_flow_is_even_and_bursts_once() {
    let limit = Limit::Rate { amount: 100, period_us: 1_000_000, burst: 200 };
    let mut meter = Meter::default();
    let passed = |meter: &mut Meter, now: u64| (0..1_000).filter(|_| meter.take(limit, now, 1)).count();
    assert_eq!(passed(&mut meter, 5_000_000), 200);
    assert_eq!(passed(&mut meter, 5_000_000), 0);
    assert_eq!(meter.frees_at_us(limit, 1), Some(5_010_000));
    assert_eq!(passed(&mut meter, 5_500_000), 50);
    assert_eq!(meter.frees_at_us(limit, 201), None, "more than a burst never fits");
    assert_eq!(passed(&mut meter, 60_000_000), 200);
    // Time that runs back gives nothing.
    assert_eq!(passed(&mut meter, 1_000_000), 0);
}

#[test]
fn a_crash_forgets_nothing_and_a_clean_end_nothing_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("caps.journal");
    let (cap, now) = (cap(320), 10 * HOUR_US);
    let ledger = Ledger::open(path.clone(), now).unwrap();
    for _ in 0..15 {
        ledger.take(7, &cap, false, now, 1).unwrap();
    }
    drop(ledger);
    // Killed: slices of ten, of which two were begun.
    let ledger = Ledger::open(path.clone(), now + 1).unwrap();
    assert_eq!(ledger.room(7, &cap, now + 1), 300);
    ledger.take(7, &cap, false, now + 1, 4).unwrap();
    ledger.close();
    for round in 2..5 {
        let ledger = Ledger::open(path.clone(), now + round).unwrap();
        assert_eq!(ledger.room(7, &cap, now + round), 296, "round {round}");
    }
    let ledger = Ledger::open(path, now + HOUR_US + 9).unwrap();
    assert_eq!(ledger.room(7, &cap, now + HOUR_US + 9), 320);
}

#[test]
fn crashes_at_random_moments_never_make_more_than_the_budget() {
    for seed in 0..30 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("caps.journal");
        let mut random = fastrand::Rng::with_seed(seed);
        let cap = cap(random.u64(1..400));
        let Limit::Budget { amount, .. } = cap.limit else { unreachable!() };
        let (mut now, mut used) = (HOUR_US, Vec::new());
        for _ in 0..12 {
            let ledger = Ledger::open(path.clone(), now).unwrap();
            for _ in 0..random.usize(0..60) {
                now += random.u64(0..HOUR_US / 40);
                let units = random.u64(1..amount / 4 + 2);
                if ledger.take(9, &cap, false, now, units).is_ok() {
                    used.push((now, units));
                    if random.u8(..) < 50 {
                        ledger.give_back(9, &cap, now, units);
                        used.pop();
                    }
                }
            }
            match random.u8(..4) {
                0 => ledger.close(),
                1 => cut(&path, random.usize(0..48)),
                _ => {}
            }
        }
        for (at, _) in &used {
            let within = |(other, _): &&(u64, u64)| *other <= *at && *at < *other + HOUR_US;
            let sum: u64 = used.iter().filter(within).map(|(_, units)| units).sum();
            assert!(sum <= amount, "seed {seed}: {sum} of {amount}");
        }
    }
}

/// A record whose writing was broken off: nothing of its slice was used yet.
fn cut(path: &Path, bytes: usize) {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(&vec![7; bytes]).unwrap();
}

#[test]
fn damage_before_the_end_keeps_the_gate_shut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("caps.journal");
    let ledger = Ledger::open(path.clone(), HOUR_US).unwrap();
    for key in 0..4 {
        ledger.take(key, &cap(64), false, HOUR_US, 1).unwrap();
    }
    drop(ledger);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[60] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(Ledger::open(path, HOUR_US), Err(crate::Error::Damaged { .. })));
}

#[test]
fn threads_together_take_exactly_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger::open(folder.path().join("caps.journal"), HOUR_US).unwrap());
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let ledger = Arc::clone(&ledger);
            let take = move |_: &usize| ledger.take(3, &cap(1_000), false, HOUR_US, 1).is_ok();
            thread::spawn(move || (0..500).filter(take).count())
        })
        .collect();
    assert_eq!(threads.into_iter().map(|one| one.join().unwrap()).sum::<usize>(), 1_000);
    let over = ledger.take(3, &cap(1_000), false, HOUR_US, 1).unwrap_err();
    assert_eq!(over, Over::Spent { used: 1_000, frees_at_us: Some(2 * HOUR_US) });
}

#[test]
fn sharers_who_used_nothing_lately_are_forgotten_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path().join("caps.journal"), HOUR_US).unwrap();
    let full = (0..80_000_u128).filter(|key| ledger.take(*key, &cap(5), true, HOUR_US, 1).is_err()).count();
    assert_eq!(full, 80_000 - 65_536);
    assert_eq!(ledger.take(200_001, &cap(5), true, HOUR_US, 1), Err(Over::Crowded));
    assert_eq!(ledger.take(200_001, &cap(5), true, 3 * HOUR_US, 1), Ok(()));
}
