//! What a gateway is told at its start. It reads no file and no environment.

use clyra_spec::Mode;
use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

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
    /// A file that raises the kill switch while it stands.
    pub kill_file: Option<PathBuf>,
    /// What the policy file must show.
    pub signing: Signing,
    /// The recorder's gRPC address.
    pub recorder: SocketAddr,
    /// Threads of the data path.
    pub workers: usize,
    /// TLS towards clients; without it nobody is offered any.
    pub tls: Option<ClientTls>,
    /// The login file; without it clients log in at the server.
    pub login: Option<PathBuf>,
    /// The gateway's own password at the server, where the login file names none.
    pub upstream_password: Option<String>,
    /// Bounds of the door for clients.
    pub limits: crate::Limits,
    /// How connections to the server are shared; without it each client has its own, opened with it. It needs `login`.
    pub pool: Option<PoolSettings>,
    /// Where the gateway learns what the database defines; without it statements are judged by their text alone.
    pub catalog: Option<CatalogSettings>,
}

/// How the gateway learns what the databases behind it define.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogSettings {
    /// From where.
    pub source: CatalogSource,
    /// How often it looks whether anything has changed.
    pub refresh: Duration,
    /// How old what it knows may become.
    pub age_max: Duration,
}

/// From where a catalog comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogSource {
    /// A file, as `clyra policy catalog` writes it; for the one database that it was taken of.
    File(PathBuf),
    /// The server, with the gateway's own credentials of the login file.
    Own,
    /// A server, with a login for that alone.
    Login {
        /// The server.
        upstream: Upstream,
        /// As whom.
        user: String,
        /// With what.
        password: Option<String>,
    },
}

/// How connections to the server are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// For how long a client keeps a connection.
    pub lease: Lease,
    /// Most connections for each user and database.
    pub size: usize,
    /// How long a client may wait for one.
    pub wait_max: Duration,
    /// How long a connection may rest before it is closed.
    pub idle_max: Duration,
    /// How old a connection may become.
    pub lifetime_max: Duration,
    /// What happens to a client that leaves something in its session.
    pub state: PoolState,
}

/// For how long a client keeps a connection to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// As long as it is connected.
    Session,
    /// From the first statement of a transaction to its end.
    Transaction,
}

/// What happens in a pool of transactions to a statement that leaves something in the server's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolState {
    /// The client keeps the connection from then on.
    Pin,
    /// It is refused.
    Refuse,
}

/// Whose signature a policy file must bear.
#[derive(Clone, Debug, Default)]
pub struct Signing {
    /// Keys of the policy's owners; where there are any, every policy file is signed by one of them.
    pub keys: Vec<clyra_seal::key::VerifyingKey>,
    /// Without keys: a policy that enforces may be unsigned, too.
    pub allow_unsigned: bool,
    /// Without keys: digest of a policy that the caller has made itself, which needs no signature.
    pub own: Option<String>,
}

/// TLS towards clients: PEM files, read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// The gateway's certificate, with those between it and its root.
    pub cert: PathBuf,
    /// The private key to it.
    pub key: PathBuf,
    /// Roots for clients' certificates; where there are any, a client without a certificate is turned away.
    pub client_ca: Option<PathBuf>,
    /// Lists of clients' certificates that were revoked.
    pub client_crl: Option<PathBuf>,
    /// Clients without TLS are turned away.
    pub required: bool,
}

/// TLS towards the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// What is asked of the server.
    pub mode: SslMode,
    /// Roots that the server's certificate must lead to.
    pub root: Option<PathBuf>,
    /// A certificate to show to the server.
    pub cert: Option<PathBuf>,
    /// The private key to it.
    pub key: Option<PathBuf>,
}

/// What TLS towards the server must show; the words are libpq's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    /// Plain text.
    #[default]
    Disable,
    /// TLS where the server speaks it, plain text otherwise.
    Prefer,
    /// TLS with anybody; with named roots as `VerifyCa`.
    Require,
    /// TLS with a certificate that leads to a named root.
    VerifyCa,
    /// As `VerifyCa`, and the certificate names the host.
    VerifyFull,
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
    /// TLS on the way to it.
    pub tls: UpstreamTls,
}

/// Why an upstream URL is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "upstream `{url}`: {why}; expected `postgres://HOST[:PORT][/DATABASE][?sslmode=MODE&sslrootcert=FILE]` or `postgres:///DATABASE?host=/SOCKET/FOLDER`"
)]
pub struct UpstreamError {
    url: String,
    why: String,
}

impl Upstream {
    /// Reads `postgres://HOST[:PORT][/DATABASE]` with the parameters `host` (a folder), `port`, `sslmode` (`disable`,
    /// `prefer`, `require`, `verify-ca`, `verify-full`), `sslrootcert`, `sslcert` and `sslkey` (files).
    ///
    /// # Errors
    /// When the text is something else, carries a user or password (the gateway's own stand in its login file), or
    /// asks for a verification without roots.
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
        let (host, port) = host_and_port(authority).ok_or_else(|| fail("the port is not a port"))?;
        let database = (!database.is_empty()).then(|| database.to_owned());
        let mut upstream = Self { host, port, database, tls: UpstreamTls::default() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            upstream.take(pair).map_err(|why| fail(&why))?;
        }
        if upstream.host.is_empty() {
            return Err(fail("no host"));
        }
        upstream.tls.check().map_err(fail)?;
        Ok(upstream)
    }

    fn take(&mut self, pair: &str) -> Result<(), String> {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(format!("unknown parameter `{pair}`"));
        };
        let path = || Some(PathBuf::from(value.replace("%2F", "/")));
        match name {
            "host" => self.host = value.replace("%2F", "/"),
            "port" => self.port = value.parse().map_err(|_| "the port is not a port")?,
            "sslmode" => {
                self.tls.mode = SslMode::parse(value).ok_or_else(|| {
                    format!(
                        "sslmode `{value}` is not known; allowed: disable, prefer, require, verify-ca, verify-full"
                    )
                })?;
            }
            "sslrootcert" => self.tls.root = path(),
            "sslcert" => self.tls.cert = path(),
            "sslkey" => self.tls.key = path(),
            _ => return Err(format!("unknown parameter `{pair}`")),
        }
        Ok(())
    }

    /// Path of the unix socket, where the host is a folder.
    pub fn socket(&self) -> Option<PathBuf> {
        self.host.starts_with('/').then(|| PathBuf::from(format!("{}/.s.PGSQL.{}", self.host, self.port)))
    }
}

impl UpstreamTls {
    fn check(&self) -> Result<(), &'static str> {
        if matches!(self.mode, SslMode::VerifyCa | SslMode::VerifyFull) && self.root.is_none() {
            return Err("this sslmode verifies the server and needs `sslrootcert=FILE`");
        }
        if self.cert.is_some() != self.key.is_some() {
            return Err("`sslcert` and `sslkey` come together");
        }
        if self.mode == SslMode::Disable && (self.root.is_some() || self.cert.is_some()) {
            return Err("certificates are named, but no `sslmode` that uses them");
        }
        Ok(())
    }
}

impl SslMode {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            // libpq tries plain text first with `allow`, and nobody here could tell it to stop.
            "disable" | "allow" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
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
            ("postgres://db?sslmode=on", "`on`"),
            ("postgres://db?sslmode=verify-full", "`sslrootcert=FILE`"),
            ("postgres://db?sslmode=require&sslcert=c.pem", "come together"),
            ("postgres://db?sslrootcert=ca.pem", "no `sslmode`"),
            ("postgres:///shop", "no host"),
            ("postgres://db?x=1", "`x=1`"),
        ] {
            let message = Upstream::parse(url).unwrap_err().to_string();
            assert!(message.contains(why) && !message.contains("pw"), "{message}");
        }
        let tls =
            Upstream::parse("postgres://db/shop?sslmode=verify-full&sslrootcert=%2Fetc/ca.pem").unwrap().tls;
        assert_eq!(tls.mode, SslMode::VerifyFull);
        assert_eq!(tls.root, Some("/etc/ca.pem".into()));
    }
}
