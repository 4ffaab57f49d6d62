//! The data folder: its lock, its policy file, its trust file. It never overwrites what people may have edited.

use crate::{error::Error, standing::write_whole};
use clyra_policy::Policy;
use rustix::fs::{FlockOperation, flock};
use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// The data folder, ours alone for as long as this lives.
#[derive(Debug)]
pub(crate) struct Data {
    folder: PathBuf,
    /// The system lets the lock go when the process ends, however it ends.
    _lock: fs::File,
}

impl Data {
    /// Makes the folder where it is missing and takes its lock.
    ///
    /// # Errors
    /// It cannot be made or written, or another process holds it.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(|error| Error::file(folder, "make it", &error))?;
        let folder = fs::canonicalize(folder).map_err(|error| Error::file(folder, "open it", &error))?;
        let path = lock_path(&folder);
        let lock = fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut lock = lock.map_err(|error| Error::file(&path, "write it", &error))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let holder = io::read_to_string(&lock).unwrap_or_default();
            return Err(Error::Data {
                path: folder,
                why: format!("in use by a running clyra (pid {})", holder.trim()),
                hint: "stop that one (kill -TERM its pid), or choose another folder with --data DIR".into(),
            });
        }
        let noted = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        noted.map_err(|error| Error::file(&path, "write it", &error))?;
        Ok(Self { folder, _lock: lock })
    }

    /// The folder, as an absolute path.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The policy file in use: the one named, else `policy.yaml` here, written from the starter when missing.
    ///
    /// # Errors
    /// The file cannot be read or written, or its policy does not hold.
    pub(crate) fn policy(&self, named: Option<&Path>) -> Result<PathBuf, Error> {
        let path = match named {
            Some(path) => fs::canonicalize(path)
                .map_err(|error| Error::Usage(format!("cannot read policy `{}`: {error}", path.display())))?,
            None => {
                let path = self.folder.join("policy.yaml");
                if !path.exists() {
                    write_whole(&path, first_policy().as_bytes())?;
                }
                path
            }
        };
        crate::verbs::policy::read(&path)?;
        Ok(path)
    }

    /// Writes the trust file, or checks that the one that is there names the same keys.
    ///
    /// # Errors
    /// It names other keys, or cannot be written.
    pub(crate) fn trust(&self, keys: &Keys) -> Result<PathBuf, Error> {
        let path = self.folder.join("trust.txt");
        let wanted = keys.trust_file();
        match fs::read_to_string(&path) {
            Ok(text) if wanted.lines().all(|line| text.lines().any(|there| there.trim() == line)) => Ok(path),
            Ok(_) => Err(Error::Data {
                path,
                why: "names other keys than the gateway and recorder in this folder have".into(),
                hint:
                    "if keys were changed on purpose, move it away and start again; otherwise somebody has \
                       exchanged keys"
                        .into(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_whole(&path, wanted.as_bytes())?;
                Ok(path)
            }
            Err(error) => Err(Error::file(&path, "read it", &error)),
        }
    }
}

/// The keys that an outsider must believe, as vkeys.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) log: String,
    pub(crate) gateway: String,
    pub(crate) recorder: String,
}

impl Keys {
    fn trust_file(&self) -> String {
        let Self { log, gateway, recorder } = self;
        format!("log {log}\nquorum none\nmaker gateway {gateway}\nmaker recorder {recorder}\n")
    }
}

/// The policy file to begin with: the starter, and what the demo wants to show.
fn first_policy() -> String {
    let starter = Policy::STARTER;
    if starter.contains("clyra-demo") {
        starter.to_owned()
    } else {
        format!("{}\n{DEMO_RULES}", starter.trim_end())
    }
}

/// Digest of that file as long as nobody has changed it.
pub(crate) fn first_digest() -> Option<String> {
    let first = Policy::parse(&first_policy(), "policy.yaml").ok()?;
    Some(first.digest().to_owned())
}

/// Whether a process holds this data folder.
pub(crate) fn is_held(folder: &Path) -> bool {
    fs::File::open(lock_path(folder)).is_ok_and(|lock| {
        flock(&lock, FlockOperation::NonBlockingLockShared) == Err(rustix::io::Errno::WOULDBLOCK)
    })
}

/// Rules for application `clyra-demo`, as items of a policy's `rules`.
pub(crate) const DEMO_RULES: &str = include_str!("demo_rules.yaml");

fn lock_path(folder: &Path) -> PathBuf {
    folder.join("lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(gateway: &str) -> Keys {
        Keys { log: "l+1+k".into(), gateway: gateway.into(), recorder: "r+1+k".into() }
    }

    #[test]
    fn the_first_policy_needs_no_signature() {
        let folder = tempfile::tempdir().unwrap();
        let data = Data::open(folder.path()).unwrap();
        let path = data.policy(None).unwrap();
        let policy = Policy::parse(&fs::read_to_string(path).unwrap(), "policy.yaml").unwrap();
        assert!(policy.enforces());
        assert_eq!(first_digest().as_deref(), Some(policy.digest()));
    }

    #[test]
    fn one_house_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_held(folder.path()));
        let data = Data::open(folder.path()).unwrap();
        assert!(is_held(folder.path()));
        let error = Data::open(folder.path()).unwrap_err();
        assert_eq!(error.exit_code(), 5);
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        drop(data);
        assert!(!is_held(folder.path()));
    }

    #[test]
    fn trust_is_written_once_and_then_held() {
        let folder = tempfile::tempdir().unwrap();
        let data = Data::open(folder.path()).unwrap();
        let path = data.trust(&keys("g+1+k")).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("log l+1+k\nquorum none\nmaker gateway g+1+k\n"), "{text}");
        fs::write(&path, format!("# ours\n{text}")).unwrap();
        data.trust(&keys("g+1+k")).unwrap();
        assert_eq!(data.trust(&keys("other+1+k")).unwrap_err().exit_code(), 5);
    }
}
