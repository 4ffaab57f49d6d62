//! TLS between gateway and server, in each of libpq's modes.

use crate::{papers::Papers, psql, soon};
use clyra_tests::{House, Server, shadow};
use std::time::Instant;

/// A server that takes clients over TLS only, but for the superuser.
async fn server(papers: &Papers) -> Server {
    let rules = "local all all trust\nhost all postgres 127.0.0.1/32 trust\n\
                 hostssl all all 127.0.0.1/32 scram-sha-256\nhostnossl all all 127.0.0.1/32 reject\n";
    let mut server = Server::start(rules).await.unwrap();
    papers.hand_to_postgres("db.key");
    let files = format!("alter system set ssl_cert_file = '{}'", papers.file("db.pem"));
    let key = format!("alter system set ssl_key_file = '{}'", papers.file("db.key"));
    let ready = "create role sigrid login password 'pw'";
    for sql in [&files, &key, "alter system set ssl = on", ready, "select pg_reload_conf()"] {
        server.by_socket(sql).await.unwrap();
    }
    let plain = clyra_tests::connect(server.addr, "").await.unwrap();
    let deadline = soon();
    while plain.query_one("show ssl", &[]).await.unwrap().get::<_, &str>(0) != "on" {
        assert!(Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    server
}

#[tokio::test]
async fn every_mode_means_what_it_says() {
    let papers = Papers::new();
    papers.sign("db", "/CN=db", "DNS:localhost");
    let strangers = Papers::new();
    let server = server(&papers).await;
    let port = server.addr.port();
    let own = format!("sslrootcert={}", papers.file("ca.pem"));
    let other = format!("sslrootcert={}", strangers.file("ca.pem"));
    for (host, words, expected) in [
        ("localhost", format!("sslmode=verify-full&{own}"), Ok("t")),
        ("127.0.0.1", format!("sslmode=verify-full&{own}"), Err("cannot be reached")),
        ("127.0.0.1", format!("sslmode=verify-ca&{own}"), Ok("t")),
        ("127.0.0.1", format!("sslmode=verify-ca&{other}"), Err("cannot be reached")),
        ("127.0.0.1", format!("sslmode=require&{other}"), Err("cannot be reached")),
        ("127.0.0.1", "sslmode=require".to_owned(), Ok("t")),
        ("127.0.0.1", "sslmode=prefer".to_owned(), Ok("t")),
        ("127.0.0.1", "sslmode=disable".to_owned(), Err("rejects")),
    ] {
        let upstream = format!("postgres://{host}:{port}/shop?{words}");
        let house = House::start_with(&shadow(), &["--upstream", &upstream]).await.unwrap();
        let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        let (done, said) = psql(house.addr("listen").unwrap(), "user=sigrid sslmode=disable", sql);
        match expected {
            Ok(answer) => assert_eq!((done, said.as_str()), (true, answer), "{upstream}"),
            Err(why) => assert!(!done && said.contains(why), "{upstream}: {said}"),
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_not_enough() {
    let server = Server::start("local all all trust\nhost all all 127.0.0.1/32 trust\n").await.unwrap();
    for (mode, passes) in [("require", false), ("prefer", true)] {
        let upstream = format!("postgres://{}/shop?sslmode={mode}", server.addr);
        let house = House::start_with(&shadow(), &["--upstream", &upstream]).await.unwrap();
        let (done, said) = psql(house.addr("listen").unwrap(), "user=postgres sslmode=disable", "select 1");
        assert_eq!(done, passes, "{said}");
        assert!(done || said.contains("does not speak TLS"), "{said}");
    }
}

#[tokio::test]
async fn cancels_and_large_answers_pass_under_tls() {
    let papers = Papers::new();
    papers.sign("db", "/CN=db", "DNS:localhost");
    let server = server(&papers).await;
    let upstream = format!("postgres://{}/shop?sslmode=require", server.addr);
    let house = House::start_with(&shadow(), &["--upstream", &upstream]).await.unwrap();
    let client =
        clyra_tests::connect(house.addr("listen").unwrap(), "user=sigrid password=pw").await.unwrap();
    let rows = client.query("select repeat('x', 1000) from generate_series(1, 20000)", &[]).await.unwrap();
    assert_eq!(rows.len(), 20_000);
    let cancel = client.cancel_token();
    let sleep = client.batch_execute("select pg_sleep(120) /* to be cancelled */");
    let stop = async {
        let watcher = clyra_tests::connect(server.addr, "").await.unwrap();
        let running = "select count(*) from pg_stat_activity where query like '%to be cancelled%' and \
                       pid <> pg_backend_pid() and state = 'active'";
        let deadline = soon();
        while watcher.query_one(running, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            assert!(Instant::now() < deadline);
            tokio::task::yield_now().await;
        }
        cancel.cancel_query(tokio_postgres::NoTls).await.unwrap();
    };
    let (slept, ()) = tokio::join!(sleep, stop);
    let code = slept.unwrap_err().code().cloned();
    assert_eq!(code, Some(tokio_postgres::error::SqlState::QUERY_CANCELED));
}
