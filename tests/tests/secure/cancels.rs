//! Cancel requests among many sessions: each ends what it names and nothing else, in plain text and under TLS, with keys of
//! any length.

use crate::{
    logins::{BY_SCRAM, Scene, tls, words},
    papers::Papers,
    soon,
};
use clyra_tests::{House, SPEAKS_TLS, shadow};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    time::Instant,
};
use tokio_postgres::{Client, NoTls, error::SqlState};

const SLEEPERS: usize = 16;

/// Half of the sleepers are cancelled, all at once; then the others.
async fn half_of_them(gate: SocketAddr, options: &str, watcher: &Client) {
    let asleep = "select count(*) from pg_stat_activity where query like '%in a crowd%' and state = 'active' \
                  and pid <> pg_backend_pid()";
    let count = async || watcher.query_one(asleep, &[]).await.unwrap().get::<_, i64>(0);
    let (mut tokens, mut sleeps) = (Vec::new(), Vec::new());
    for _ in 0..SLEEPERS {
        let client = clyra_tests::connect(gate, options).await.unwrap();
        tokens.push(client.cancel_token());
        sleeps.push(tokio::spawn(async move {
            client.batch_execute("select pg_sleep(600) /* in a crowd */").await
        }));
    }
    let deadline = soon();
    while count().await < SLEEPERS as i64 {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    for parity in [0, 1] {
        let wanted: Vec<usize> = (0..SLEEPERS).filter(|number| number % 2 == parity).collect();
        let mut cancels = tokio::task::JoinSet::new();
        for number in &wanted {
            let token = tokens[*number].clone();
            cancels.spawn(async move { token.cancel_query(NoTls).await });
        }
        while let Some(done) = cancels.join_next().await {
            done.unwrap().unwrap();
        }
        for number in &wanted {
            let error = (&mut sleeps[*number]).await.unwrap().unwrap_err();
            assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
        }
        let asleep = if parity == 0 { SLEEPERS as i64 / 2 } else { 0 };
        // A server tells the client first, and then the others that it is idle.
        let deadline = soon();
        while count().await > asleep && Instant::now() < deadline {
            tokio::task::yield_now().await;
        }
        assert_eq!(count().await, asleep, "nobody else is woken");
    }
}

#[tokio::test]
async fn each_wakes_its_own_sleeper() {
    let house = House::start(&shadow()).await.unwrap();
    half_of_them(house.addr("listen").unwrap(), "", &house.directly().await.unwrap()).await;
}

#[tokio::test]
async fn each_wakes_its_own_where_the_gateway_logs_in() {
    let scene = Scene::new("scram-sha-256").await;
    let house = scene.house(BY_SCRAM, &[]).await;
    let watcher = clyra_tests::connect(scene.server.addr, "").await.unwrap();
    half_of_them(house.addr("listen").unwrap(), "user=ann password=pw", &watcher).await;
}

/// A session and its cancel request, both under TLS.
const UNDER_TLS: &str = r#"
session = connect()
body = struct.pack('!I', 196608) + b'user\0postgres\0database\0shop\0\0'
session.sendall(struct.pack('!I', len(body) + 4) + body)
key = None
while (heard := hear(session))[0] != b'Z':
    if heard[0] == b'K': key = heard[1]
session.sendall(struct.pack('!cI', b'Q', 4 + 21) + b'select pg_sleep(600)\0')
answer = None
session.settimeout(0.2)
for _ in range(100):
    other = connect()
    other.sendall(struct.pack('!II', 8 + len(key), 80877102) + key)
    assert other.recv(1) == b''
    try:
        while (heard := hear(session))[0] != b'E': pass
        answer = heard[1]
        break
    except TimeoutError: pass
assert b'C57014\0' in answer, answer
"#;

#[tokio::test]
async fn a_cancel_under_tls_is_heard() {
    let papers = Papers::new();
    let (flags, _) = tls(&papers);
    let house = House::start_with(&shadow(), &words(&flags)).await.unwrap();
    let port = house.addr("listen").unwrap().port().to_string();
    let done = Command::new("python3")
        .args(["-c", &format!("{SPEAKS_TLS}{UNDER_TLS}"), &port, &papers.file("ca.pem")])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap().to_be_bytes();
    [&length[..], &code.to_be_bytes(), body].concat()
}

#[tokio::test]
async fn long_keys_of_protocol_3_2_pass() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = format!("postgres://{}/shop", listener.local_addr().unwrap());
    let key: Vec<u8> = (0..36).collect();
    let told = key.clone();
    let server = std::thread::spawn(move || {
        let mut heard = Vec::new();
        // The first is the house's own look, the second a session, the third its cancel.
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut rest = vec![0; u32::from_be_bytes(length) as usize - 4];
            stream.read_exact(&mut rest).unwrap();
            if rest.starts_with(&[0, 3, 0, 2]) {
                stream.write_all(b"R\0\0\0\x08\0\0\0\0K\0\0\0\x28").unwrap();
                stream.write_all(&[&told[..], b"Z\0\0\0\x05I"].concat()).unwrap();
                let _left = stream.read(&mut [0; 64]);
            } else if rest.len() == 4 {
                stream.write_all(b"N").unwrap();
            }
            heard.push(rest);
        }
        heard
    });
    let house = House::start_with(&shadow(), &["--upstream", &upstream]).await.unwrap();
    let gate = house.addr("listen").unwrap();
    let mut session = TcpStream::connect(gate).unwrap();
    session.write_all(&packet(0x0003_0002, b"user\0app\0\0")).unwrap();
    let mut said = vec![0; 9 + 5 + key.len() + 6];
    session.read_exact(&mut said).unwrap();
    assert_eq!(said[14..14 + key.len()], key[..]);
    drop(session);
    let mut cancel = TcpStream::connect(gate).unwrap();
    cancel.write_all(&packet(80_877_102, &key)).unwrap();
    let heard = tokio::task::spawn_blocking(move || server.join().unwrap()).await.unwrap();
    assert_eq!(heard[2][4..], key[..], "as it came");
}

#[tokio::test]
async fn newer_protocols_are_negotiated_by_the_server() {
    let scene = Scene::new("trust").await;
    let upstream = format!("postgres://{}/shop", scene.server.addr);
    let through = House::start_with(&shadow(), &["--upstream", &upstream]).await.unwrap();
    let mut client = TcpStream::connect(through.addr("listen").unwrap()).unwrap();
    client.write_all(&packet(0x0003_0002, b"user\0app\0database\0shop\0_pq_.x\0y\0\0")).unwrap();
    let mut tag = [0];
    client.read_exact(&mut tag).unwrap();
    assert_eq!(tag, *b"v", "NegotiateProtocolVersion of a server that speaks 3.0, and knows no _pq_.x");
}
