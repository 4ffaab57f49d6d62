//! Names that go into signed documents: payload types, predicate types, file names in a bundle.

/// DSSE payload type of a gateway's batch header.
pub const BATCH_PAYLOAD_TYPE: &str = "application/vnd.clyra.batch+json";

/// DSSE payload type of an approval.
pub const APPROVAL_PAYLOAD_TYPE: &str = "application/vnd.clyra.approval+json";

/// DSSE payload type of the signature beside a policy file.
pub const POLICY_PAYLOAD_TYPE: &str = "application/vnd.clyra.policy+json";

/// DSSE payload type of every in-toto Statement.
pub const STATEMENT_PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// in-toto Statement v1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// Predicate of a bundle's manifest.
pub const BUNDLE_PREDICATE: &str = "https://clyra.dev/spec/bundle/v1";

/// Predicate of a rollup.
pub const ROLLUP_PREDICATE: &str = "https://clyra.dev/spec/rollup/v1";

/// The files of a bundle, in the order in which the container holds them (sorted by name).
pub const BUNDLE_FILES: [&str; 6] =
    ["SPEC.txt", "checkpoint", "entries.jsonl", "keys.jsonl", "manifest.dsse.json", "proofs.jsonl"];
/// DSSE payload type of an order to turn the kill switch.
pub const SWITCH_PAYLOAD_TYPE: &str = "application/vnd.clyra.switch+json";
