//! Counts everything again and compares it with what the manifest claims; no number is taken over.

use super::run::stories;
use super::{Evidence, count, wide};
use crate::Summary;
use crate::error::{Doubt, Finding};
use crate::read::entry::Kind;
use clyra_spec::Phase;
use std::collections::{BTreeMap, BTreeSet};

/// `summary`: the predicate is what the entries add up to.
pub(super) fn equals(evidence: &Evidence<'_>) -> Finding {
    let counted = of(evidence)?;
    let claimed = &evidence.manifest()?.predicate;
    let closed = counted.closed == Some(true);
    let claims = CLAIMS.into_iter().chain(closed.then_some(CLAIM_WHEN_CLOSED));
    let comparisons = [
        ("counts", claimed.counts == counted.counts),
        ("verdicts", claimed.verdicts == counted.verdicts),
        ("streams", claimed.streams == counted.streams),
        ("policies", claimed.policies == counted.policies),
        ("closed", claimed.closed == closed),
        ("claims", claimed.claims.iter().map(String::as_str).eq(claims)),
        ("non_claims", claimed.non_claims.iter().map(String::as_str).eq(NON_CLAIMS)),
    ];
    if let Some((field, _)) = comparisons.iter().find(|(_, equal)| !equal) {
        return Err(Doubt::Fail(format!("`{field}` in the manifest is not what the files say")));
    }
    let producer = crate::json::text::short(&claimed.producer);
    Ok(format!("{} fields counted again, all equal; producer `{producer}`", comparisons.len()))
}

/// `spec-text`: the bundle carries the rules of this version.
pub(super) fn spec_text(evidence: &Evidence<'_>) -> Finding {
    if evidence.file("SPEC.txt")? == SPEC_TEXT.as_bytes() {
        return Ok(format!("the rules of this version, {}", count(wide(SPEC_TEXT.len()), "byte", "bytes")));
    }
    Err(Doubt::Fail("`SPEC.txt` is not the text of this version".to_owned()))
}

/// What the entries say.
pub(super) fn of(evidence: &Evidence<'_>) -> Result<Summary, Doubt> {
    let entries = evidence.entries()?;
    let manifest = evidence.manifest()?;
    let checkpoint = &evidence.note()?.checkpoint;
    let mut counts = BTreeMap::new();
    let mut verdicts = BTreeMap::new();
    let mut policies = BTreeSet::new();
    for entry in entries {
        *counts.entry(entry.kind.as_str().to_owned()).or_default() += 1;
        match &entry.kind {
            Kind::Receipt(receipt) => {
                policies.insert(&*receipt.policy);
                if receipt.phase != Phase::Outcome {
                    *verdicts.entry(receipt.verdict.as_str().to_owned()).or_default() += 1;
                }
            }
            Kind::Policy { digest } => drop(policies.insert(digest)),
            _ => {}
        }
    }
    let run_id = &*manifest.predicate.run_id;
    let stories = stories(entries, run_id);
    Ok(Summary {
        run_id: Some(run_id.to_owned()),
        closed: Some(!stories.is_empty() && stories.iter().all(|story| story.closed)),
        counts,
        verdicts,
        streams: stories.into_iter().map(|story| story.seen).collect(),
        policies: policies.into_iter().map(str::to_owned).collect(),
        switches: super::switch::summary(entries, evidence.trust),
        log_origin: checkpoint.origin.clone(),
        log_size: checkpoint.size,
    })
}

/// The text that every bundle of this version carries.
pub(super) const SPEC_TEXT: &str = include_str!("../../../spec/SPEC.txt");

pub(super) const CLAIMS: [&str; 2] = [
    "every entry listed stands in the log at the index stated, under the root of the checkpoint",
    "every entry listed was signed for by the gateway that made it, at its place in that gateway's stream",
];

pub(super) const CLAIM_WHEN_CLOSED: &str =
    "the receipts listed are all that the gateways numbered for this run";

pub(super) const NON_CLAIMS: [&str; 4] = [
    "that no statement reached a database without passing a gateway",
    "that what callers say about themselves and their run is true",
    "that the clocks of the gateways were right",
    "that the policies in force were sufficient",
];
