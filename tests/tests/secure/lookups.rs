//! Users whom the server itself keeps, the gateway's own password in its several forms, and those who fail again and again.

use crate::{
    logins::{BY_SCRAM, Scene, WHO},
    psql, soon,
};
use std::{net::SocketAddr, time::Instant};

const BY_QUERY: &str = "auth_query: {query: 'select verifier_of($1)', database: postgres, ttl_s: 1}\n\
                        upstream: {user: app, password_file: password}\n";
const FUNCTION: &str = "create function verifier_of(text) returns text language sql security definer as \
                        'select rolpassword from pg_catalog.pg_authid where rolname = $1 and rolcanlogin \
                        and (rolvaliduntil is null or rolvaliduntil > now())'";

fn wrong(user: &str) -> String {
    format!("clyra: password authentication failed for user \"{user}\"")
}

/// What psql says, once it says this.
fn until(gate: SocketAddr, options: &str, word: &str) {
    let deadline = soon();
    loop {
        let (_, said) = psql(gate, options, WHO);
        if said.contains(word) {
            return;
        }
        assert!(Instant::now() < deadline, "{options}: {said}");
    }
}

#[tokio::test]
async fn users_are_looked_up_at_the_server() {
    let mut scene = Scene::new("scram-sha-256").await;
    scene.server.by_socket(FUNCTION).await.unwrap();
    scene.server.by_socket("create role old login").await.unwrap();
    let house = scene.house(BY_QUERY, &[]).await;
    let gate = house.addr("listen").unwrap();
    assert_eq!(psql(gate, "user=ann sslmode=disable", WHO), (true, "app shop".to_owned()));
    for user in ["eve", "old", "o'neill\\\\"] {
        let (done, said) = psql(gate, &format!("user={user} sslmode=disable").replace('\'', "\\'"), WHO);
        assert!(!done && said.contains("password authentication failed"), "{said}");
    }
    // The right user with another password reads the same words as a user who does not exist.
    scene.server.by_socket("alter role ann password 'another'").await.unwrap();
    until(gate, "user=ann sslmode=disable", &wrong("ann"));
    scene.server.by_socket("alter role ann password 'pw'").await.unwrap();
    until(gate, "user=ann sslmode=disable", "app shop");
    // A password that has ended is none.
    scene.server.by_socket("alter role ann valid until '2001-01-01'").await.unwrap();
    until(gate, "user=ann sslmode=disable", &wrong("ann"));
    scene.server.by_socket("alter role ann valid until 'infinity'").await.unwrap();
    until(gate, "user=ann sslmode=disable", "app shop");
    // A query that fails lets nobody in, and says so.
    scene.server.by_socket("drop function verifier_of").await.unwrap();
    until(
        gate,
        "user=ann sslmode=disable",
        "users cannot be looked up at the server behind the gate (42883)",
    );
}

#[tokio::test]
async fn passwords_come_from_the_environment_and_anew_when_refused() {
    let mut scene = Scene::new("scram-sha-256").await;
    let variable = env!("CARGO_MANIFEST_DIR");
    scene.server.by_socket(&format!("alter role app password '{variable}'")).await.unwrap();
    let flags = ["--upstream-password-env", "CARGO_MANIFEST_DIR"];
    let house = scene.house("users: users.txt\nupstream: {user: app}\n", &flags).await;
    let options = "user=ann sslmode=disable";
    assert_eq!(psql(house.addr("listen").unwrap(), options, WHO), (true, "app shop".to_owned()));
    let sql = "select current_setting('client_connection_check_interval')";
    assert_eq!(psql(house.addr("listen").unwrap(), options, sql), (true, "10s".to_owned()));
    let chosen = "user=ann sslmode=disable options='-c client_connection_check_interval=3s'";
    assert_eq!(psql(house.addr("listen").unwrap(), chosen, sql), (true, "3s".to_owned()));
    let file = scene.path("password").display().to_string();
    let login = format!(
        "users: users.txt\nupstream: {{user: app, password_command: [cat, '{file}'], password_ttl_s: 3600}}\n"
    );
    scene.write("password", &format!("{variable}\n"));
    let house = scene.house(&login, &[]).await;
    let gate = house.addr("listen").unwrap();
    assert!(psql(gate, options, WHO).0);
    scene.server.by_socket("alter role app password 'turned'").await.unwrap();
    scene.write("password", "turned\n");
    assert_eq!(psql(gate, options, WHO), (true, "app shop".to_owned()), "the command ran again");
    scene.write("password", "wrong\n");
    assert!(psql(gate, options, WHO).0, "what was printed last still counts");
}

#[tokio::test]
async fn whoever_fails_again_and_again_waits() {
    let scene = Scene::new("scram-sha-256").await;
    let house = scene.house(BY_SCRAM, &[]).await;
    let gate = house.addr("listen").unwrap();
    for user in ["eve", "ann"] {
        let tries: Vec<String> = (0..7)
            .map(|_| {
                psql(gate, &format!("user={user} passfile=/dev/null sslmode=disable password=no"), WHO).1
            })
            .collect();
        assert!(tries[0].contains(&wrong(user)), "{}", tries[0]);
        assert!(tries[6].contains("too many failed logins"), "{user}: {}", tries[6]);
    }
    assert!(
        psql(gate, "user=ann sslmode=disable", WHO).1.contains("too many"),
        "the right password waits, too"
    );
    until(gate, "user=ann sslmode=disable", "app shop");
    let metrics = crate::metrics(&house);
    let line = metrics.lines().find(|line| line.starts_with("clyra_logins_throttled_total ")).unwrap();
    assert!(line.rsplit(' ').next().unwrap().parse::<u64>().unwrap() >= 3, "{line}");
}
