//! TLS on both sides of the gateway: certificates come from files and are read again when those change. It never
//! judges a statement, and never takes plain text for protected.

mod back;
mod certificate;
mod front;
mod pem;

pub(crate) use back::{Back, Reached};
pub(crate) use certificate::{common_name, uris};
pub(crate) use front::{Front, Handshake};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use std::sync::Arc;

/// The one cryptography that TLS uses here.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// What is offered in, and asked of, a direct handshake (PostgreSQL 17, `sslnegotiation=direct`).
const ALPN: &[u8] = b"postgresql";

#[cfg(test)]
mod tests;
