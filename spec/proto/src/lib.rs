//! The words on the network, generated from `spec/proto/clyra/*.proto`. No logic lives here.
//!
//! ```text
//! evidence.v1  gateway ──batches──▶ recorder, and what the recorder answers
//! admin.v1     people  ──switches─▶ gateway
//! ```
//!
//! ```
//! let hello = clyra_proto::evidence::Hello { gateway: "gw-1".into(), key: "gw-1+0a0b0c0d+AQ==".into() };
//! assert_eq!(hello.gateway, "gw-1");
//! ```

/// Evidence on its way from gateway to recorder, and out of the recorder again.
pub mod evidence {
    tonic::include_proto!("clyra.evidence.v1");
}

/// Administration of a gateway.
pub mod admin {
    tonic::include_proto!("clyra.admin.v1");
}

/// Descriptors of both files, for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
