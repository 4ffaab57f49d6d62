//! Facts hold against the server, on a part of PostgreSQL's own regression tests that a seed chooses. How they are held
//! stands in `sql/differential.py`; `just sql-differential` plays all of them. This file never judges itself.

use std::path::Path;
use std::process::Command;

#[test]
fn facts_of_the_servers_own_tests_hold_against_it() {
    let differential = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/differential.py");
    let clyra = clyra_tests::program("clyra").unwrap();
    let mut words = Command::new("python3");
    words.arg(differential).args(["--statements", "1500", "--seed", "1"]).arg("--clyra").arg(clyra);
    let ran = words.output().unwrap();
    assert!(
        ran.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
}
