//! The page that checks bundles in a browser: built, then held against every vector and against `clyra-verify`, in Node and
//! in Chromium. It never judges by code of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::Command;

#[test]
fn the_page_and_clyra_verify_say_the_same() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../verifier/page");
    done(&mut Command::new(page.join("build")));
    let verifier = clyra_tests::program("clyra-verify").unwrap();
    done(Command::new("node").arg(page.join("test/run.mjs")).arg(verifier));
}

fn done(command: &mut Command) {
    let ran = command.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{command:?}\n{said}");
}
