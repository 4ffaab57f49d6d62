//! The shape of a receipt: every group of its fields, read strictly; it judges no verdict.

use super::entry::digest;
use crate::error::{Flaw, flaw};
use crate::json::Value;
use crate::json::fields::Fields;
use crate::json::text;
use clyra_spec::{ActorKind, Auth, KeyState, Phase, Protocol, Status, Verb, Verdict};

/// What checks need to know of a receipt.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub(crate) phase: Phase,
    /// For an outcome: the id of its intent.
    pub(crate) intent: Option<Box<str>>,
    pub(crate) verdict: Verdict,
    pub(crate) policy: Box<str>,
    pub(crate) run: Option<Run>,
}

/// The run that a receipt claims.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) run_id: Box<str>,
    pub(crate) run_seq: u64,
}

/// Reads all fields of a receipt but those that every entry has.
pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Result<Receipt, Flaw> {
    group(fields, "action", action)?;
    group(fields, "caller", caller)?;
    group(fields, "target", target)?;
    let (verdict, policy) = group(fields, "decision", decision)?;
    let run = maybe_group(fields, "run", run)?;
    let outcome = maybe_group(fields, "outcome", outcome)?;
    let key = maybe_group(fields, "key", key)?;
    let phase = fields.word::<Phase>("phase")?;
    let intent = fields.maybe_text("intent")?;
    if let Some(intent) = intent {
        text::uuid_v7(intent).map_err(|flaw| flaw.at("field `intent`"))?;
    }
    match (phase, intent, outcome) {
        (Phase::Outcome, None, _) => return flaw("phase `outcome` needs the field `intent`"),
        (Phase::Intent | Phase::Whole, Some(_), _) => {
            return flaw("only phase `outcome` has the field `intent`");
        }
        (Phase::Intent, ..) if key.is_some() => return flaw("phase `intent` has no field `key`"),
        (Phase::Intent, _, Some(())) => return flaw("phase `intent` has no field `outcome`"),
        _ => {}
    }
    Ok(Receipt { phase, intent: intent.map(Into::into), verdict, policy, run })
}

fn action(fields: &mut Fields<'_, '_>) -> Result<(), Flaw> {
    fields.hex::<16>("shape")?;
    fields.word::<Verb>("verb")?;
    fields.maybe_whole("statement_count")?;
    fields.maybe_whole("statement_index")?;
    for name in ["sent", "trace"] {
        if let Some(digits) = fields.maybe_text(name)? {
            text::hex::<16>(digits).map_err(|flaw| flaw.at(format!("field `{name}`")))?;
        }
    }
    ["functions", "reads", "tags", "writes"].into_iter().try_for_each(|name| fields.names(name))
}

fn caller(fields: &mut Fields<'_, '_>) -> Result<(), Flaw> {
    fields.hex::<16>("actor")?;
    fields.word::<ActorKind>("actor_kind")?;
    fields.word::<Auth>("auth")?;
    if let Some(tenant) = fields.maybe_text("tenant")? {
        text::hex::<16>(tenant).map_err(|flaw| flaw.at("field `tenant`"))?;
    }
    fields.maybe_text("via").map(drop)
}

fn target(fields: &mut Fields<'_, '_>) -> Result<(), Flaw> {
    fields.text("database")?;
    fields.word::<Protocol>("protocol")?;
    fields.text("upstream").map(drop)
}

fn decision(fields: &mut Fields<'_, '_>) -> Result<(Verdict, Box<str>), Flaw> {
    if let Some(approvals) = fields.maybe("approvals") {
        let Value::List(approvals) = approvals else { return flaw("field `approvals` is not a list") };
        if approvals.is_empty() {
            return flaw("field `approvals` is an empty list, it would be left out");
        }
        for value in approvals {
            let Value::Text(id) = value else { return flaw("field `approvals` holds more than texts") };
            text::uuid_v7(id).map_err(|flaw| flaw.at("field `approvals`"))?;
        }
    }
    fields.whole("decided_us")?;
    fields.bool("enforced")?;
    fields.whole("policy_version")?;
    if let Some(rules) = fields.maybe("rules") {
        let Value::List(rules) = rules else { return flaw("field `rules` is not a list") };
        if rules.is_empty() {
            return flaw("field `rules` is an empty list, it would be left out");
        }
        for value in rules {
            let mut fields = Fields::of(value)?;
            fields.bool("enforced")?;
            fields.text("id")?;
            fields.text("reason")?;
            fields.word::<Verdict>("verdict")?;
            fields.end().map_err(|flaw| flaw.at("field `rules`"))?;
        }
    }
    Ok((fields.word::<Verdict>("verdict")?, digest(fields, "policy")?))
}

fn run(fields: &mut Fields<'_, '_>) -> Result<Run, Flaw> {
    ["asset_ids", "business_metric_refs"].into_iter().try_for_each(|name| fields.names(name))?;
    for name in ["change_intent", "currency", "payout_ref"] {
        fields.maybe_text(name)?;
    }
    let run = Run { run_id: fields.text("run_id")?.into(), run_seq: fields.whole("run_seq")? };
    if run.run_seq == 0 { flaw("`run_seq` counts from 1") } else { Ok(run) }
}

fn key(fields: &mut Fields<'_, '_>) -> Result<(), Flaw> {
    fields.hex::<16>("key")?;
    fields.word::<KeyState>("state").map(drop)
}

fn outcome(fields: &mut Fields<'_, '_>) -> Result<(), Flaw> {
    for name in ["bytes_in", "bytes_out", "total_us", "upstream_us"] {
        fields.whole(name)?;
    }
    fields.maybe_whole("rows")?;
    fields.maybe_text("sqlstate")?;
    fields.word::<Status>("status").map(drop)
}

/// Reads a group with this reader; nothing may be left in it.
fn group<'v, 'a, T>(
    fields: &mut Fields<'v, 'a>,
    name: &'static str,
    reader: impl FnOnce(&mut Fields<'v, 'a>) -> Result<T, Flaw>,
) -> Result<T, Flaw> {
    let mut inner = fields.object(name)?;
    let told = |flaw: Flaw| flaw.at(format_args!("field `{name}`"));
    let read = reader(&mut inner).map_err(told)?;
    inner.end().map_err(told)?;
    Ok(read)
}

fn maybe_group<'v, 'a, T>(
    fields: &mut Fields<'v, 'a>,
    name: &'static str,
    reader: impl FnOnce(&mut Fields<'v, 'a>) -> Result<T, Flaw>,
) -> Result<Option<T>, Flaw> {
    if fields.maybe(name).is_none() {
        return Ok(None);
    }
    group(fields, name, reader).map(Some)
}
