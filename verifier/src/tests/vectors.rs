//! The vectors of the spec: two hands, one score.

use crate::{Name, Outcome, Trust, verify_bundle};
use serde_json::Value;
use std::fs;
use std::path::Path;

#[test]
fn every_vector_has_its_outcome_and_its_check() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors");
    let trust: Trust = fs::read_to_string(dir.join("trust.txt")).unwrap().parse().unwrap();
    let index: Vec<Value> = serde_json::from_slice(&fs::read(dir.join("index.json")).unwrap()).unwrap();
    for name in Name::ALL {
        let against = index.iter().filter(|vector| vector["check"] == name.as_str()).count();
        assert!(against >= 2, "{against} vectors against `{}`", name.as_str());
    }
    for vector in &index {
        let file = vector["file"].as_str().unwrap();
        let report = verify_bundle(&fs::read(dir.join(file)).unwrap(), &trust);
        assert_eq!(
            Some(report.outcome().as_str().to_lowercase().as_str()),
            vector["outcome"].as_str(),
            "{file}\n{report}"
        );
        let first = report.checks.iter().find(|check| check.outcome != Outcome::Pass);
        assert_eq!(first.map(|check| check.name), vector["check"].as_str(), "{file}\n{report}");
    }
}
