//! dbt through the gateway: the shop project comes out the same as directly, in both modes. The story and the
//! comparison stand in `dbt_shop/run.py`; this file only starts it, and never judges its results itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::Command;

#[test]
fn dbt_comes_out_the_same_in_shadow() {
    check("shadow");
}

#[test]
fn dbt_comes_out_the_same_in_enforce() {
    check("enforce");
}

fn check(mode: &str) {
    let story = Path::new(env!("CARGO_MANIFEST_DIR")).join("dbt_shop/run.py");
    let clyra = clyra_tests::program("clyra").unwrap();
    let ran =
        Command::new("python3").arg(story).args(["--mode", mode, "--clyra"]).arg(clyra).output().unwrap();
    assert!(
        ran.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
}
