//! The run: who belongs to it, whether all of it is there, what is known to be lost; it judges no receipt.

use super::{Evidence, count, wide};
use crate::StreamSummary;
use crate::error::{Doubt, Finding};
use crate::json::text::short;
use crate::read::entry::{Entry, Kind};
use clyra_spec::Phase;
use std::collections::{BTreeMap, BTreeSet};

/// `run-members`: own entries of the run and the context that the spec asks for, nothing else.
pub(super) fn members(evidence: &Evidence<'_>) -> Finding {
    let run_id = &*evidence.manifest()?.predicate.run_id;
    let own = |entry: &Entry| entry.run_id() == Some(run_id);
    let (mut first, mut last) = (None, 0);
    let mut gateways = BTreeSet::new();
    for (entry, proof) in evidence.proven()?.filter(|(entry, _)| own(entry)) {
        first = first.or(Some(proof.index));
        last = proof.index;
        gateways.extend(entry.stream.as_ref().map(|stream| &*stream.gateway));
    }
    let first = first.unwrap_or_default();
    let covering: BTreeSet<u64> = evidence
        .proven()?
        .filter(|(entry, _)| entry.stream.is_some())
        .map(|(_, proof)| proof.batch)
        .collect();
    let mut policies_before = BTreeSet::new();
    let mut context: u64 = 0;
    for (entry, proof) in evidence.proven()?.filter(|(entry, _)| !own(entry)) {
        let index = proof.index;
        let told = |what: &str| Err(Doubt::Fail(format!("{} at index {index}: {what}", entry.kind.as_str())));
        let of_run = |gateway: &str| gateways.contains(gateway);
        match (&entry.kind, &entry.stream) {
            (Kind::Receipt(_) | Kind::RunOpen { .. } | Kind::Heartbeat { .. } | Kind::RunClose { .. }, _) => {
                return told(&format!("it is not of run `{}`", short(run_id)));
            }
            (Kind::Approval | Kind::ApprovalRevoked, _) => return told("no bundle holds such an entry"),
            (Kind::Batch(_), _) if covering.contains(&index) => {}
            (Kind::Batch(_), _) | (_, None) => return told("it covers no entry of the bundle"),
            (_, Some(stream)) if !of_run(&stream.gateway) => {
                return told("its gateway has no part in the run");
            }
            (_, Some(_)) if (first..=last).contains(&index) => context += 1,
            (Kind::Policy { .. }, Some(stream)) if index < first => {
                if !policies_before.insert(&*stream.gateway) {
                    return told("one policy entry before the run is enough for a gateway");
                }
                context += 1;
            }
            _ => return told("it stands outside the run"),
        }
    }
    let own = evidence.entries()?.iter().filter(|entry| own(entry)).count();
    let own = count(wide(own), "entry", "entries");
    Ok(format!("{own} of run `{}`, {context} of context", short(run_id)))
}

/// `run-complete`: run_open, every run_seq, run_close, at each gateway.
pub(super) fn complete(evidence: &Evidence<'_>) -> Finding {
    let stories = stories(evidence.entries()?, &evidence.manifest()?.predicate.run_id);
    if let Some(flaw) = stories.iter().find_map(|story| story.flaw.clone()) {
        return Err(Doubt::Fail(flaw));
    }
    if stories.is_empty() {
        return Err(Doubt::Unable("no entry of the run is there".to_owned()));
    }
    if let Some(open) = stories.iter().find(|story| !story.closed) {
        let (gateway, epoch) = (short(&open.seen.gateway), open.seen.epoch);
        return Err(Doubt::Unable(format!("the run was not closed at gateway `{gateway}`, epoch {epoch}")));
    }
    let receipts: u64 = stories.iter().map(|story| story.seen.receipts).sum();
    let streams = count(wide(stories.len()), "stream", "streams");
    Ok(format!("{} in {streams}, from open to close without a hole", count(receipts, "receipt", "receipts")))
}

/// `outcomes`: every intent has exactly one outcome.
pub(super) fn outcomes(evidence: &Evidence<'_>) -> Finding {
    let mut intents: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in evidence.entries()? {
        if entry.receipt().is_some_and(|receipt| receipt.phase == Phase::Intent)
            && intents.insert(&entry.id, 0).is_some()
        {
            return Err(Doubt::Fail(format!("two intents have the id `{}`", entry.id)));
        }
    }
    let mut strangers: u64 = 0;
    for intent in evidence.entries()?.iter().filter_map(|entry| entry.receipt()?.intent.as_deref()) {
        match intents.get_mut(intent) {
            Some(0) => drop(intents.insert(intent, 1)),
            Some(_) => {
                return Err(Doubt::Fail(format!("intent `{}` has more than one outcome", short(intent))));
            }
            None => strangers += 1,
        }
    }
    let waiting = intents.values().filter(|outcomes| **outcomes == 0).count();
    if waiting > 0 {
        let told = count(wide(waiting), "intent has", "intents have");
        return Err(Doubt::Unable(format!("{told} no outcome, what became of it is unknown")));
    }
    if strangers > 0 {
        let told = count(strangers, "outcome names", "outcomes name");
        return Err(Doubt::Unable(format!("{told} an intent that is not in the bundle")));
    }
    Ok(format!("{} told to the end", count(wide(intents.len()), "intent", "intents")))
}

/// `gaps`: no loss was reported while the run went on.
pub(super) fn gaps(evidence: &Evidence<'_>) -> Finding {
    let mut gaps: u64 = 0;
    let mut known: u64 = 0;
    let mut unknown = false;
    for entry in evidence.entries()? {
        if let Kind::Gap { count } = entry.kind {
            gaps += 1;
            known = known.saturating_add(count.unwrap_or_default());
            unknown |= count.is_none();
        }
    }
    if gaps == 0 {
        return Ok("no loss was reported during the run".to_owned());
    }
    let lost = if unknown { format!("{known} and an unknown number of") } else { known.to_string() };
    Err(Doubt::Unable(format!("{} during the run: {lost} entries lost", count(gaps, "gap", "gaps"))))
}

/// What the run's own entries tell of one gateway process.
pub(super) struct Story {
    pub(super) seen: StreamSummary,
    pub(super) closed: bool,
    flaw: Option<String>,
}

/// One story for each gateway and epoch that the run touched, ascending.
pub(super) fn stories(entries: &[Entry], run_id: &str) -> Vec<Story> {
    let mut streams: BTreeMap<(&str, u64), Vec<(u64, &Entry)>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.run_id() == Some(run_id)) {
        if let Some(stream) = &entry.stream {
            streams.entry((&stream.gateway, stream.epoch)).or_default().push((stream.seq, entry));
        }
    }
    let mut stories = Vec::with_capacity(streams.len());
    for ((gateway, epoch), mut own) in streams {
        own.sort_by_key(|(seq, _)| *seq);
        stories.push(story(gateway, epoch, &own));
    }
    stories
}

fn story(gateway: &str, epoch: u64, own: &[(u64, &Entry)]) -> Story {
    let (first_seq, last_seq) = match own {
        [(first, _), .., (last, _)] => (*first, *last),
        [(only, _)] => (*only, *only),
        [] => (0, 0),
    };
    let seen = StreamSummary { gateway: gateway.to_owned(), epoch, first_seq, last_seq, receipts: 0 };
    let mut story = Story { seen, closed: false, flaw: None };
    for (place, (seq, entry)) in own.iter().enumerate() {
        story.seen.receipts += u64::from(matches!(entry.kind, Kind::Receipt(_)));
        let told = match &entry.kind {
            Kind::RunOpen { .. } => None,
            _ if place == 0 => Some("the run begins without its run_open".to_owned()),
            Kind::RunClose { count, .. } | Kind::Heartbeat { count, .. } if *count != story.seen.receipts => {
                let (kind, there) = (entry.kind.as_str(), story.seen.receipts);
                Some(format!("{kind} counts {count} receipts, {there} are there"))
            }
            Kind::Receipt(receipt) => {
                let run_seq = receipt.run.as_ref().map_or(0, |run| run.run_seq);
                let due = story.seen.receipts;
                (run_seq != due).then(|| format!("run_seq is {run_seq} where {due} is due"))
            }
            _ => None,
        };
        story.closed = matches!(entry.kind, Kind::RunClose { .. });
        if story.flaw.is_none() {
            story.flaw =
                told.map(|told| format!("gateway `{}`, epoch {epoch}, seq {seq}: {told}", short(gateway)));
        }
    }
    story
}
