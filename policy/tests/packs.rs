//! Every pack beside its file of cases.

use clyra_policy::{Policy, tools};
use std::fs;

#[test]
fn every_pack_comes_out_as_its_cases_say() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/packs");
    let mut wrong = Vec::new();
    let mut packs = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(pack) = name.strip_suffix(".cases.yaml") else { continue };
        packs += 1;
        let text = |file: &str| fs::read_to_string(format!("{folder}/{file}")).unwrap();
        let policy = Policy::parse(&text(&format!("{pack}.yaml")), pack).unwrap_or_else(|error| {
            panic!("{error}");
        });
        assert_eq!(policy.name(), pack);
        let report = tools::cases(&policy, &text(&name), &name).unwrap_or_else(|error| panic!("{error}"));
        assert!(report.cases >= 10, "{name}");
        for failure in report.failures {
            let (line, found) = (failure.line, failure.found);
            wrong.push(format!("{name}:{line}: {}\n  {} / {found}", failure.name, failure.expected));
        }
    }
    assert_eq!(packs, tools::PACKS.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_pack_is_handed_out_as_it_stands() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/packs");
    for (name, policy, cases) in tools::PACKS {
        assert_eq!(policy, fs::read_to_string(format!("{folder}/{name}.yaml")).unwrap());
        assert_eq!(cases, fs::read_to_string(format!("{folder}/{name}.cases.yaml")).unwrap());
        assert!(
            tools::unfit(&Policy::parse(policy, name).unwrap(), clyra_policy::Dialect::Postgres).is_empty()
        );
    }
}
