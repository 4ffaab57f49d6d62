//! The hands: the only sockets on the data path, the gate between them, and the outbox for receipts.
//!
//! A client speaks to the gateway as it would to its PostgreSQL server. Every statement is put before the gate
//! ([`Settings::policy_file`]); what passes goes on byte for byte; what became of it goes as a receipt through the
//! outbox (numbered, chained, sealed, spooled) to the recorder. The gateway never keeps statement text, never decides
//! outside `gate.rs`, and while receipts cannot be kept it lets nothing pass.
//!
//! ```text
//!            ┌ pg ────────────┐   ┌ gate ─┐   ┌ outbox ───────────┐
//! client ⇄   │ relay ⇄ wire   │ ⇄ │ judge │ ─▶│ number, seal,     │─▶ recorder
//!            └──────⇅─────────┘   └───────┘   │ spool, send       │
//!                server                       └───────────────────┘
//! ```
//!
//! ```
//! let upstream = clyra_gateway::Upstream::parse("postgres://127.0.0.1:5432/shop")?;
//! assert_eq!(upstream.to_string(), "127.0.0.1:5432");
//! # Ok::<(), clyra_gateway::UpstreamError>(())
//! ```

mod admin;
mod catalog;
mod claims;
mod draft;
mod duty;
mod error;
mod force;
mod gate;
mod house;
mod kill;
mod login;
mod metrics;
mod once;
mod outbox;
mod pg;
mod pool;
mod proof;
mod relay;
mod secure;
mod settings;
mod socket;
mod tls;

pub use clyra_proto::admin::PolicyInForce;
pub use error::Error;
pub use force::{signature_file, signed_bytes};
pub use house::{Gateway, gateway_key};
pub use pg::Limits;
pub use settings::{
    CatalogSettings, CatalogSource, ClientTls, Lease, PoolSettings, PoolState, Settings, Signing, SslMode,
    Upstream, UpstreamError, UpstreamTls,
};
