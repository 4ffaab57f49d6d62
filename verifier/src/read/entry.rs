//! An entry of the log (spec page `entry.md`): its exact shape, and the few fields that checks need; it knows no signature.

use super::envelope::{self, Envelope};
use super::receipt::{self, Receipt};
use super::switch::{self, Switch};
use crate::error::{Flaw, flaw};
use crate::json::canonical;
use crate::json::fields::Fields;
use crate::json::text;
use clyra_spec::limits::ENTRY_BYTES_MAX;
use clyra_spec::{Mode, media};

/// One entry, read.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: Box<str>,
    pub(crate) maker: Box<str>,
    /// Its place in a gateway's stream; only a batch header has none.
    pub(crate) stream: Option<Stream>,
    pub(crate) kind: Kind,
}

/// The place of an entry in its gateway's stream, ordered as the gateway numbered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stream {
    pub(crate) gateway: Box<str>,
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
}

/// The kinds that version 1 knows.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Batch(Envelope),
    Receipt(Receipt),
    RunOpen { run_id: Box<str> },
    Heartbeat { run_id: Box<str>, count: u64 },
    RunClose { run_id: Box<str>, count: u64 },
    Switch(Box<Switch>),
    Policy { digest: Box<str> },
    Gap { count: Option<u64> },
    Approval,
    ApprovalRevoked,
}

impl Kind {
    /// The word in the entry's `kind`.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Batch(_) => "batch",
            Self::Receipt(_) => "receipt",
            Self::RunOpen { .. } => "run_open",
            Self::Heartbeat { .. } => "heartbeat",
            Self::RunClose { .. } => "run_close",
            Self::Switch(_) => "switch",
            Self::Policy { .. } => "policy",
            Self::Gap { .. } => "gap",
            Self::Approval => "approval",
            Self::ApprovalRevoked => "approval_revoked",
        }
    }
}

impl Entry {
    /// The run that this entry belongs to.
    pub(crate) fn run_id(&self) -> Option<&str> {
        match &self.kind {
            Kind::Receipt(receipt) => receipt.run.as_ref().map(|run| &*run.run_id),
            Kind::RunOpen { run_id } | Kind::Heartbeat { run_id, .. } | Kind::RunClose { run_id, .. } => {
                Some(run_id)
            }
            Kind::Batch(_) | Kind::Switch(_) | Kind::Policy { .. } | Kind::Gap { .. } => None,
            Kind::Approval | Kind::ApprovalRevoked => None,
        }
    }

    /// The receipt, where this is one.
    pub(crate) fn receipt(&self) -> Option<&Receipt> {
        match &self.kind {
            Kind::Receipt(receipt) => Some(receipt),
            _ => None,
        }
    }
}

/// Reads one entry from the bytes of its leaf.
pub(crate) fn read(bytes: &[u8]) -> Result<Entry, Flaw> {
    if bytes.len() > ENTRY_BYTES_MAX {
        return flaw(format!("{} bytes, an entry has at most {ENTRY_BYTES_MAX}", bytes.len()));
    }
    let value = canonical::parse(bytes)?;
    let mut fields = Fields::of(&value)?;
    let word = fields.text("kind")?;
    let version = fields.whole("v")?;
    if version != 1 {
        return flaw(format!("version `{version}` of kind `{}` is unknown, 1 is known", text::short(word)));
    }
    let id = fields.text("id")?;
    text::uuid_v7(id).map_err(|flaw| flaw.at("field `id`"))?;
    let at = fields.text("at")?;
    text::time(at).map_err(|flaw| flaw.at("field `at`"))?;
    let maker = fields.text("maker")?;
    text::key_id(maker).map_err(|flaw| flaw.at("field `maker`"))?;
    let stream = if word == "batch" { None } else { Some(stream(&mut fields)?) };
    let kind = kind(word, (id, at), &mut fields)?;
    fields.end()?;
    Ok(Entry { id: id.into(), maker: maker.into(), stream, kind })
}

fn stream(fields: &mut Fields<'_, '_>) -> Result<Stream, Flaw> {
    let mut inner = fields.object("stream")?;
    let told = |flaw: Flaw| flaw.at("field `stream`");
    let stream = Stream {
        gateway: inner.text("gateway").map_err(told)?.into(),
        epoch: inner.whole("epoch").map_err(told)?,
        seq: inner.whole("seq").map_err(told)?,
    };
    inner.end().map_err(told)?;
    if stream.seq == 0 || stream.epoch == 0 {
        return flaw("field `stream`: `epoch` and `seq` count from 1");
    }
    Ok(stream)
}

fn kind(word: &str, (id, at): (&str, &str), fields: &mut Fields<'_, '_>) -> Result<Kind, Flaw> {
    match word {
        "batch" => {
            let dsse = fields.any("dsse")?;
            let envelope =
                envelope::read(dsse, media::BATCH_PAYLOAD_TYPE).map_err(|flaw| flaw.at("field `dsse`"))?;
            Ok(Kind::Batch(envelope))
        }
        "receipt" => Ok(Kind::Receipt(receipt::read(fields)?)),
        "run_open" => Ok(Kind::RunOpen { run_id: fields.text("run_id")?.into() }),
        "heartbeat" => {
            Ok(Kind::Heartbeat { run_id: fields.text("run_id")?.into(), count: fields.whole("count")? })
        }
        "run_close" => {
            fields.one_of("reason", &["idle", "asked", "shutdown"])?;
            Ok(Kind::RunClose { run_id: fields.text("run_id")?.into(), count: fields.whole("count")? })
        }
        "switch" => Ok(Kind::Switch(Box::new(switch::read(id, at, fields)?))),
        "policy" => {
            let digest = digest(fields, "digest")?;
            fields.word::<Mode>("mode")?;
            fields.text("name")?;
            fields.one_of("reason", &["start", "reload"])?;
            fields.whole("version")?;
            Ok(Kind::Policy { digest })
        }
        "gap" => {
            fields.one_of("reason", &["unclean_stop", "outbox_full", "spool_lost"])?;
            fields.whole("last_seq")?;
            fields.whole("lost_epoch")?;
            Ok(Kind::Gap { count: fields.maybe_whole("count")? })
        }
        "approval" => {
            let dsse = fields.any("dsse")?;
            envelope::read(dsse, media::APPROVAL_PAYLOAD_TYPE)
                .and_then(|envelope| approval(&envelope, id))
                .map_err(|flaw| flaw.at("field `dsse`"))?;
            Ok(Kind::Approval)
        }
        "approval_revoked" => {
            text::uuid_v7(fields.text("approval")?).map_err(|flaw| flaw.at("field `approval`"))?;
            fields.text("by")?;
            fields.text("reason")?;
            Ok(Kind::ApprovalRevoked)
        }
        unknown => flaw(format!("kind `{}` is unknown", text::short(unknown))),
    }
}

/// What an approver signed names the entry that it stands in. Whose key it is only the policy says.
fn approval(envelope: &Envelope, id: &str) -> Result<(), Flaw> {
    let value = canonical::parse(&envelope.payload)?;
    let mut fields = Fields::of(&value)?;
    for name in ["approver", "reason"] {
        fields.text(name)?;
    }
    fields.hex::<16>("digest")?;
    text::time(fields.text("expires")?).map_err(|flaw| flaw.at("field `expires`"))?;
    if fields.text("id")? != id {
        return flaw("the signed `id` is not the one of the entry");
    }
    if fields.whole("v")? != 1 {
        return flaw("only version 1 of what an approver signs is known");
    }
    fields.end()
}

/// `sha256:` and 64 hex digits.
pub(crate) fn digest(fields: &mut Fields<'_, '_>, name: &'static str) -> Result<Box<str>, Flaw> {
    let spelled = fields.text(name)?;
    match spelled.strip_prefix("sha256:").map(text::hex::<32>) {
        Some(Ok(_)) => Ok(spelled.into()),
        _ => flaw(format!(
            "field `{name}` is `{}`, `sha256:` and 64 hex digits are needed",
            text::short(spelled)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::read;
    use serde_json::{Value, json};

    const ID: &str = "01936a5e-0000-7000-8000-000000000003";

    fn entry(changed: impl FnOnce(&mut Value)) -> Vec<u8> {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let mut payload = json!({
            "approver": "ann", "digest": "0123456789abcdef0123456789abcdef", "expires": "2026-11-22T11:00:00Z",
            "id": ID, "reason": "ticket 7", "v": 1,
        });
        changed(&mut payload);
        let payload = STANDARD.encode(serde_json::to_vec(&payload).unwrap());
        let dsse = json!({
            "payload": payload, "payloadType": "application/vnd.clyra.approval+json",
            "signatures": [{"keyid": "ann+00000000", "sig": STANDARD.encode([7; 64])}],
        });
        serde_json::to_vec(&json!({
            "at": "2026-11-22T10:00:00.000000Z", "dsse": dsse, "id": ID, "kind": "approval", "maker": "gw-1+00000000",
            "stream": {"epoch": 1, "gateway": "gw-1", "seq": 2}, "v": 1,
        }))
        .unwrap()
    }

    #[test]
    fn an_approval_is_what_was_signed_for_its_own_entry() {
        assert_eq!(read(&entry(|_| {})).unwrap().kind.as_str(), "approval");
        let other = ID.replace("003", "004");
        for (field, value) in [
            ("id", json!(other)),
            ("digest", json!("short")),
            ("expires", json!("tomorrow")),
            ("v", json!(2)),
            ("approver", Value::Null),
            ("more", json!(1)),
        ] {
            assert!(read(&entry(|payload| payload[field] = value)).is_err(), "{field}");
        }
    }
}
