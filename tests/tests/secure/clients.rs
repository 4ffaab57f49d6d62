//! TLS between clients and gateway.

use crate::{
    logins::{BY_SCRAM, Scene, tls, words},
    papers::Papers,
    psql, soon,
};
use clyra_tests::{House, shadow};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::Instant,
};

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const STARTUP: &[u8] = b"\0\0\0\x25\0\x03\0\0user\0postgres\0database\0shop\0\0";

fn certified() -> Papers {
    let papers = Papers::new();
    papers.sign("gate", "/CN=gate", "DNS:localhost,IP:127.0.0.1");
    papers
}

async fn house(papers: &Papers, more: &[&str]) -> House {
    let (cert, key) = (papers.file("gate.pem"), papers.file("gate.key"));
    let flags = [&["--tls-cert", &cert, "--tls-key", &key], more].concat();
    House::start_with(&shadow(), &flags).await.unwrap()
}

fn verified(papers: &Papers) -> String {
    format!("user=postgres host=localhost sslmode=verify-full sslrootcert={}", papers.file("ca.pem"))
}

#[tokio::test]
async fn clients_speak_tls_and_must() {
    let papers = certified();
    let house = house(&papers, &[]).await;
    let gate = house.addr("listen").unwrap();
    let many = psql(
        gate,
        &verified(&papers),
        "select sum(length(repeat(g::text, 500))) from generate_series(1, 40000) g",
    );
    assert_eq!(many, (true, "94447000".to_owned()));
    let (done, rows) =
        psql(gate, &verified(&papers), "select repeat('x', 1000) from generate_series(1, 20000)");
    assert!(done && rows.len() == 20_000 * 1001 - 1, "{}", rows.len());
    let (done, said) = psql(gate, "user=postgres sslmode=disable", "select 1");
    assert!(!done && said.contains("under TLS only"), "{said}");
    let (done, said) = psql(
        gate,
        &format!("{} gssencmode=disable options='-c clyra.run_id=t'", verified(&papers)),
        "drop table if exists nothing",
    );
    assert!(done, "{said}");
    let receipt = crate::first_receipt(&house, "t").await;
    assert_eq!(receipt["caller"]["auth"], "none", "proof is between client and server");
}

#[tokio::test]
async fn optional_lets_both_in() {
    let papers = certified();
    let house = house(&papers, &["--tls", "optional"]).await;
    let gate = house.addr("listen").unwrap();
    assert!(psql(gate, "user=postgres sslmode=disable", "select 1").0);
    assert!(psql(gate, &verified(&papers), "select 1").0);
}

#[tokio::test]
async fn nothing_from_before_the_handshake_counts() {
    let papers = certified();
    let house = house(&papers, &[]).await;
    let gate = house.addr("listen").unwrap();
    let mut client = TcpStream::connect(gate).unwrap();
    client.write_all(&[&SSL_REQUEST[..], STARTUP].concat()).unwrap();
    let mut said = Vec::new();
    client.read_to_end(&mut said).unwrap();
    assert_eq!(said[0], b'E', "{}", said.escape_ascii());
    assert!(String::from_utf8_lossy(&said).contains("behind a request for TLS"));
}

/// What the gateway says to a start-up packet in a direct handshake with these words of openssl's.
fn direct(gate: SocketAddr, words: &[&str]) -> Vec<u8> {
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &gate.to_string()])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = client.stdin.take().unwrap();
    let _ = stdin.write_all(STARTUP);
    let mut said = vec![0; 9];
    let heard = client.stdout.take().unwrap().read_exact(&mut said);
    let _ = client.kill();
    client.wait().unwrap();
    heard.map(|()| said).unwrap_or_default()
}

#[tokio::test]
async fn direct_handshakes_name_the_protocol() {
    let papers = certified();
    let house = house(&papers, &[]).await;
    let gate = house.addr("listen").unwrap();
    assert_eq!(direct(gate, &["-alpn", "postgresql"]), b"R\0\0\0\x08\0\0\0\0", "the server's trust");
    assert_eq!(direct(gate, &[]), b"", "no protocol named");
    assert_eq!(direct(gate, &["-alpn", "http/1.1"]), b"", "another protocol");
}

#[tokio::test]
async fn a_cancel_reaches_a_session_under_tls() {
    let papers = certified();
    let house = house(&papers, &[]).await;
    let target = format!(
        "{} hostaddr=127.0.0.1 port={} dbname=shop",
        verified(&papers),
        house.addr("listen").unwrap().port()
    );
    let asleep = Command::new("psql")
        .args(["-X", "-c", "select pg_sleep(120) /* to be cancelled */", &target])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let watcher = house.directly().await.unwrap();
    let deadline = soon();
    let running = "select count(*) from pg_stat_activity where query like '%to be cancelled%' and state = 'active' \
                   and pid <> pg_backend_pid()";
    while watcher.query_one(running, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    Command::new("kill").args(["-INT", &asleep.id().to_string()]).status().unwrap();
    let said = asleep.wait_with_output().unwrap().stderr;
    assert!(String::from_utf8_lossy(&said).contains("canceling statement"), "{}", said.escape_ascii());
}

#[tokio::test]
async fn certificates_are_changed_without_a_restart() {
    let papers = certified();
    let house = house(&papers, &[]).await;
    let gate = house.addr("listen").unwrap();
    let others = certified();
    assert!(!psql(gate, &verified(&others), "select 1").0);
    std::fs::copy(others.path("gate.key"), papers.path("gate.key")).unwrap();
    let pid = house.standing["pid"].to_string();
    // Key and certificate do not fit now: the old ones stay.
    Command::new("kill").args(["-HUP", &pid]).status().unwrap();
    assert!(psql(gate, &verified(&papers), "select 1").0);
    std::fs::copy(others.path("gate.pem"), papers.path("gate.pem")).unwrap();
    Command::new("kill").args(["-HUP", &pid]).status().unwrap();
    let deadline = soon();
    while !psql(gate, &verified(&others), "select 1").0 {
        assert!(Instant::now() < deadline, "the new certificate is not in use");
    }
}

/// libpq's words for a certificate.
fn shown(papers: &Papers, name: &str) -> String {
    let (cert, key) = (papers.file(&format!("{name}.pem")), papers.file(&format!("{name}.key")));
    Command::new("chmod").args(["600", &key]).status().unwrap();
    format!(" sslcert={cert} sslkey={key}")
}

#[tokio::test]
async fn revoked_certificates_are_turned_away() {
    let papers = certified();
    papers.sign("ann", "/CN=ann", "URI:urn:ann");
    papers.sign("bob", "/CN=bob", "URI:urn:bob");
    papers.revoke(&["bob"]);
    let (roots, lists) = (papers.file("ca.pem"), papers.file("crl.pem"));
    let house = house(&papers, &["--tls-client-ca", &roots, "--tls-client-crl", &lists]).await;
    let gate = house.addr("listen").unwrap();
    let enters = |name: &str| psql(gate, &(verified(&papers) + &shown(&papers, name)), "select 1").0;
    assert!(enters("ann") && !enters("bob"));
    papers.revoke(&["ann"]);
    Command::new("kill").args(["-HUP", &house.standing["pid"].to_string()]).status().unwrap();
    let deadline = soon();
    while enters("ann") {
        assert!(Instant::now() < deadline, "the new list is not in use");
    }
    assert!(enters("bob"));
    std::fs::write(papers.path("crl.pem"), "nothing").unwrap();
    Command::new("kill").args(["-HUP", &house.standing["pid"].to_string()]).status().unwrap();
    assert!(enters("bob") && !enters("ann"), "a list that is none changes nothing");
}

#[tokio::test]
async fn clients_show_certificates_where_asked() {
    let papers = certified();
    papers.sign("ann", "/CN=ann", "URI:spiffe://shop.example/agent/ann");
    let strangers = Papers::new();
    strangers.sign("eve", "/CN=ann", "URI:spiffe://shop.example/agent/ann");
    let house = house(&papers, &["--tls-client-ca", &papers.file("ca.pem")]).await;
    let gate = house.addr("listen").unwrap();
    assert!(psql(gate, &(verified(&papers) + &shown(&papers, "ann")), "select 1").0);
    assert!(!psql(gate, &(verified(&papers) + &shown(&strangers, "eve")), "select 1").0);
    assert!(!psql(gate, &(verified(&papers) + " sslcert=/nowhere"), "select 1").0);
}

#[tokio::test]
async fn pgbench_crowds_in_by_tls_and_login() {
    let (scene, papers) = (Scene::new("scram-sha-256").await, Papers::new());
    let (flags, options) = tls(&papers);
    let house = scene.house(BY_SCRAM, &words(&flags)).await;
    let own = clyra_tests::connect(scene.server.addr, "").await.unwrap();
    own.batch_execute("create table n (v int); grant insert on n to app").await.unwrap();
    scene.write("one.sql", "insert into n values (:client_id);\n");
    let port = house.addr("listen").unwrap().port();
    let modes = ["simple", "extended", "prepared"];
    for mode in modes {
        let ran = Command::new("pgbench")
            .args(["-n", "-M", mode, "-c", "64", "-j", "2", "-t", "20", "-f"])
            .arg(scene.path("one.sql"))
            .arg(format!(
                "{options} channel_binding=require user=ann hostaddr=127.0.0.1 port={port} dbname=shop"
            ))
            .env("PGPASSWORD", "pw")
            .env("PGOPTIONS", format!("-c clyra.run_id={mode}"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        let words = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success() && said.contains("processed: 1280/1280"), "{mode}: {said}{words}");
    }
    let (rows, clients): (i64, i64) = {
        let counted = own.query_one("select count(*), count(distinct v) from n", &[]).await.unwrap();
        (counted.get(0), counted.get(1))
    };
    assert_eq!((rows, clients), (3 * 1280, 64));
    for mode in modes {
        let bundle = closed(&house, mode).await;
        let receipts = clyra_tests::receipts(&bundle);
        assert_eq!(receipts.len(), 1280, "{mode}");
        let proven = |receipt: &&serde_json::Value| receipt["caller"]["auth"] == "scram";
        assert_eq!(receipts.iter().filter(proven).count(), 1280, "{mode}");
        let (code, report) = house.verify(&bundle).unwrap();
        assert_eq!(code, Some(0), "{report}");
    }
}

/// The bundle of a run once its last session has left, which is a moment after its client has gone.
async fn closed(house: &House, run: &str) -> std::path::PathBuf {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let bundle = house.cut(run).await.unwrap();
        if house.verify(&bundle).unwrap().0 == Some(0) || std::time::Instant::now() > deadline {
            return bundle;
        }
    }
}
