//! Signed orders to turn the kill switch, and who may let pass again what was stopped. It never turns anything.

use super::{Kill, Scope, Wish};
use crate::gate::time_text;
use clyra_seal::{canonical, dsse::Envelope, key::VerifyingKey};
use clyra_spec::{
    ActorKind, KillCause, KillClass, KillLevel, KillScope, limits::LABEL_BYTES_MAX,
    media::SWITCH_PAYLOAD_TYPE,
};
use serde::Deserialize;

/// Somebody whose order the policy believes.
#[derive(Clone, Debug)]
pub(crate) struct Operator {
    pub(crate) name: Box<str>,
    pub(crate) key: VerifyingKey,
    pub(crate) kind: ActorKind,
}

/// Who signed for a turn.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) key: String,
    pub(crate) kind: ActorKind,
    pub(crate) envelope: Vec<u8>,
}

/// What an operator signs; `v` is 1.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    at: String,
    by: String,
    #[serde(default)]
    class: KillClass,
    expires: Option<String>,
    id: String,
    level: KillLevel,
    name: Option<String>,
    reason: String,
    scope: KillScope,
    v: u32,
}

/// Reads an order; the signature first. `name` is what orders call this scope.
pub(crate) fn read(
    bytes: &[u8],
    scope: &Scope,
    name: &str,
    operators: &[Operator],
    now_us: u64,
) -> Result<Wish, String> {
    let seal = |error: clyra_seal::Error| error.to_string();
    if bytes.len() > ENVELOPE_BYTES_MAX {
        return Err("the order is longer than 16 KiB".to_owned());
    }
    let envelope = Envelope::from_slice(bytes).map_err(seal)?;
    let operator = operators.iter().find(|one| one.key.id() == envelope.keyid).ok_or_else(|| {
        format!("key `{}` is none of the policy's `operators`", envelope.keyid.escape_debug())
    })?;
    let payload = envelope.open(SWITCH_PAYLOAD_TYPE, &operator.key).map_err(seal)?;
    canonical::from_slice("order", &payload).map_err(seal)?;
    let said: Payload = serde_json::from_slice(&payload).map_err(|error| error.to_string())?;
    if said.v != 1 || said.by != *operator.name {
        return Err(format!("the key is that of `{}`, version 1 is known", operator.name));
    }
    if said.scope != scope.kind || said.name.as_deref().unwrap_or_default() != name {
        return Err("the order is for another scope than the one that is asked for".to_owned());
    }
    if said.reason.trim().is_empty() || said.reason.len() > LABEL_BYTES_MAX {
        return Err(format!("`reason` must say something, in at most {LABEL_BYTES_MAX} bytes"));
    }
    let expires_us = said.expires.as_deref().map(micros).transpose()?;
    if expires_us.map(time_text) != said.expires {
        return Err(
            "`expires` of the order is not written as the log writes it, like `2026-01-02T03:04:05Z`"
                .to_owned(),
        );
    }
    let id = uuid::Uuid::parse_str(&said.id).map_err(|error| format!("`id` of the order: {error}"))?;
    let at_us = micros(&said.at)?;
    if at_us.abs_diff(now_us) > ORDER_AGE_US {
        return Err("the order was signed more than 5 minutes from now; sign it again".to_owned());
    }
    Ok(Wish {
        id,
        scope: scope.clone(),
        class: said.class,
        level: said.level,
        reason: said.reason,
        by: said.by,
        cause: KillCause::Asked,
        at_us: now_us,
        expires_us,
        signed: Some(Signed { key: envelope.keyid.clone(), kind: operator.kind, envelope: bytes.to_owned() }),
    })
}

/// Why this wish may not lower what stands; nothing where it may.
pub(crate) fn why_not_lower(stands: &Kill, wish: &Wish, operators: &[Operator]) -> Option<String> {
    if operators.is_empty() {
        // Nobody can be told apart: the word of whoever reaches the admin service counts.
        return None;
    }
    let Some(signed) = &wish.signed else {
        return Some(
            "to release takes the signature of one of the policy's `operators`; give it with --key"
                .to_owned(),
        );
    };
    if signed.kind == ActorKind::Agent {
        return Some(format!("`{}` is an agent: it may raise the switch, and never release it", wish.by));
    }
    let own = |raiser: &String| *raiser == signed.key || *raiser == wish.by;
    let alone = !stands.raisers.is_empty() && stands.raisers.iter().all(own);
    if alone && wish.at_us.saturating_sub(stands.since_us) > OWN_RELEASE_US {
        return Some(format!(
            "`{}` has raised it alone, and more than 60 s ago: another operator must release it",
            wish.by
        ));
    }
    None
}

fn micros(time: &str) -> Result<u64, String> {
    let at: jiff::Timestamp = time.parse().map_err(|error| format!("`{time}` is no time: {error}"))?;
    u64::try_from(at.as_microsecond()).map_err(|_| format!("`{time}` is before 1970"))
}

const ENVELOPE_BYTES_MAX: usize = 16 << 10;
/// How far the clocks of operator and gateway may be apart, the way between them included.
const ORDER_AGE_US: u64 = 5 * 60 * 1_000_000;
/// So long a mistake may be taken back by the one who made it.
pub(crate) const OWN_RELEASE_US: u64 = 60 * 1_000_000;
