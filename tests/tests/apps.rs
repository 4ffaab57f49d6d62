//! Applications over an ORM, through a gateway that enforces the pack for them: they see and leave the same as directly.
//! The stories stand in `apps/`; this file only starts them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::Command;

#[test]
fn django_comes_out_the_same_in_enforce() {
    check("django");
}

#[test]
fn sqlalchemy_comes_out_the_same_in_enforce() {
    check("sqlalchemy");
}

fn check(story: &str) {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps/run.py");
    let clyra = clyra_tests::program("clyra").unwrap();
    let ran = Command::new("python3").arg(run).args([story, "--clyra"]).arg(clyra).output().unwrap();
    let said = [ran.stdout, ran.stderr].concat();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&said));
}
