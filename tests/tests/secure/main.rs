//! Journeys under TLS and with logins at the gateway: certificates by openssl, clients by libpq, a server with `ssl = on`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod callers;
mod cancels;
mod claims;
mod clients;
mod logins;
mod lookups;
mod papers;
mod servers;

use clyra_tests::House;
use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

/// Until when something must have come true.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// What psql says to one statement: whether it was done, and all its words.
fn psql(addr: SocketAddr, options: &str, sql: &str) -> (bool, String) {
    let target =
        format!("hostaddr=127.0.0.1 port={} dbname=shop application_name=journey {options}", addr.port());
    let output = Command::new("psql")
        .args(["-X", "-A", "-t", "-q", "-c", sql, &target])
        .env("PGPASSWORD", "pw")
        .env("PGCONNECT_TIMEOUT", "20")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).trim().to_owned())
}

/// A run's first receipt, once it is in the log.
async fn first_receipt(house: &House, run: &str) -> serde_json::Value {
    let deadline = soon();
    loop {
        let receipts = house.cut(run).await.map(|bundle| clyra_tests::receipts(&bundle)).unwrap_or_default();
        if let Some(receipt) = receipts.first() {
            return receipt.clone();
        }
        assert!(Instant::now() < deadline, "no receipt of run `{run}`");
    }
}

/// The page of metrics.
fn metrics(house: &House) -> String {
    use std::io::{Read as _, Write as _};
    let mut page = std::net::TcpStream::connect(house.addr("metrics").unwrap()).unwrap();
    page.write_all(b"GET /metrics HTTP/1.1\r\nHost: clyra\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    page.read_to_string(&mut text).unwrap();
    text
}
