//! A log with a witness: what it shows is cosigned, and a log that was set back and went another way is found out.

use crate::doubt;
use clyra_tests::{House, STRICT, program};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::{fs, time::Duration};

#[tokio::test]
async fn a_log_that_is_set_back_and_forked_is_found_out() {
    let mut house = House::start(STRICT).await.unwrap();
    let trust = fs::read_to_string(house.data().join("trust.txt")).unwrap();
    let log_key = trust.lines().find_map(|line| line.strip_prefix("log ")).unwrap();
    let witness = Witness::start(&house.path("w1"), log_key);
    let recorder = house.data().join("recorder");
    fs::write(recorder.join("witnesses"), format!("{} {}\n", witness.vkey, witness.url)).unwrap();
    let witnessed = trust.replace("quorum none", &format!("witness w1 {}\nquorum w1", witness.vkey));
    fs::write(house.path("witnessed.txt"), witnessed).unwrap();

    let (code, first, said) = tried(&house, "r1").await;
    assert_eq!((code, &*first), (Some(0), ""), "{said:#}");
    assert!(said.to_string().contains("witness `w1+"), "{said:#}");
    house.stop().await.unwrap();
    // A log to which nothing more comes is shown with the witness's signature.
    let mut alone = Command::new(program("clyra").unwrap())
        .args(["recorder", "serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(&recorder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until(|| fs::read_to_string(recorder.join("log/checkpoint")).is_ok_and(|note| note.contains("— w1 ")))
        .await;
    assert!(Command::new("kill").arg(alone.id().to_string()).status().unwrap().success());
    assert!(alone.wait().unwrap().success());
    let fsck = || {
        Command::new(program("clyra").unwrap()).args(["recorder", "fsck", "--data"]).arg(&recorder).output()
    };
    let sound = fsck().unwrap();
    assert!(sound.status.success(), "{sound:?}");
    let note = fs::read_to_string(recorder.join("log/checkpoint")).unwrap();
    let mut bytes = note.clone().into_bytes();
    let place = note.find("— w1 ").unwrap() + 30;
    bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
    fs::write(recorder.join("log/checkpoint"), bytes).unwrap();
    let damaged = fsck().unwrap();
    assert_eq!(damaged.status.code(), Some(5), "{damaged:?}");
    fs::write(recorder.join("log/checkpoint"), note).unwrap();

    // The whole machine as it was: somebody copies it, lets it go on, and puts the copy back.
    let copy = house.path("copy");
    assert!(Command::new("cp").arg("-a").args([house.data(), copy.clone()]).status().unwrap().success());
    house.up().await.unwrap();
    let (code, first, said) = tried(&house, "r2").await;
    assert_eq!((code, &*first), (Some(0), ""), "{said:#}");
    house.stop().await.unwrap();
    fs::rename(house.data(), house.path("honest")).unwrap();
    fs::rename(&copy, house.data()).unwrap();
    house.up().await.unwrap();
    let (code, first, said) = tried(&house, "r3").await;
    assert_eq!((code, &*first), (Some(2), "checkpoint-signature"), "{said:#}");
    assert!(said.to_string().contains("the quorum `w1` has not seen it"), "{said:#}");
    let alone = house.verify(&house.path("r3.zip")).unwrap();
    assert_eq!(alone.0, Some(0), "without a witness nobody can tell: {:#}", alone.1);
    let client = house.through("").await.unwrap();
    for _ in 0..40 {
        client.query("select 1", &[]).await.unwrap();
    }
    let state = recorder.join("witnesses.state");
    until(|| fs::read_to_string(&state).is_ok_and(|text| text.contains("fork"))).await;
}

/// A run of one statement, its bundle, and what is said of it with the witness's trust file.
async fn tried(house: &House, run: &str) -> (Option<i32>, String, serde_json::Value) {
    let client = house.through(&format!("options='-c clyra.run_id={run}'")).await.unwrap();
    client.batch_execute("update orders set status = status where id = 1").await.unwrap();
    drop(client);
    assert!(house.clyra(&["run-id", "close", run]).unwrap().status.success());
    let bundle = house.cut(run).await.unwrap();
    let kept = house.path(&format!("{run}.zip"));
    fs::copy(bundle, &kept).unwrap();
    doubt(&["bundle", kept.to_str().unwrap(), "--trust", house.path("witnessed.txt").to_str().unwrap()])
}

async fn until(done: impl Fn() -> bool) {
    let poll = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while !done() {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), poll).await.unwrap();
}

/// `clyra-verify witness serve`, ended with the test.
struct Witness {
    process: Child,
    url: String,
    vkey: String,
}

impl Witness {
    fn start(folder: &Path, log_key: &str) -> Self {
        let mut process = Command::new(program("clyra-verify").unwrap())
            .args(["witness", "serve", "--listen", "127.0.0.1:0", "--name", "w1", "--log", log_key, "--data"])
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut next = |word: &str| lines.next().unwrap().unwrap().strip_prefix(word).unwrap().to_owned();
        let (url, vkey) = (next("witness at "), next("witness w1 "));
        Self { process, url, vkey }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ended = self.process.kill().and_then(|()| self.process.wait());
    }
}
