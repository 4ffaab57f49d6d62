//! Looks, before anything is started, whether addresses are free and the upstream is a PostgreSQL server. It keeps
//! nothing open.

use crate::error::Error;
use clyra_gateway::Upstream;
use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    time::timeout,
};

/// The four addresses that a house listens on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doors {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) recorder: SocketAddr,
}

impl Doors {
    /// Four free ports of this machine, chosen by the system.
    pub(crate) fn any() -> Self {
        let any = crate::standing::loopback(0);
        Self { listen: any, admin: any, metrics: any, recorder: any }
    }

    /// Opens all four at once, so that two flags with one address are found too, and lets them go.
    ///
    /// # Errors
    /// The first that cannot be listened on.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let mut open = Vec::new();
        for (flag, address) in self.flags() {
            open.push(TcpListener::bind(address).map_err(|error| taken(flag, address, &error))?);
        }
        Ok(())
    }

    /// Those, but the listener, that other machines can reach: they have no login yet.
    pub(crate) fn exposed(&self) -> impl Iterator<Item = (&'static str, SocketAddr)> {
        self.flags().into_iter().skip(1).filter(|(_, address)| !address.ip().is_loopback())
    }

    fn flags(&self) -> [(&'static str, SocketAddr); 4] {
        [
            ("--listen", self.listen),
            ("--admin", self.admin),
            ("--metrics", self.metrics),
            ("--recorder", self.recorder),
        ]
    }
}

/// Why this address cannot be listened on, and what to do.
pub(crate) fn taken(flag: &'static str, address: SocketAddr, error: &io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("stop what listens there (`ss -ltnp` shows it), or choose another with {flag} HOST:PORT")
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".into(),
        io::ErrorKind::PermissionDenied => "ports below 1024 are for root; choose a higher one".into(),
        _ => format!("choose another address with {flag} HOST:PORT"),
    };
    Error::Taken { flag, address: address.to_string(), why: error.to_string(), hint }
}

/// Asks the upstream whether it speaks PostgreSQL, by an SSLRequest that it must answer with one byte.
///
/// # Errors
/// It does not answer, or not like a PostgreSQL server.
pub(crate) async fn greet(upstream: &Upstream) -> Result<(), Error> {
    let no = |why: String, hint: &str| Error::Unreachable {
        what: "the upstream",
        address: upstream.to_string(),
        why,
        hint: hint.into(),
    };
    let asked = timeout(GREETED_WITHIN, async {
        match upstream.socket() {
            Some(path) => ask(UnixStream::connect(path).await?).await,
            None => ask(TcpStream::connect((upstream.host.as_str(), upstream.port)).await?).await,
        }
    });
    match asked.await {
        Ok(Ok(b'S' | b'N' | b'E')) => Ok(()),
        Ok(Ok(_)) => Err(no("it answers, but not like a PostgreSQL server".into(), "check --upstream")),
        Ok(Err(error)) => {
            Err(no(error.to_string(), "start that server, or check host and port of --upstream"))
        }
        Err(_) => Err(no(
            format!("no answer within {} seconds", GREETED_WITHIN.as_secs()),
            "check host and port of --upstream, and the firewall",
        )),
    }
}

async fn ask(mut server: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<u8> {
    server.write_all(&SSL_REQUEST).await?;
    server.read_u8().await
}

/// Length 8, code 1234 5679 (PostgreSQL protocol, SSLRequest).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const GREETED_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_address_names_its_flag() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let doors = Doors { metrics: holder.local_addr().unwrap(), ..Doors::any() };
        let error = doors.check().unwrap_err();
        assert_eq!(error.exit_code(), 4);
        assert!(error.to_string().starts_with("--metrics"), "{error}");
        drop(holder);
        doors.check().unwrap();
        let twice = Doors { listen: doors.metrics, ..doors };
        assert!(twice.check().unwrap_err().to_string().starts_with("--metrics"));
    }

    #[test]
    fn doors_open_to_the_world_are_named() {
        let doors = Doors { admin: "0.0.0.0:6433".parse().unwrap(), ..Doors::any() };
        assert_eq!(doors.exposed().map(|(flag, _)| flag).collect::<Vec<_>>(), ["--admin"]);
    }

    #[tokio::test]
    async fn only_a_postgres_server_is_one() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            for answer in [b'N', b'H'] {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut request = [0; 8];
                client.read_exact(&mut request).await.unwrap();
                assert_eq!(request, SSL_REQUEST);
                client.write_u8(answer).await.unwrap();
            }
        });
        let upstream = Upstream::parse(&format!("postgres://127.0.0.1:{port}/shop")).unwrap();
        greet(&upstream).await.unwrap();
        assert_eq!(greet(&upstream).await.unwrap_err().exit_code(), 3);
        server.await.unwrap();
        assert_eq!(greet(&upstream).await.unwrap_err().exit_code(), 3);
    }
}
