//! `clyra idempotency`: changes under a key of which nobody knows whether they were made, and what somebody has found out
//! about them. It never looks itself.

use super::say;
use crate::{
    error::Error,
    peer::{self, GATE, refused},
    standing::Which,
};
use clap::Subcommand;
use clyra_proto::admin::{ListKeysRequest, ResolveKeyRequest};
use serde_json::json;

/// The verbs on keys.
#[derive(Debug, Subcommand)]
pub enum IdempotencyVerb {
    /// Show the keys under which a change was begun whose end is not known
    #[command(after_help = "Example:\n  clyra idempotency list --json")]
    List {
        /// Which gateway.
        #[command(flatten)]
        which: Which,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say what became of such a change, so that its key counts again
    #[command(after_help = "\
Look at the server first, then say what you saw: `--done`, and a retry is told that it was made before (ZC004);
`--not-done`, and a retry makes it.

Example:
  clyra idempotency resolve 3f1a… --not-done")]
    Resolve {
        /// The key's fingerprint, from `clyra idempotency list`
        #[arg(value_name = "KEY")]
        key: String,
        /// The change was made
        #[arg(long, required_unless_present = "not_done", conflicts_with = "not_done")]
        done: bool,
        /// The change was not made
        #[arg(long)]
        not_done: bool,
        /// Which gateway.
        #[command(flatten)]
        which: Which,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Does what was asked with keys.
pub(crate) async fn run(verb: IdempotencyVerb) -> Result<u8, Error> {
    match verb {
        IdempotencyVerb::List { which, json } => {
            let mut gate = peer::gate(which.admin()?).await?;
            let asked = gate.list_keys(ListKeysRequest {}).await;
            let keys = asked.map_err(|status| refused(GATE, &status))?.into_inner().unknown;
            let listed: Vec<_> = keys
                .iter()
                .map(|one| json!({"key": one.key, "receipt": one.receipt, "expires": one.expires}))
                .collect();
            say(json, &json!({ "unknown": listed }), || {
                let line = |one: &clyra_proto::admin::UnknownKey| {
                    format!("{}  receipt {}  forgotten {}", one.key, one.receipt, one.expires)
                };
                let lines: Vec<String> = keys.iter().map(line).collect();
                if lines.is_empty() { "no key of an unknown change".to_owned() } else { lines.join("\n") }
            })?;
        }
        IdempotencyVerb::Resolve { key, done, which, json, .. } => {
            let mut gate = peer::gate(which.admin()?).await?;
            let asked = gate.resolve_key(ResolveKeyRequest { key: key.clone(), done }).await;
            asked.map_err(|status| refused(GATE, &status))?;
            let word = if done { "done" } else { "not done" };
            say(json, &json!({"key": key, "done": done}), || format!("key {key}: {word}"))?;
        }
    }
    Ok(0)
}
