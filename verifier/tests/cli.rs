//! The command as people and scripts meet it: what it prints and how it exits.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall stop")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

#[test]
fn exit_codes_and_last_lines() {
    for (file, code, last) in [
        ("good/closed.pef.zip", 0, "PASS"),
        ("bad/summary-verdicts.pef.zip", 2, "FAIL: summary"),
        ("unable/gap.pef.zip", 3, "UNABLE: 1 gap during the run: 2 entries lost"),
    ] {
        let out = bundle(file, &[]);
        assert_eq!((out.status.code(), text(&out).lines().last()), (Some(code), Some(last)), "{file}");
        let out = bundle(file, &["--json"]);
        let told: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!((out.status.code(), told["verdict"].as_str()), (Some(code), Some(last)), "{file}");
        assert!(last.starts_with(told["outcome"].as_str().unwrap()));
    }
}

#[test]
fn bad_input_is_told_apart_from_bad_evidence() {
    let dir = tempfile::tempdir().unwrap();
    let broken = dir.path().join("trust.txt");
    fs::write(&broken, "log nonsense\n").unwrap();
    let (good, trust) = (vector("good/closed.pef.zip"), vector("trust.txt"));
    let (good, trust) = (good.to_str().unwrap(), trust.to_str().unwrap());
    let broken = broken.to_str().unwrap();
    for (args, told) in [
        (vec!["bundle", "/nonexistent", "--trust", trust], "cannot read `/nonexistent`"),
        (vec!["bundle", good, "--trust", "/nonexistent"], "cannot read `/nonexistent`"),
        (vec!["bundle", good, "--trust", broken], "trust file, line 1: "),
        (vec!["log", dir.path().to_str().unwrap(), "--trust", trust], "checkpoint`"),
        (vec!["bundle", good], "--trust"),
        (vec!["doubt"], "unrecognized subcommand"),
        (vec![], "Usage"),
    ] {
        let out = run(&args);
        assert_eq!(out.status.code(), Some(6), "{args:?}");
        assert!(
            out.stdout.is_empty() && String::from_utf8_lossy(&out.stderr).contains(told),
            "{args:?} {out:?}"
        );
    }
    // A file that is no bundle at all is bad evidence, not bad input.
    assert_eq!(run(&["bundle", trust, "--trust", trust]).status.code(), Some(2));
}

#[test]
fn help_version_checks_and_completions_are_good_answers() {
    for (args, told) in [
        (vec!["--help"], "Exit code: 0 pass, 2 fail, 3 unable, 6 bad input"),
        (vec!["--version"], "clyra-verify 0."),
        (vec!["checks"], "batch-membership"),
        (vec!["completions", "bash"], "complete"),
    ] {
        let out = run(&args);
        assert_eq!(out.status.code(), Some(0), "{args:?}");
        assert!(text(&out).contains(told), "{args:?} {out:?}");
    }
}

fn bundle(file: &str, more: &[&str]) -> Output {
    let (file, trust) = (vector(file), vector("trust.txt"));
    run(&[&["bundle", file.to_str().unwrap(), "--trust", trust.to_str().unwrap()], more].concat())
}

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_clyra-verify")).args(args).output().unwrap()
}

fn vector(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors").join(file)
}

fn text(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned()
}
