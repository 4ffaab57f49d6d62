//! What a gateway is told at its start. It reads no file and no environment.

use clyra_spec::Mode;
use std::{fmt, net::SocketAddr, path::PathBuf};

/// Settings of one gateway process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where PostgreSQL clients connect.
    pub listen: SocketAddr,
    /// Where the admin gRPC service listens.
    pub admin: SocketAddr,
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    pub metrics: SocketAddr,
    /// Folder for keys, kill switch and outbox.
    pub data: PathBuf,
    /// The server behind the gate.
    pub upstream: Upstream,
    /// The policy file; the built-in starter policy where there is none.
    pub policy_file: Option<PathBuf>,
    /// Takes the place of the policy file's mode.
    pub mode: Option<Mode>,
    /// The recorder's gRPC address.
    pub recorder: SocketAddr,
    /// Threads of the data path.
    pub workers: usize,
    /// Bounds of the door for clients.
    pub limits: crate::Limits,
}

/// The server behind the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Host name, IP address, or folder of a unix socket.
    pub host: String,
    /// TCP port, or the number in the unix socket's name.
    pub port: u16,
    /// Database that the URL names; only shown to people, clients choose their own.
    pub database: Option<String>,
}

/// Why an upstream URL is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "upstream `{url}`: {why}; expected `postgres://HOST[:PORT][/DATABASE][?sslmode=disable]` or `postgres:///DATABASE?host=/SOCKET/FOLDER`"
)]
pub struct UpstreamError {
    url: String,
    why: String,
}

impl Upstream {
    /// Reads `postgres://HOST[:PORT][/DATABASE][?host=FOLDER&port=N&sslmode=disable|prefer]`.
    ///
    /// # Errors
    /// When the text is something else, carries a user or password (clients log in with their own), or asks for TLS.
    pub fn parse(url: &str) -> Result<Self, UpstreamError> {
        let fail = |why: &str| UpstreamError { url: shown(url), why: why.to_owned() };
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or_else(|| fail("no `postgres://` in front"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(fail("it carries a user; clients log in with their own"));
        }
        let (mut host, mut port) = host_and_port(authority).ok_or_else(|| fail("the port is not a port"))?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("host", folder)) => host = folder.replace("%2F", "/"),
                Some(("port", number)) => {
                    port = number.parse().map_err(|_| fail("the port is not a port"))?
                }
                Some(("sslmode", "disable" | "prefer" | "allow")) => {}
                Some(("sslmode", mode)) => {
                    return Err(fail(&format!(
                        "sslmode `{mode}` is not spoken yet, `disable` and `prefer` are"
                    )));
                }
                _ => return Err(fail(&format!("unknown parameter `{pair}`"))),
            }
        }
        if host.is_empty() {
            return Err(fail("no host"));
        }
        let database = (!database.is_empty()).then(|| database.to_owned());
        Ok(Self { host, port, database })
    }

    /// Path of the unix socket, where the host is a folder.
    pub fn socket(&self) -> Option<PathBuf> {
        self.host.starts_with('/').then(|| PathBuf::from(format!("{}/.s.PGSQL.{}", self.host, self.port)))
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn host_and_port(authority: &str) -> Option<(String, u16)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return Some((host.to_owned(), port.strip_prefix(':').map_or(Some(PORT), |p| p.parse().ok())?));
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host.to_owned(), port.parse().ok()?)),
        None => Some((authority.to_owned(), PORT)),
    }
}

/// The URL without a password that somebody may have put into it.
fn shown(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => url.to_owned(),
    }
}

const PORT: u16 = 5432;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_refused() {
        let parsed = |url: &str| Upstream::parse(url).map(|u| (u.host, u.port, u.database));
        let shop = || Some("shop".to_owned());
        assert_eq!(parsed("postgres://db:6000/shop"), Ok(("db".into(), 6000, shop())));
        assert_eq!(parsed("postgresql://db?sslmode=disable"), Ok(("db".into(), 5432, None)));
        assert_eq!(parsed("postgres://[::1]:5/"), Ok(("::1".into(), 5, None)));
        assert_eq!(parsed("postgres:///shop?host=/run/pg&port=7"), Ok(("/run/pg".into(), 7, shop())));
        for (url, why) in [
            ("db:5432", "no `postgres://`"),
            ("postgres://db:x", "not a port"),
            ("postgres://ann:pw@db", "carries a user"),
            ("postgres://db?sslmode=require", "`require`"),
            ("postgres:///shop", "no host"),
            ("postgres://db?x=1", "`x=1`"),
        ] {
            let message = Upstream::parse(url).unwrap_err().to_string();
            assert!(message.contains(why) && !message.contains("pw"), "{message}");
        }
    }
}
