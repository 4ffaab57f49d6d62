//! Where a cluster's files are, owned by whoever runs the server. It never moves or removes a finished cluster.

use super::programs::{Programs, Runner};
use crate::error::Error;
use std::{
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, chown, symlink},
    },
    path::{Path, PathBuf},
};
use tokio::process::Command;

/// The folder of one cluster: `data/` (PostgreSQL's own), `socket/`, `server.log`.
#[derive(Debug)]
pub(super) struct Home {
    folder: PathBuf,
    socket: PathBuf,
    /// Kept only to be removed at the end, when the socket's path would have been too long for the system.
    _short: Option<tempfile::TempDir>,
}

impl Home {
    /// Finds or makes the folder `postgres` in the data folder. When the server's user cannot pass the way there,
    /// the cluster lives in `/var/lib/clyra` and `postgres` is a link to it.
    pub(super) fn open(data: &Path, runner: Option<Runner>, say: &dyn Fn(&str)) -> Result<Self, Error> {
        let wanted = data.join("postgres");
        let exists = fs::metadata(&wanted).is_ok();
        let folder = match runner {
            _ if exists => wanted,
            None => made(wanted, None)?,
            Some(runner) => {
                let_through(data)?;
                match runner.barrier(data) {
                    None => made(wanted, Some(runner))?,
                    Some(barrier) => {
                        say(&format!(
                            "user `postgres` may not pass `{}`, so the cluster lives in {ELSEWHERE}; \
                             --data DIR chooses another place",
                            barrier.display()
                        ));
                        elsewhere(&wanted, runner)?
                    }
                }
            }
        };
        let folder = fs::canonicalize(&folder).map_err(|error| Error::file(&folder, "open it", &error))?;
        if let Some(barrier) = runner.and_then(|runner| runner.barrier(&folder)) {
            return Err(Error::Data {
                why: format!("user `postgres`, who runs the server, may not pass `{}`", barrier.display()),
                hint: format!("chmod o+x {}, or choose another place with --data DIR", barrier.display()),
                path: folder,
            });
        }
        Self::with_socket(folder, runner)
    }

    fn with_socket(folder: PathBuf, runner: Option<Runner>) -> Result<Self, Error> {
        let socket = folder.join("socket");
        if socket.as_os_str().as_bytes().len() + SOCKET_NAME_BYTES <= SOCKET_PATH_BYTES_MAX {
            let socket = made(socket, runner)?;
            return Ok(Self { folder, socket, _short: None });
        }
        let short = tempfile::Builder::new().prefix("clyra-").tempdir();
        let short =
            short.map_err(|error| Error::file(&std::env::temp_dir(), "make a folder in it", &error))?;
        let socket = made(short.path().join("s"), runner)?;
        let_through(short.path())?;
        Ok(Self { folder, socket, _short: Some(short) })
    }

    /// Runs `initdb` unless that was done before; `true` when it was done now.
    pub(super) async fn make(&self, programs: &Programs, runner: Option<Runner>) -> Result<bool, Error> {
        let data = self.data();
        if data.join("PG_VERSION").exists() {
            return Ok(false);
        }
        let mut said = String::new();
        // The C.UTF-8 locale is everywhere on Linux, not everywhere else.
        for locale in ["C.UTF-8", "C"] {
            let unfinished = self.folder.join("data.new");
            match fs::remove_dir_all(&unfinished) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::file(&unfinished, "remove it", &error));
                }
                _ => {}
            }
            let mut command = as_runner(&programs.initdb, runner);
            command.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale", locale, "-D"]);
            let output = command.arg(&unfinished).output().await.map_err(|error| Error::Cluster {
                why: format!("`{}` does not run: {error}", programs.initdb.display()),
                hint: "name the folder of PostgreSQL's programs with --pg-bin DIR".into(),
            })?;
            if output.status.success() {
                fs::rename(&unfinished, &data).map_err(|error| Error::file(&data, "put it there", &error))?;
                return Ok(true);
            }
            said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        }
        Err(Error::Data {
            path: self.folder.clone(),
            why: format!("initdb failed:\n{said}"),
            hint: "see what it says; a full disk and wrong rights are the usual causes".into(),
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    pub(super) fn log_hint(&self) -> String {
        format!("its log is `{}`", self.log().display())
    }
}

/// A command that runs as the server's user, in a folder that everybody may enter, apart from our terminal's
/// signals: it is stopped after the gateway, not beside it.
pub(super) fn as_runner(program: &Path, runner: Option<Runner>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").process_group(0).stdin(std::process::Stdio::null());
    if let Some(runner) = runner {
        command.uid(runner.uid).gid(runner.gid);
    }
    command
}

fn made(folder: PathBuf, runner: Option<Runner>) -> Result<PathBuf, Error> {
    let make = || -> io::Result<()> {
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        runner.map_or(Ok(()), |runner| chown(&folder, Some(runner.uid), Some(runner.gid)))
    };
    make().map_err(|error| Error::file(&folder, "make it", &error))?;
    Ok(folder)
}

/// Lets other users pass through a folder of ours without seeing what is in it.
fn let_through(folder: &Path) -> Result<(), Error> {
    let open = || -> io::Result<()> {
        let mode = fs::metadata(folder)?.mode();
        fs::set_permissions(folder, fs::Permissions::from_mode(mode | 0o011))
    };
    open().map_err(|error| Error::file(folder, "let others pass", &error))
}

fn elsewhere(link: &Path, runner: Runner) -> Result<PathBuf, Error> {
    let make = || -> io::Result<PathBuf> {
        fs::create_dir_all(ELSEWHERE)?;
        let folder = tempfile::Builder::new().prefix("cluster-").tempdir_in(ELSEWHERE)?.keep();
        // A link left by a cluster that somebody has removed would be in the way.
        if fs::symlink_metadata(link).is_ok() {
            fs::remove_file(link)?;
        }
        symlink(&folder, link)?;
        Ok(folder)
    };
    let folder =
        make().map_err(|error| Error::file(Path::new(ELSEWHERE), "make a cluster's folder in it", &error))?;
    made(folder, Some(runner))
}

const ELSEWHERE: &str = "/var/lib/clyra";
/// `sun_path` holds 108 bytes, one of them a zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;
const SOCKET_NAME_BYTES: usize = "/.s.PGSQL.65535.lock".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deep_folder_gets_a_short_socket() {
        let top = tempfile::tempdir().unwrap();
        let shallow = Home::open(top.path(), None, &|_| {}).unwrap();
        assert!(shallow.socket().starts_with(shallow.folder()));
        let deep = top.path().join("d".repeat(100));
        fs::create_dir(&deep).unwrap();
        let deep = Home::open(&deep, None, &|_| {}).unwrap();
        assert!(!deep.socket().starts_with(deep.folder()));
        assert!(deep.socket().as_os_str().len() + SOCKET_NAME_BYTES <= SOCKET_PATH_BYTES_MAX);
    }
}
