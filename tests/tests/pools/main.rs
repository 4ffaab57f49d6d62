//! Journeys through pools: connections to the server are shared, and nobody notices.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bounds;
mod busy;
mod duties;
mod secure;
mod sessions;
mod transactions;

use clyra_tests::{House, Server, shadow};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio_postgres::Client;

/// A server, and a house before it at which `ann` logs in and goes on as `app`.
struct Scene {
    _folder: TempDir,
    _server: Server,
    house: House,
}

impl Scene {
    async fn new(flags: &[&str]) -> Self {
        Self::under(&shadow(), flags).await
    }

    /// A scene under another policy than the usual one.
    async fn under(policy: &str, flags: &[&str]) -> Self {
        let rules = "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all app 127.0.0.1/32 scram-sha-256\n";
        let mut server = Server::start(rules).await.unwrap();
        server
            .by_socket("create role ann login password 'pw'; create role app login password 'of the app'")
            .await
            .unwrap();
        let folder = clyra_tests::open_folder().unwrap();
        let own = clyra_tests::connect(server.addr, "").await.unwrap();
        let row =
            own.query_one("select rolpassword from pg_authid where rolname = 'ann'", &[]).await.unwrap();
        own.batch_execute("grant all on schema public to app").await.unwrap();
        let write = |name: &str, text: &str| -> PathBuf {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        write("users.txt", &format!("\"ann\" \"{}\"\n", row.get::<_, &str>(0)));
        write("password", "of the app\n");
        let login =
            write("login.yaml", "users: users.txt\nupstream:\n  user: app\n  password_file: password\n");
        let upstream = format!("postgres://{}/shop", server.addr);
        let login = login.display().to_string();
        let flags = [&["--upstream", &upstream, "--login", &login], flags].concat();
        let house = House::start_with(policy, &flags).await.unwrap();
        Self { _folder: folder, _server: server, house }
    }

    async fn ann(&self) -> Client {
        self.ann_with("").await
    }

    async fn ann_with(&self, options: &str) -> Client {
        self.house.through(&format!("user=ann password=pw {options}")).await.unwrap()
    }

    /// Sessions of the gateway's pools at the server.
    async fn sessions(&self) -> i64 {
        let own = self.house.directly().await.unwrap();
        let count = "select count(*) from pg_stat_activity \
            where usename = 'app' and application_name <> 'clyra catalog'";
        own.query_one(count, &[]).await.unwrap().get(0)
    }
}

/// The number of the server's session.
async fn process(client: &Client) -> i32 {
    client.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0)
}

/// What one statement says as text, by a simple query.
async fn said(client: &Client, sql: &str) -> Option<String> {
    let rows = client.simple_query(sql).await.unwrap();
    rows.iter().find_map(|row| match row {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}

/// Until when something must have come true.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}
