//! Finds PostgreSQL's own programs and the user that may run them. It starts nothing but `pg_config` and `id`.

use crate::error::Error;
use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

/// The two programs that a cluster needs, from one installation.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// Makes a cluster.
    pub initdb: PathBuf,
    /// Runs it.
    pub postgres: PathBuf,
}

/// The system user that runs the server when we are root, since PostgreSQL refuses root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Runner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Programs {
    /// Looks in `--pg-bin`, or else on the path, where Debian and Fedora put them (newest first), and where
    /// `pg_config` says.
    ///
    /// # Errors
    /// There are none; the message says how to get them.
    pub(crate) fn find(flag: Option<&Path>) -> Result<Self, Error> {
        if let Some(folder) = flag {
            return Self::within(folder).ok_or_else(|| {
                Error::Usage(format!(
                    "--pg-bin `{}` holds no programs `initdb` and `postgres`",
                    folder.display()
                ))
            });
        }
        let on_path = env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
        let places: [fn() -> Vec<PathBuf>; 2] = [installed, configured];
        std::iter::once(on_path)
            .chain(places.into_iter().map(|place| place()))
            .flatten()
            .find_map(|folder| Self::within(&folder))
            .ok_or_else(|| Error::Cluster {
                why: "no PostgreSQL server programs (`initdb`, `postgres`) on this machine".into(),
                hint: "install them (Debian, Ubuntu: apt-get install postgresql), name their folder with \
                       --pg-bin DIR, or bring a server of your own with --upstream postgres://HOST:PORT"
                    .into(),
            })
    }

    fn within(folder: &Path) -> Option<Self> {
        let programs = Self { initdb: folder.join("initdb"), postgres: folder.join("postgres") };
        (programs.initdb.is_file() && programs.postgres.is_file()).then_some(programs)
    }

    /// What the server calls itself, such as `PostgreSQL 15.18`.
    pub(crate) fn version(&self) -> String {
        let said = output(Command::new(&self.postgres).arg("--version")).unwrap_or_default();
        let number = said.split_whitespace().nth(2).unwrap_or("of unknown version");
        format!("PostgreSQL {number}")
    }
}

impl Runner {
    /// `None` when we are not root and run the server ourselves.
    ///
    /// # Errors
    /// We are root and there is no user `postgres`.
    pub(crate) fn find() -> Result<Option<Self>, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let number = |flag| output(Command::new("id").args([flag, "postgres"]))?.trim().parse().ok();
        match (number("-u"), number("-g")) {
            (Some(uid), Some(gid)) => Ok(Some(Self { uid, gid })),
            _ => Err(Error::Cluster {
                why: "PostgreSQL refuses to run as root, and there is no user `postgres` to run it as".into(),
                hint: "make one (useradd --system postgres), or run clyra as an ordinary user".into(),
            }),
        }
    }

    /// The first folder on the way to this one that the user may not pass; `None` when the way is free.
    pub(crate) fn barrier(self, folder: &Path) -> Option<PathBuf> {
        let mut way: Vec<&Path> = folder.ancestors().collect();
        way.reverse();
        way.into_iter().find(|step| !self.may_pass(step)).map(Path::to_path_buf)
    }

    fn may_pass(self, folder: &Path) -> bool {
        let Ok(meta) = fs::metadata(folder) else { return false };
        let bit = match (meta.uid() == self.uid, meta.gid() == self.gid) {
            (true, _) => 0o100,
            (false, true) => 0o010,
            (false, false) => 0o001,
        };
        meta.mode() & bit != 0
    }
}

/// Folders of installed versions, newest first.
fn installed() -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for (parent, prefix) in
        [("/usr/lib/postgresql", ""), ("/usr", "pgsql-"), ("/opt/homebrew/opt", "postgresql@")]
    {
        for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(prefix)?.parse().ok());
            found.extend(number.map(|number| (number, entry.path().join("bin"))));
        }
    }
    found.sort_by(|one, other| other.cmp(one));
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn configured() -> Vec<PathBuf> {
    output(Command::new("pg_config").arg("--bindir"))
        .map(|said| PathBuf::from(said.trim()))
        .into_iter()
        .collect()
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_wrong_folder_is_the_callers_fault() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Programs::find(Some(folder.path())).unwrap_err().exit_code(), 2);
        fs::write(folder.path().join("initdb"), "").unwrap();
        fs::write(folder.path().join("postgres"), "").unwrap();
        let found = Programs::find(Some(folder.path())).unwrap();
        assert_eq!(found.initdb, folder.path().join("initdb"));
    }

    #[test]
    fn a_closed_folder_bars_the_way() {
        let top = tempfile::tempdir().unwrap();
        let inner = top.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let stranger = Runner { uid: 12_345, gid: 12_345 };
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(stranger.barrier(&inner).as_deref(), Some(top.path()));
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o711)).unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o711)).unwrap();
        assert_eq!(stranger.barrier(&inner), None);
    }
}
