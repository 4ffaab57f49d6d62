//! What can go wrong with a gateway, sorted by whose fault it is; a client never reads these.

use std::{net::SocketAddr, path::PathBuf};

/// Why a gateway cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Operator: the policy file is not a policy.
    #[error("{0}")]
    Policy(#[from] clyra_policy::PolicyError),
    /// Operator: the policy file cannot be read.
    #[error("policy file `{}` cannot be read: {source}", path.display())]
    PolicyFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Operator: the policy file lacks the signature that it must have.
    #[error("policy file `{}` is not taken into use: {why}", path.display())]
    Unsigned {
        /// The file.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// Operator: a certificate, key or login file cannot be used.
    #[error("`{}`: {why}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Operator: an address cannot be listened on.
    #[error("cannot listen on `{addr}` for {purpose}: {source}; name a free address, port 0 takes any")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What for.
        purpose: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Operator: a file of the data folder cannot be read or written.
    #[error("`{}`: {source}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Operator: a file of the data folder holds something else than it must.
    #[error("`{}` is damaged: {why}; the gate stays shut until it is repaired or removed by hand", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Operator: keys or secrets cannot be read or made.
    #[error("{0}")]
    Seal(#[from] clyra_seal::Error),
    /// Operator: the outbox cannot work.
    #[error("{0}")]
    Outbox(#[from] crate::outbox::Error),
    /// Operator: a turn of the kill switch or an approval has no entry, since none could be kept.
    #[error("its entry is not recorded yet: {0}")]
    NotRecorded(String),
    /// Ours: a part of the gateway stopped.
    #[error("the {0} stopped")]
    Stopped(&'static str),
    /// Ours: metrics cannot be set up.
    #[error("metrics cannot be set up: {0}")]
    Metrics(String),
}
