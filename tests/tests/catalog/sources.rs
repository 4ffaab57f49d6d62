//! Where a catalog comes from: a file, a login for it alone, the gateway's own credentials, or nowhere.

use super::{POLICY, SCHEMA, connect, fate, play};
use clyra_tests::{House, Server};
use std::{
    io::{Read as _, Write as _},
    path::Path,
    time::{Duration, Instant},
};

const TRUST: &str = "local all all trust\nhost all all 127.0.0.1/32 trust\n";

async fn server() -> Server {
    let mut server = Server::start(TRUST).await.unwrap();
    server.by_socket("create role eye login").await.unwrap();
    let owner = clyra_tests::connect(server.addr, "").await.unwrap();
    owner.batch_execute("create table secrets ()").await.unwrap();
    owner.batch_execute(SCHEMA).await.unwrap();
    owner.batch_execute("create view peek as select word from secrets").await.unwrap();
    owner.batch_execute("create view shown as select name from goods").await.unwrap();
    owner.batch_execute("grant all on all tables in schema public to public").await.unwrap();
    server
}

fn said(house: &House) -> String {
    std::fs::read_to_string(house.path("up.log")).unwrap()
}

fn metrics(house: &House) -> String {
    let mut stream = std::net::TcpStream::connect(house.addr("metrics").unwrap()).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

#[tokio::test]
async fn passed_through_without_a_catalog_rules_know_the_text_alone() {
    let server = server().await;
    let upstream = format!("postgres://{}/shop", server.addr);
    let house = House::start_with(POLICY, &["--upstream", &upstream]).await.unwrap();
    assert!(said(&house).contains("without a catalog: secret, reads, few"), "{}", said(&house));
    let (ann, bob) = (connect(&house, "ann").await, connect(&house, "bob").await);
    play(&ann, &[("select * from secrets", "secret"), ("select * from shown", "ok")]).await;
    play(&bob, &[("select strange()", "reads")]).await;
}

#[tokio::test]
async fn a_login_for_it_alone_reads_each_database() {
    let server = server().await;
    let upstream = format!("postgres://{}/shop", server.addr);
    let eye = format!("postgres://eye@{}/shop", server.addr);
    let house = House::start_with(POLICY, &["--upstream", &upstream, "--catalog-url", &eye]).await.unwrap();
    assert!(!said(&house).contains("catalog of database"), "{}", said(&house));
    let ann = connect(&house, "ann").await;
    play(&ann, &[("select * from peek", "secret"), ("select * from shown", "ok")]).await;
    let owner = clyra_tests::connect(server.addr, "").await.unwrap();
    owner.batch_execute("create database second template shop").await.unwrap_err();
    owner.batch_execute("create database second").await.unwrap();
    let second = format!("host={} port={}", server.addr.ip(), server.addr.port());
    let (own, connection) =
        tokio_postgres::connect(&format!("{second} user=postgres dbname=second"), tokio_postgres::NoTls)
            .await
            .unwrap();
    tokio::spawn(connection);
    own.batch_execute(
        "create table secrets (id int); create view sight as select * from secrets; create view bare as select 1 a; \
         grant select on all tables in schema public to public",
    )
    .await
    .unwrap();
    let listen = house.addr("listen").unwrap();
    let config = format!("host={} port={} user=ann dbname=second", listen.ip(), listen.port());
    let (ann, connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    play(&ann, &[("select * from sight", "secret"), ("select * from bare", "ok")]).await;
    let page = metrics(&house);
    for database in ["shop", "second"] {
        assert!(page.contains(&format!("clyra_catalog_snapshot{{database=\"{database}\"}}")), "{page}");
    }
}

fn snapshot(house: &House, server: &Server, file: &Path) {
    let url = format!("postgres://postgres@{}/shop", server.addr);
    let made = std::process::Command::new(clyra_tests::program("clyra").unwrap())
        .args(["policy", "catalog", "--upstream", &url, "--out"])
        .arg(file)
        .output()
        .unwrap();
    assert!(made.status.success(), "{} {}", said(house), String::from_utf8_lossy(&made.stderr));
}

#[tokio::test]
async fn a_file_counts_until_the_database_has_changed() {
    let server = server().await;
    let upstream = format!("postgres://{}/shop", server.addr);
    let folder = clyra_tests::open_folder().unwrap();
    let file = folder.path().join("shop.json");
    let name = file.display().to_string();
    let flags = ["--upstream", &upstream, "--catalog", &name, "--catalog-refresh", "1"];
    let house = House::start_with(POLICY, &flags).await.unwrap();
    assert!(said(&house).contains("catalog of database `shop` is missing"), "{}", said(&house));
    let ann = connect(&house, "ann").await;
    // Nobody knows what stands behind a name: it is not taken for harmless.
    play(&ann, &[("select * from shown", "secret"), ("select 1", "ok")]).await;
    snapshot(&house, &server, &file);
    let deadline = Instant::now() + Duration::from_secs(30);
    while fate(&ann, "select * from shown").await != "ok" {
        assert!(Instant::now() < deadline, "the file is never read");
    }
    play(&ann, &[("select * from peek", "secret")]).await;
    let (dan, owner) = (connect(&house, "dan").await, clyra_tests::connect(server.addr, "").await.unwrap());
    play(&dan, &[("create or replace view shown as select name from goods", "ok")]).await;
    play(&ann, &[("select * from shown", "secret"), ("select * from goods", "ok")]).await;
    owner.batch_execute("create view another as select name from goods").await.unwrap();
    snapshot(&house, &server, &file);
    while fate(&ann, "select * from shown").await != "ok" {
        assert!(Instant::now() < deadline, "the file is never read again");
    }
}

#[tokio::test]
async fn a_catalog_that_cannot_be_looked_at_grows_too_old() {
    let server = server().await;
    let upstream = format!("postgres://{}/shop", server.addr);
    let eye = format!("postgres://eye@{}/shop", server.addr);
    let flags =
        ["--upstream", &upstream, "--catalog-url", &eye, "--catalog-refresh", "1", "--catalog-max-age", "2"];
    let house = House::start_with(POLICY, &flags).await.unwrap();
    let ann = connect(&house, "ann").await;
    play(&ann, &[("select * from shown", "ok")]).await;
    let owner = clyra_tests::connect(server.addr, "").await.unwrap();
    let away = "alter role eye nologin; select pg_terminate_backend(pid) from pg_stat_activity where usename = 'eye'";
    owner.batch_execute(away).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while fate(&ann, "select * from shown").await != "secret" {
        assert!(Instant::now() < deadline, "the catalog never grows too old");
    }
    play(&ann, &[("select 1", "ok")]).await;
    owner.batch_execute("alter role eye login").await.unwrap();
    while fate(&ann, "select * from shown").await != "ok" {
        assert!(Instant::now() < deadline, "the catalog is never read again");
    }
}
