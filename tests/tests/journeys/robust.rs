//! Peers that behave badly, too many of them, and a stop in the middle: what each costs, and what it is told.

use crate::shadow;
use clyra_tests::{BareServer, House, Manner};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// A house before a bare server.
async fn house(manner: Manner, flags: &[&str]) -> (House, BareServer) {
    let server = BareServer::start(manner).await.unwrap();
    let upstream = server.upstream();
    let flags = [&["--upstream", &upstream], flags].concat();
    (House::start_with(&shadow(), &flags).await.unwrap(), server)
}

fn message(tag: &[u8], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [tag, &length.to_be_bytes(), body].concat()
}

fn startup() -> Vec<u8> {
    message(b"", b"\0\x03\0\0user\0app\0database\0shop\0\0")
}

fn query() -> Vec<u8> {
    message(b"Q", b"select 1\0")
}

/// Connects without a word.
async fn knock(gate: SocketAddr) -> TcpStream {
    let deadline = Instant::now() + WAIT;
    loop {
        match TcpStream::connect(gate).await {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}

/// Connects and is let in.
async fn enter(gate: SocketAddr) -> TcpStream {
    let mut stream = knock(gate).await;
    stream.write_all(&startup()).await.unwrap();
    let (tag, body) = until(&mut stream, b"ZE").await;
    assert_eq!(tag, b'Z', "{}", body.escape_ascii());
    stream
}

/// Reads up to a message of one of these tags.
async fn until(stream: &mut TcpStream, tags: &[u8]) -> (u8, Vec<u8>) {
    let reading = async {
        loop {
            let tag = stream.read_u8().await.unwrap();
            let length = stream.read_u32().await.unwrap();
            let mut body = vec![0; length as usize - 4];
            stream.read_exact(&mut body).await.unwrap();
            if tags.contains(&tag) {
                return (tag, body);
            }
        }
    };
    timeout(WAIT, reading).await.expect("an answer in time")
}

/// Everything until the end; a reset counts as an end.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _reset = timeout(WAIT, stream.read_to_end(&mut bytes)).await.expect("an end in time");
    bytes
}

fn says(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

/// Waits until this holds.
async fn becomes(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn pid(house: &House) -> u64 {
    house.standing["pid"].as_u64().unwrap()
}

/// Resident kilobytes of the house.
fn resident_kb(house: &House) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid(house))).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// File descriptors of the house, sockets among them.
fn open_files(house: &House) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", pid(house))).unwrap().count()
}

#[tokio::test]
async fn one_client_too_many_is_told_so() {
    let (house, _server) = house(Manner::Answers, &["--max-clients", "2"]).await;
    let gate = house.addr("listen").unwrap();
    let first = enter(gate).await;
    let _second = enter(gate).await;
    let mut third = knock(gate).await;
    third.write_all(&startup()).await.unwrap();
    let said = rest(&mut third).await;
    assert!(says(&said, "53300") && says(&said, "FATAL") && says(&said, "--max-clients"));
    drop(first);
    let deadline = Instant::now() + WAIT;
    loop {
        let mut next = knock(gate).await;
        next.write_all(&startup()).await.unwrap();
        if until(&mut next, b"ZE").await.0 == b'Z' {
            break;
        }
        assert!(Instant::now() < deadline, "a seat that became free is given again");
    }
}

#[tokio::test]
async fn who_does_not_get_on_with_it_is_let_go() {
    let (house, _server) = house(Manner::AsksForever, &["--login-timeout", "1"]).await;
    let gate = house.addr("listen").unwrap();
    let mut silent = knock(gate).await;
    let mut slow = knock(gate).await;
    slow.write_all(&startup()[..9]).await.unwrap();
    let mut forgetful = knock(gate).await;
    forgetful.write_all(&startup()).await.unwrap();
    assert!(rest(&mut silent).await.is_empty());
    assert!(rest(&mut slow).await.is_empty());
    let said = rest(&mut forgetful).await;
    assert!(says(&said, "57014") && says(&said, "1 s"), "{}", said.escape_ascii());
}

#[tokio::test]
async fn impossible_lengths_are_refused() {
    let (house, server) = house(Manner::Answers, &[]).await;
    let gate = house.addr("listen").unwrap();
    for length in [0_u32, 7, 10_001, u32::MAX] {
        let mut stream = knock(gate).await;
        stream.write_all(&length.to_be_bytes()).await.unwrap();
        assert!(rest(&mut stream).await.is_empty(), "like the server, without a word: {length}");
    }
    for head in [b"Q\0\0\0\x03", b"Q\x7f\xff\xff\xff", b"B\xff\xff\xff\xff", b"?\0\0\0\x04"] {
        let mut stream = enter(gate).await;
        stream.write_all(head).await.unwrap();
        assert!(says(&rest(&mut stream).await, "08P01"), "{}", head.escape_ascii());
    }
    becomes("the server's connections end too", || server.open() == 0).await;
}

#[tokio::test]
async fn who_never_reads_costs_little() {
    let (house, server) = house(Manner::Floods, &[]).await;
    let gate = house.addr("listen").unwrap();
    let mut sated = enter(gate).await;
    let before = resident_kb(&house);
    let mut hoarders = Vec::new();
    for _ in 0..20 {
        let mut stream = enter(gate).await;
        stream.write_all(&query()).await.unwrap();
        hoarders.push(stream);
    }
    becomes("all floods run", || server.queries() == 20).await;
    // One that reads gets a hundred megabytes past all of them.
    sated.write_all(&query()).await.unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut read = 0;
    while read < 100 << 20 {
        read += timeout(WAIT, sated.read(&mut buffer)).await.unwrap().unwrap();
    }
    let grown = resident_kb(&house).saturating_sub(before);
    assert!(grown < 20 * 1024 + 4096, "20 clients that do not read cost {grown} kB");
}

#[tokio::test]
async fn a_server_that_never_reads_costs_little() {
    let (house, _server) = house(Manner::Deaf, &[]).await;
    let gate = house.addr("listen").unwrap();
    let big = message(b"Q", format!("select '{}'\0", "x".repeat(100_000)).as_bytes());
    // The first one pays for what all of them share: code, the parser's memory.
    let _first = fill(gate, &big).await;
    let before = resident_kb(&house);
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(fill(gate, &big).await);
    }
    let each = resident_kb(&house).saturating_sub(before) / 8;
    assert!(each < 3 << 10, "each client of a deaf server costs {each} kB");
}

/// A client that sends as much as anybody takes; then all is full, and stays so.
async fn fill(gate: SocketAddr, message: &[u8]) -> TcpStream {
    let mut stream = enter(gate).await;
    while let Ok(sent) = timeout(Duration::from_millis(200), stream.write_all(message)).await {
        sent.unwrap();
    }
    stream
}

#[tokio::test]
async fn half_closed_and_vanished_clients_leave_nothing_behind() {
    let (house, server) = house(Manner::Waits, &[]).await;
    let gate = house.addr("listen").unwrap();
    let mut polite = enter(gate).await;
    polite.write_all(&query()).await.unwrap();
    polite.shutdown().await.unwrap();
    becomes("the query of a half-closed client arrives", || server.queries() == 1).await;
    server.go_on();
    assert!(says(&rest(&mut polite).await, "SELECT 0"), "it still hears its answer");
    for busy in [false, true] {
        let mut stream = enter(gate).await;
        let seen = server.queries();
        if busy {
            stream.write_all(&query()).await.unwrap();
            becomes("the query arrives", || server.queries() == seen + 1).await;
        }
        // No farewell: the next packet meets a reset.
        stream.set_zero_linger().unwrap();
        drop(stream);
        server.go_on();
        becomes("the server's connection ends with its client's", || server.open() == 0).await;
    }
}

#[tokio::test]
async fn a_stop_lets_the_busy_finish_and_ends_the_idle() {
    let (mut house, server) = house(Manner::Waits, &[]).await;
    let gate = house.addr("listen").unwrap();
    let mut undecided = knock(gate).await;
    let mut idle = enter(gate).await;
    let mut busy = enter(gate).await;
    busy.write_all(&query()).await.unwrap();
    becomes("the query arrives", || server.queries() == 1).await;
    let began = Instant::now();
    let story = async {
        assert!(says(&rest(&mut idle).await, "57P01"), "the idle one is ended at once");
        server.go_on();
        let said = rest(&mut busy).await;
        assert!(says(&said, "SELECT 0") && says(&said, "57P01"), "the busy one hears its answer first");
        assert!(rest(&mut undecided).await.is_empty());
    };
    let (stopped, ()) = tokio::join!(house.stop(), story);
    stopped.unwrap();
    assert!(began.elapsed() < Duration::from_secs(9), "nobody is waited for in vain");
}

#[tokio::test]
async fn idle_clients_cost_little() {
    const CLIENTS: usize = 4_000;
    let (house, server) = house(Manner::Answers, &[]).await;
    let gate = house.addr("listen").unwrap();
    let _warm = enter(gate).await;
    let before = resident_kb(&house);
    let mut clients = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        let mut stream = enter(gate).await;
        stream.write_all(&query()).await.unwrap();
        until(&mut stream, b"Z").await;
        clients.push(stream);
    }
    assert_eq!(server.open(), CLIENTS + 1);
    let grown = resident_kb(&house).saturating_sub(before);
    let each = grown * 1024 / CLIENTS as u64;
    println!("{CLIENTS} idle clients: {each} bytes each");
    assert!(each < 24 << 10, "{each} bytes for each idle client");
}

#[tokio::test]
async fn a_low_soft_limit_of_files_does_not_bind() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let own = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum: own.maximum }).unwrap();
    let (house, server) = house(Manner::Answers, &[]).await;
    setrlimit(Resource::Nofile, own).unwrap();
    let gate = house.addr("listen").unwrap();
    let mut clients = Vec::new();
    for _ in 0..300 {
        clients.push(enter(gate).await);
    }
    assert_eq!(server.open(), 300);
}

#[tokio::test]
async fn thousands_come_and_go_without_a_trace() {
    let (house, server) = house(Manner::Answers, &[]).await;
    let gate = house.addr("listen").unwrap();
    let rounds = |count: usize| async move {
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..8 {
            callers.spawn(async move {
                for round in 0..count / 8 {
                    let mut stream = enter(gate).await;
                    if (round + caller) % 2 == 0 {
                        stream.write_all(&query()).await.unwrap();
                        until(&mut stream, b"Z").await;
                    }
                    if (round + caller) % 3 == 0 {
                        stream.write_all(b"X\0\0\0\x04").await.unwrap();
                    }
                }
            });
        }
        while let Some(ended) = callers.join_next().await {
            ended.unwrap();
        }
    };
    rounds(5_000).await;
    becomes("all have left", || server.open() == 0).await;
    let (files, memory) = (open_files(&house), resident_kb(&house));
    rounds(5_000).await;
    becomes("all have left", || server.open() == 0).await;
    becomes("no socket is left behind", || open_files(&house) <= files).await;
    let grown = resident_kb(&house).saturating_sub(memory);
    println!("5000 connections: {files} files, {grown} kB");
    assert!(grown < 8 << 10, "5000 connections left {grown} kB");
}

/// Longer than anything here takes on a busy machine.
const WAIT: Duration = Duration::from_secs(30);
