//! Flipped, cut and mixed-up bytes: never a panic, never a pass.

use super::{small, story};
use crate::{Name, Outcome, verify_bundle};

#[test]
fn every_single_flipped_byte_fails_with_a_name() {
    let log = small();
    let (bundle, trust) = (log.bundle("r1"), log.house.trust());
    let mut flipped = bundle.clone();
    for place in 0..bundle.len() {
        flipped[place] ^= 1 << (place % 8);
        let report = verify_bundle(&flipped, &trust);
        assert_eq!(report.outcome(), Outcome::Fail, "byte {place}");
        assert!(report.first_failed().is_some(), "byte {place}");
        flipped[place] = bundle[place];
    }
}

#[test]
fn twenty_thousand_mutations_never_pass() {
    let log = story();
    let (bundle, trust) = (log.bundle("r1"), log.house.trust());
    let mut rng = fastrand::Rng::with_seed(1);
    for round in 0..20_000 {
        let mut mutated = bundle.clone();
        for _ in 0..rng.usize(1..4) {
            mutate(&mut mutated, &mut rng);
        }
        if mutated != bundle {
            let report = verify_bundle(&mutated, &trust);
            assert_eq!(report.outcome(), Outcome::Fail, "round {round}");
            assert_eq!(report.checks.len(), Name::ALL.len());
        }
    }
}

/// Even a recorder that signs whatever it likes cannot make mixed-up evidence pass.
#[test]
fn mixed_up_files_never_pass_even_when_signed_anew() {
    let log = story();
    let (files, trust) = (log.files(&log.members("r1")), log.house.trust());
    let mut rng = fastrand::Rng::with_seed(2);
    for round in 0..1_000 {
        let name = ["entries.jsonl", "proofs.jsonl", "checkpoint", "SPEC.txt"][round % 4];
        let mut mixed = files.clone();
        mutate(mixed.get_mut(name).unwrap(), &mut rng);
        if mixed != files {
            let report = verify_bundle(&log.seal("r1", mixed, |_| {}), &trust);
            assert_eq!(report.outcome(), Outcome::Fail, "round {round}, {name}\n{report}");
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, rng: &mut fastrand::Rng) {
    if bytes.is_empty() {
        bytes.push(rng.u8(..));
        return;
    }
    let place = rng.usize(0..bytes.len());
    let end = (place + rng.usize(1..200)).min(bytes.len());
    match rng.u8(0..6) {
        0 => bytes[place] = rng.u8(..),
        1 => bytes.truncate(place),
        2 => drop(bytes.drain(place..end)),
        3 => bytes.insert(place, rng.u8(..)),
        4 => {
            let copy = bytes[place..end].to_vec();
            let to = rng.usize(0..=bytes.len());
            bytes.splice(to..to, copy);
        }
        _ => {
            let other = rng.usize(0..bytes.len());
            bytes.swap(place, other);
        }
    }
}
