//! What can be wrong before any doubt begins (bad input), and how a flaw in evidence is worded inside.

use std::path::PathBuf;

/// Bad input: the question could not be put. Evidence that is wrong is never an error, it is a [`Report`].
///
/// [`Report`]: crate::Report
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is larger than this verifier reads.
    #[error("`{}` has {bytes} bytes, at most {max} are read", path.display())]
    TooLarge {
        /// Which one.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The bound.
        max: u64,
    },
    /// A file of the witness could not be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Unwritten {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on `{addr}`: {source}")]
    Listen {
        /// The address.
        addr: std::net::SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// What a witness was given, or what it holds, is not sound.
    #[error("{0}")]
    Witness(String),
    /// The trust file does not follow the trust page of the spec.
    #[error("trust file, line {line}: {flaw}")]
    Trust {
        /// Line from 1; 0 when the file as a whole is at fault.
        line: usize,
        /// What is wrong with it, and what would be allowed.
        flaw: String,
    },
}

/// One thing that is not as the spec says, as a sentence for the report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Flaw(pub(crate) String);

impl Flaw {
    /// The same flaw, told with the place where it was found.
    pub(crate) fn at(self, place: impl std::fmt::Display) -> Self {
        Self(format!("{place}: {}", self.0))
    }
}

/// Makes a flaw from a format string.
pub(crate) fn flaw<T>(sentence: impl Into<String>) -> Result<T, Flaw> {
    Err(Flaw(sentence.into()))
}

/// Why a check does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// The evidence is wrong.
    Fail(String),
    /// The evidence does not suffice.
    Unable(String),
}

impl From<Flaw> for Doubt {
    fn from(flaw: Flaw) -> Self {
        Self::Fail(flaw.0)
    }
}

/// What a check found: a sentence when it holds, a doubt when it does not.
pub(crate) type Finding = Result<String, Doubt>;
