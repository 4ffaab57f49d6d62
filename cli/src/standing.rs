//! Where a running house can be found: `up.json` in its data folder. It never decides whether the house lives; the
//! lock does that.

use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    net::{SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
};

/// The record that `clyra up` leaves in its data folder while it is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Process id of `clyra up`.
    pub pid: u32,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// The gateway's admin gRPC.
    pub admin: SocketAddr,
    /// Prometheus metrics over HTTP.
    pub metrics: SocketAddr,
    /// The recorder's gRPC.
    pub recorder: SocketAddr,
    /// The server behind the gateway, as a URL without password.
    pub upstream: String,
    /// The trust file.
    pub trust: PathBuf,
    /// The policy file.
    pub policy: PathBuf,
}

/// What people can say about which house a command is for.
#[derive(Clone, Debug, clap::Args)]
pub struct Which {
    /// Data folder of the running `clyra up`
    #[arg(long, value_name = "DIR", default_value = "clyra-data")]
    pub data: PathBuf,
    /// Address of the gateway's admin gRPC [default: as in DIR/up.json, else 127.0.0.1:6433]
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub admin: Option<SocketAddr>,
}

impl Which {
    /// The admin address: the flag, else what the data folder says, else the default.
    ///
    /// # Errors
    /// A damaged `up.json`.
    pub fn admin(&self) -> Result<SocketAddr, Error> {
        if let Some(admin) = self.admin {
            return Ok(admin);
        }
        Ok(Standing::read(&self.data)?.map_or(DEFAULT_ADMIN, |standing| standing.admin))
    }
}

/// The recorder's address: the flag, else what the data folder says, else the default.
///
/// # Errors
/// A damaged `up.json`.
pub(crate) fn recorder_of(flag: Option<SocketAddr>, data: &Path) -> Result<SocketAddr, Error> {
    if let Some(recorder) = flag {
        return Ok(recorder);
    }
    Ok(Standing::read(data)?.map_or(DEFAULT_RECORDER, |standing| standing.recorder))
}

impl Standing {
    /// Path of the record in this data folder.
    pub(crate) fn path(data: &Path) -> PathBuf {
        data.join("up.json")
    }

    /// The record of this data folder; `None` when nothing runs there.
    ///
    /// # Errors
    /// The file is there but cannot be read or understood.
    pub(crate) fn read(data: &Path) -> Result<Option<Self>, Error> {
        let path = Self::path(data);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file(&path, "read it", &error)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::Data {
            path,
            why: format!("not understood: {error}"),
            hint: "remove it and start `clyra up` again".into(),
        })
    }

    /// Writes the record: readers see the whole of it or nothing.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(crate) fn write(&self, data: &Path) -> Result<(), Error> {
        let mut line = serde_json::to_vec(self)
            .map_err(|error| Error::Ours { doing: "writing up.json", why: error.to_string() })?;
        line.push(b'\n');
        write_whole(&Self::path(data), &line)
    }

    /// Removes the record, if there is one.
    ///
    /// # Errors
    /// The disk does not let it go.
    pub(crate) fn remove(data: &Path) -> Result<(), Error> {
        let path = Self::path(data);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file(&path, "remove it", &error))
            }
            _ => Ok(()),
        }
    }
}

/// Writes a file so that readers, and a machine that loses power, see the old bytes or the new ones.
///
/// # Errors
/// The disk does not take it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    use io::Write as _;
    let folder = folder_of(path)?;
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        fs::File::open(folder)?.sync_all()
    };
    write().map_err(|error| Error::file(path, "write it", &error))
}

/// The folder of a file that is to be written.
///
/// # Errors
/// There is no such folder.
pub(crate) fn folder_of(path: &Path) -> Result<&Path, Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(Error::Usage(format!(
        "`{}` cannot be written: there is no folder `{}`",
        path.display(),
        folder.display()
    )))
}

/// An address to listen on or to talk to: `HOST:PORT`, `:PORT` or `PORT`; without a host, this machine only.
///
/// # Errors
/// It is none; the message says what one looks like.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = || format!("`{text}` is no address; write HOST:PORT, such as 127.0.0.1:6432, or only a PORT");
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse() {
        return Ok(loopback(port));
    }
    let mut found: Vec<SocketAddr> = text.to_socket_addrs().map_err(|_| wrong())?.collect();
    // `localhost` may mean both families; clients try the older one too.
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied().ok_or_else(wrong)
}

const DEFAULT_ADMIN: SocketAddr = loopback(6433);
const DEFAULT_RECORDER: SocketAddr = loopback(6435);

/// An address of this machine that no other machine reaches.
pub(crate) const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> Standing {
        Standing {
            pid: 7,
            listen: loopback(1),
            admin: loopback(2),
            metrics: loopback(3),
            recorder: loopback(4),
            upstream: "postgres://127.0.0.1:5432/shop".into(),
            trust: "/d/trust.txt".into(),
            policy: "/d/policy.yaml".into(),
        }
    }

    #[test]
    fn is_read_back_as_written_and_gone_when_removed() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(Standing::read(data.path()).unwrap(), None);
        standing().write(data.path()).unwrap();
        assert_eq!(Standing::read(data.path()).unwrap(), Some(standing()));
        let which = Which { data: data.path().into(), admin: None };
        assert_eq!(which.admin().unwrap(), loopback(2));
        assert_eq!(recorder_of(Some(loopback(9)), data.path()).unwrap(), loopback(9));
        Standing::remove(data.path()).unwrap();
        assert_eq!(which.admin().unwrap(), DEFAULT_ADMIN);
        Standing::remove(data.path()).unwrap();
    }

    #[test]
    fn addresses() {
        assert_eq!(address("6432"), address("127.0.0.1:6432"));
        assert_eq!(address(":6432"), address("127.0.0.1:6432"));
        assert_eq!(address("localhost:6432"), address("127.0.0.1:6432"));
        assert_eq!(address("[::1]:0").unwrap().port(), 0);
        assert!(address("nowhere").unwrap_err().contains("HOST:PORT"));
        assert!(address("127.0.0.1:99999").is_err());
    }

    #[test]
    fn a_damaged_record_is_said_so() {
        let data = tempfile::tempdir().unwrap();
        fs::write(Standing::path(data.path()), "{").unwrap();
        assert_eq!(Standing::read(data.path()).unwrap_err().exit_code(), 5);
    }
}
