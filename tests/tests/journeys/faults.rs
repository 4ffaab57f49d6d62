//! What goes wrong at the start, and how it is said: exit code, the value, and what would be allowed.

use crate::STRICT;
use clyra_tests::{House, Server, open_folder, program};
use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

/// Runs `clyra up` until it ends by itself; exit code and everything that it said.
fn up(data: &Path, words: &[&str]) -> (Option<i32>, String) {
    let free = ["--listen", "--admin", "--metrics", "--recorder"]
        .into_iter()
        .filter(|flag| !words.contains(flag))
        .flat_map(|flag| [flag, "127.0.0.1:0"]);
    let output = Command::new("timeout")
        .arg("60")
        .arg(program("clyra").unwrap())
        .args(["up", "--allow-unsigned"])
        .args(free)
        .args(words)
        .arg("--data")
        .arg(data)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn a_policy_error_names_file_line_and_column() {
    let folder = open_folder().unwrap();
    let policy = folder.path().join("shop.yaml");
    std::fs::write(&policy, "name: shop\nversion: 1\nrules:\n  - id: a\n    deny_verb: [drop]\n").unwrap();
    let (code, said) = up(&folder.path().join("data"), &["--policy", policy.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("shop.yaml:5:5") && said.contains("deny_verbs"), "{said}");
}

#[test]
fn a_wrong_upstream_and_a_taken_port_are_told_apart() {
    let folder = open_folder().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, said) = up(&folder.path().join("a"), &["--upstream", &format!("postgres://{nobody}/shop")]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(&nobody.to_string()), "{said}");
    let (code, said) = up(&folder.path().join("b"), &["--upstream", "mysql://db"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("mysql://db") && said.contains("postgres://"), "{said}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (code, said) = up(&folder.path().join("c"), &["--listen", &addr]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains(&addr), "{said}");
}

#[tokio::test]
async fn a_data_folder_belongs_to_one_house() {
    let house = House::start(STRICT).await.unwrap();
    let (code, said) = up(&house.data(), &[]);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("in use"), "{said}");
}

#[tokio::test]
async fn damage_is_named_and_nothing_is_lost() {
    let mut house = House::start(STRICT).await.unwrap();
    let client = house.through("options='-c clyra.run_id=kept'").await.unwrap();
    client.batch_execute("select 1").await.unwrap();
    drop(client);
    house.settled().await.unwrap();
    house.kill().unwrap();
    for folder in ["recorder/wal", "gateway/outbox"] {
        let Some(segment) = first_segment(&house.data().join(folder)) else { continue };
        let good = std::fs::read(&segment).unwrap();
        let mut bad = good.clone();
        bad[40] ^= 1;
        std::fs::write(&segment, &bad).unwrap();
        let (code, said) = up(&house.data(), &["--policy", house.path("policy.yaml").to_str().unwrap()]);
        assert_eq!(code, Some(5), "{said}");
        let name = segment.file_name().unwrap().to_str().unwrap();
        assert!(said.contains(name), "{said}");
        assert_eq!(std::fs::read(&segment).unwrap(), bad, "damage is not repaired behind anybody's back");
        std::fs::write(&segment, &good).unwrap();
    }
    house.up().await.unwrap();
    let receipts = crate::bundles::receipts(&house.cut("kept").await.unwrap());
    assert!(!receipts.is_empty());
}

fn first_segment(folder: &Path) -> Option<std::path::PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|path| path.is_file() && path.metadata().is_ok_and(|about| about.len() > 100))
        .filter(|path| path.extension().is_some())
        .collect();
    files.sort();
    files.into_iter().next()
}

#[tokio::test]
async fn a_full_disk_shuts_the_gate_until_there_is_room() {
    let server = Server::start("local all all trust\nhost all all 127.0.0.1/32 trust\n").await.unwrap();
    let upstream = format!("postgres://{}/shop", server.addr);
    let disk = SmallDisk::mount();
    let house = House::start_in(disk.folder.path(), STRICT, &["--upstream", &upstream]).await.unwrap();
    let client = house.through("options='-c clyra.run_id=full'").await.unwrap();
    client.batch_execute("create table marks (id int)").await.unwrap();
    let filler = disk.folder.path().join("filler");
    let full = std::fs::write(&filler, vec![7; 200 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let mut written = Vec::new();
    let refused = loop {
        // A page may still have a little room; then there is none.
        let id = i32::try_from(written.len()).unwrap();
        match client.execute("insert into marks values ($1)", &[&id]).await {
            Ok(_) => written.push(id),
            Err(error) => break clyra_tests::refusal(error),
        }
        assert!(written.len() < 10_000, "a full disk must be noticed");
    };
    assert_eq!(refused.code().code(), "53400");
    assert!(refused.detail().is_some_and(|why| why.contains("No space left")), "{refused:?}");
    std::fs::remove_file(&filler).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while client.execute("insert into marks values (10000)", &[]).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "there is room again");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let stored: i64 = client.query_one("select count(*) from marks", &[]).await.unwrap().get(0);
    assert_eq!(stored, i64::try_from(written.len()).unwrap() + 1, "what was refused did not run");
    drop(client);
    let receipts = crate::bundles::receipts(&house.cut("full").await.unwrap());
    let intents = receipts
        .iter()
        .filter(|receipt| receipt["phase"] == "intent" && receipt["action"]["verb"] == "insert");
    assert!(intents.count() > written.len(), "every row has its intent");
}

/// A disk of 150 MiB in memory. Mounting needs root, or sudo without a password, as `./check` itself does.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Self {
        let folder = open_folder().unwrap();
        let place = folder.path().to_str().unwrap();
        let said = privileged(&["mount", "-t", "tmpfs", "-o", "size=150m,mode=777", "tmpfs", place]);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        Self { folder }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        privileged(&["umount", "-l", self.folder.path().to_str().unwrap_or_default()]);
    }
}

fn privileged(words: &[&str]) -> std::process::Output {
    if rustix::process::geteuid().is_root() {
        Command::new(words[0]).args(&words[1..]).output().unwrap()
    } else {
        Command::new("sudo").arg("-n").args(words).output().unwrap()
    }
}
