//! What can go wrong at the door, and the exit code that says so. It never guesses: whoever makes an error says
//! whose fault it is.

use std::path::{Path, PathBuf};

/// Why a command did not do what it was asked, sorted by whose fault it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asked for something that cannot be: wrong flag, wrong file, wrong policy.
    #[error("{0}")]
    Usage(String),
    /// Somebody that the command talks to does not answer.
    #[error("{what} at `{address}` cannot be reached: {why}\n  {hint}")]
    Unreachable {
        /// Who: `the upstream`, `the gateway's admin door`, `the recorder`.
        what: &'static str,
        /// Where it was looked for.
        address: String,
        /// What the system or the peer said.
        why: String,
        /// What to do.
        hint: String,
    },
    /// Somebody that the command talks to says no.
    #[error("{what} says no: {why}")]
    Refused {
        /// Who.
        what: &'static str,
        /// Its words.
        why: String,
    },
    /// An address is in use or may not be used.
    #[error("{flag} `{address}` cannot be listened on: {why}\n  {hint}")]
    Taken {
        /// The flag that sets it.
        flag: &'static str,
        /// The address.
        address: String,
        /// What the system said.
        why: String,
        /// What to do.
        hint: String,
    },
    /// The data folder, or a file in it, is damaged, in use, full or not ours to use.
    #[error("`{}`: {why}\n  {hint}", path.display())]
    Data {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do.
        hint: String,
    },
    /// PostgreSQL's own programs are missing or failed.
    #[error("{why}\n  {hint}")]
    Cluster {
        /// What happened.
        why: String,
        /// What to do.
        hint: String,
    },
    /// Nobody's fault but ours.
    #[error("{doing}: {why}")]
    Ours {
        /// What was being done.
        doing: &'static str,
        /// What happened.
        why: String,
    },
}

impl Error {
    /// A file or folder of the data folder that the system does not let us use.
    pub fn file(path: &Path, doing: &str, error: &std::io::Error) -> Self {
        let hint = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                "make room on that disk and start again; nothing acknowledged is lost"
            }
            std::io::ErrorKind::PermissionDenied => "use a folder that you own, with --data DIR",
            std::io::ErrorKind::ReadOnlyFilesystem => {
                "use a folder on a disk that can be written, with --data DIR"
            }
            _ => "check the path and the disk, then start again",
        };
        Self::Data { path: path.into(), why: format!("cannot {doing}: {error}"), hint: hint.into() }
    }

    /// The process's exit code; the table stands in [`EXIT_CODES`].
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Ours { .. } | Self::Cluster { .. } | Self::Refused { .. } => 1,
            Self::Usage(_) => 2,
            Self::Unreachable { .. } => 3,
            Self::Taken { .. } => 4,
            Self::Data { .. } => 5,
        }
    }
}

/// The exit codes, as `--help` and the man page print them.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed by our own fault, refused by the other side, or (demo) a step did not come true
  2  wrong usage, or a policy that does not hold
  3  the upstream, the gateway or the recorder cannot be reached
  4  an address to listen on is taken
  5  the data folder, a spool or a log is damaged or in use, or its disk is full
`clyra bundle verify` has those of clyra-verify: 0 pass, 2 fail, 3 unable, 6 bad input.
`clyra run` ends with the exit code of its command.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_code() {
        let full = Error::file(Path::new("/d"), "write", &std::io::ErrorKind::StorageFull.into());
        assert_eq!(full.exit_code(), 5);
        assert!(full.to_string().contains("make room"), "{full}");
        assert_eq!(Error::Usage(String::new()).exit_code(), 2);
        assert!(EXIT_CODES.contains("\n  4  an address"));
    }
}
