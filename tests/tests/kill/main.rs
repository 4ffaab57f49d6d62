//! Stories of the kill switch against a real server: what runs is stopped, connections end, releasing takes a second
//! person, and all of it is in the log.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod orders;
mod running;
mod scopes;
mod speed;
mod triggers;

use clyra_tests::House;
use std::{
    process::Output,
    time::{Duration, Instant},
};
use tokio_postgres::Client;

/// Runs `clyra kill …` for a house, and wants it to succeed.
fn kill(house: &House, words: &[&str]) -> String {
    let output = try_kill(house, words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `clyra kill …` for a house.
fn try_kill(house: &House, words: &[&str]) -> Output {
    house.clyra(&[&["kill"], words].concat()).unwrap()
}

fn set(house: &House, level: &str, more: &[&str]) -> String {
    kill(house, &[&["set", "--level", level, "--reason", "a test"], more].concat())
}

fn release(house: &House, more: &[&str]) -> String {
    kill(house, &[&["release", "--reason", "a test"], more].concat())
}

/// Looks at the server itself until this question is answered with true.
async fn until(direct: &Client, question: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !direct.query_one(question, &[]).await.unwrap().get::<_, bool>(0) {
        assert!(Instant::now() < deadline, "never true: {question}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The SQLSTATE of a refusal or of the server's error.
fn code(error: &tokio_postgres::Error) -> String {
    error.code().map_or_else(|| format!("no code: {error}"), |code| code.code().to_owned())
}

/// Makes a key in the house's folder; the public half.
fn key(house: &House, name: &str) -> String {
    let file = house.path(&format!("{name}.key")).display().to_string();
    let made = std::process::Command::new(clyra_tests::program("clyra").unwrap())
        .args(["keygen", "--name", name, "--out", &file])
        .output()
        .unwrap();
    assert!(made.status.success());
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

const OPEN: &str = "name: t\nversion: 1\nmode: enforce\n";
