//! What can go wrong at the recorder, by whose fault. It never repairs anything by itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Why the recorder does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asks for a run that the log does not hold.
    #[error("the log holds nothing of run `{run}`")]
    NoSuchRun {
        /// The run.
        run: String,
    },
    /// The run is larger than one bundle may be.
    #[error("run `{run}` has more than {allowed} bytes of entries; a bundle holds no more")]
    RunTooLarge {
        /// The run.
        run: String,
        /// Most bytes.
        allowed: usize,
    },
    /// Another recorder works on the same data.
    #[error("`{}` is in use by another recorder; stop it or choose another folder", path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on `{addr}`: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line of the list of trusted gateways is no key.
    #[error("trusted gateways, `{origin}`: {source}")]
    Maker {
        /// File and line, or `settings`.
        origin: String,
        /// What is wrong.
        source: clyra_seal::Error,
    },
    /// A line of the list of witnesses is none.
    #[error("witnesses, `{origin}`: {why}")]
    Witness {
        /// File and line.
        origin: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// A file or folder could not be used.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file holds something that was never written there.
    #[error("`{}` is damaged at byte {offset}: {why}; restore the file from a copy, nothing was changed", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage starts.
        offset: u64,
        /// What was found.
        why: String,
    },
    /// The parts of the log do not fit each other.
    #[error("the log does not fit together: {why}; restore the folder from one copy, nothing was changed")]
    Mismatch {
        /// What does not fit what.
        why: String,
    },
    /// Another recorder has committed to this log.
    #[error(
        "commit {number} of log `{origin}` is not ours: another recorder wrote to it; refuse to sign a fork"
    )]
    Forked {
        /// The log.
        origin: String,
        /// Number of the commit.
        number: u64,
    },
    /// The index cannot be used.
    #[error("the index `{}` cannot be used: {why}; `clyra recorder reindex` makes it anew", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The object store failed.
    #[error("the log's store failed: {0}")]
    Store(#[from] object_store::Error),
    /// Something could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] clyra_seal::Error),
    /// The gRPC server failed.
    #[error("the gRPC server failed: {0}")]
    Serve(#[from] tonic::transport::Error),
    /// The recorder has stopped taking batches.
    #[error("the recorder has stopped: {why}")]
    Stopped {
        /// Why.
        why: String,
    },
}

impl Error {
    /// Turns a system's error into one that names what was tried and where.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File { doing, path: path.into(), source }
    }

    pub(crate) fn mismatch(why: impl Into<String>) -> Self {
        Self::Mismatch { why: why.into() }
    }
}
