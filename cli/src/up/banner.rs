//! What `clyra up` says once it is ready: where everything is, and three things to try. It prints nothing itself.

use super::House;
use crate::{standing::Standing, tell::counted};
use std::{env, path::Path};

/// The words; every command in them works as it stands.
pub(super) fn text(house: &House) -> String {
    let standing = house.standing();
    let policy = house.policy();
    let upstream = match house.cluster() {
        Some(cluster) => format!(
            "{} (own cluster, {}, in {})",
            standing.upstream,
            cluster.version(),
            cluster.folder().display()
        ),
        None => standing.upstream.clone(),
    };
    let lines = [
        ("connect", connect(standing)),
        ("upstream", upstream),
        (
            "policy",
            format!(
                "{}, version {}, mode {}, {}",
                policy.name,
                policy.version,
                policy.mode,
                counted(policy.rules.into(), "rule")
            ),
        ),
        ("", format!("{} (edit it, then kill -HUP {})", standing.policy.display(), standing.pid)),
        ("admin", format!("{} (gRPC)", standing.admin)),
        ("metrics", format!("http://{}/metrics", standing.metrics)),
        ("evidence", house.folder().join("recorder").display().to_string()),
        ("trust", format!("{} (for whoever shall verify)", standing.trust.display())),
    ];
    let mut text = format!("clyra is up (pid {})\n\n", standing.pid);
    for (name, value) in lines {
        text.push_str(&format!("  {name:<9} {value}\n"));
    }
    text.push_str("\nThree things to try, in another terminal:\n");
    for (number, command) in (1..).zip(tries(house)) {
        text.push_str(&format!("  {number}. {command}\n"));
    }
    text.push_str("\nCtrl-C stops it.");
    text
}

/// A psql line that gets in.
fn connect(standing: &Standing) -> String {
    let (host, port) = (standing.listen.ip(), standing.listen.port());
    let host = if host.is_unspecified() { "127.0.0.1".to_owned() } else { host.to_string() };
    let database = database(&standing.upstream);
    let user = if database == "shop" { "user=app " } else { "" };
    format!("psql \"host={host} port={port} {user}dbname={database}\"")
}

fn tries(house: &House) -> [String; 3] {
    let standing = house.standing();
    let clyra = program();
    let data = house.folder().display();
    let statement =
        if house.cluster().is_some() { "UPDATE orders SET note = 'seen' WHERE id = 7" } else { "SELECT 1" };
    let second = if house.cluster().is_some() {
        format!("{clyra} demo --data {data}")
    } else {
        format!("{clyra} status --data {data}")
    };
    [
        format!("{clyra} run --data {data} -- {} -c \"{statement}\"", connect(standing)),
        second,
        format!(
            "{clyra} kill set --reason \"trying it\" --data {data} && {clyra} kill release --reason \"tried\" --data {data}"
        ),
    ]
}

fn database(upstream: &str) -> &str {
    let place = upstream.split_once("://").map_or(upstream, |(_, place)| place);
    let name = place.split_once('/').map_or("", |(_, name)| name);
    let name = name.split_once('?').map_or(name, |(name, _)| name);
    if name.is_empty() { "postgres" } else { name }
}

/// How this program can be called again: by its name when the path leads to it.
fn program() -> String {
    let Ok(here) = env::current_exe() else { return "clyra".into() };
    let on_path = env::var_os("PATH").is_some_and(|path| {
        let first = env::split_paths(&path).map(|folder| folder.join("clyra")).find(|file| file.is_file());
        first.is_some_and(|file| same(&file, &here))
    });
    if on_path { "clyra".into() } else { here.display().to_string() }
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_a_url() {
        assert_eq!(database("postgres://db:5432/shop?sslmode=disable"), "shop");
        assert_eq!(database("postgres://db:5432"), "postgres");
        assert_eq!(database("postgres://db/"), "postgres");
    }
}
