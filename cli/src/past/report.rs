//! `clyra policy report`: what rules in shadow mode have seen, and which of them are ready to be enforced. The criterion is
//! stated; it never enforces anything.

use super::{Extent, Source, plot};
use crate::{
    error::Error,
    sign::span,
    standing::write_whole,
    tell,
    verbs::{policy, say},
};
use clap::Args;
use clyra_policy::tools::{Backtest, Receipt};
use serde::Serialize;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

/// Of what, and how.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("decisions").required(true).args(["log", "bundle"]))]
pub struct ReportArgs {
    /// The policy that was in use: names the rules that never spoke, and what came near to a bound of rows
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
    /// How long a rule must have been silent before it is ready; 30d at most
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = span)]
    quiet: Duration,
    /// Write a page with plots over time as well, whole or not at all
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What one rule has said, and what that means.
#[derive(Debug, Serialize)]
pub(super) struct RuleReport {
    pub(super) id: String,
    pub(super) advice: Advice,
    /// Messages that it would have refused, were it enforced.
    pub(super) would_be: u64,
    /// Messages that it has refused.
    pub(super) refused: u64,
    pub(super) callers: usize,
    pub(super) shapes: usize,
    /// Of all messages, in thousandths.
    pub(super) share_per_mille: u64,
    /// Messages that came within a fifth of a bound of rows.
    pub(super) near: u64,
    pub(super) first: Option<String>,
    pub(super) last: Option<String>,
    pub(super) reasons: BTreeMap<String, u64>,
    pub(super) top: Vec<Top>,
    /// Would-be refusals by the hour they fell in, counted from 1970.
    pub(super) hours: BTreeMap<u64, u64>,
}

/// A shape that a rule would have refused.
#[derive(Debug, Serialize)]
pub(super) struct Top {
    pub(super) shape: String,
    pub(super) count: u64,
    pub(super) verb: &'static str,
    pub(super) tables: BTreeSet<String>,
    pub(super) receipt: String,
}

/// What to do with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Advice {
    LookFirst,
    TooEarly,
    Ready,
    Enforced,
}

/// Tells; 1 when a rule in shadow mode is not ready.
pub(crate) async fn run(args: &ReportArgs) -> Result<u8, Error> {
    let known =
        args.policy.as_deref().map(policy::read).transpose()?.map(|policy| Backtest::new(policy, &[]));
    let near = known.as_ref().map(Backtest::tighter);
    let state = State { near, ..State::default() };
    let (state, extent) = args.source.read(state, State::add).await?;
    let rules = state.told(known.as_ref(), &extent, args.quiet);
    let criterion = format!(
        "ready: the window covers {0} hours, and in its last {0} the rule would have refused nothing",
        args.quiet.as_secs().div_ceil(3_600)
    );
    if let Some(path) = &args.html {
        write_whole(path, plot::page(&rules, &extent, &criterion).as_bytes())?;
    }
    let record = json!({"source": extent, "criterion": criterion, "rules": rules});
    say(args.json, &record, || in_words(&rules, &extent, &criterion, known.is_some()))?;
    let waits = rules.iter().any(|rule| matches!(rule.advice, Advice::LookFirst | Advice::TooEarly));
    Ok(u8::from(waits))
}

/// What is counted over a log.
#[derive(Debug, Default)]
struct State {
    near: Option<Backtest>,
    rules: BTreeMap<String, Seen>,
    /// Hours of the first and the last message.
    window: Option<(u64, u64)>,
}

#[derive(Debug, Default)]
struct Seen {
    would_be: u64,
    refused: u64,
    near: u64,
    callers: BTreeSet<String>,
    shapes: BTreeMap<String, Top>,
    reasons: BTreeMap<String, u64>,
    first: Option<String>,
    last: Option<String>,
    hours: BTreeMap<u64, u64>,
}

impl State {
    fn add(&mut self, message: &[Receipt]) {
        let Some(first) = message.first() else { return };
        let hour = first.at_us().unwrap_or(0) / HOUR_US;
        let (from, until) = self.window.unwrap_or((hour, hour));
        self.window = Some((from.min(hour), until.max(hour)));
        // A rule has spoken once of a message, however many statements are in it.
        let mut spoke: BTreeMap<&str, (&Receipt, &str, bool)> = BTreeMap::new();
        for receipt in message {
            for rule in &receipt.decision.rules {
                spoke.entry(&rule.id).or_insert((receipt, &rule.reason, rule.enforced));
            }
        }
        for (id, (receipt, reason, enforced)) in &spoke {
            if self.rules.len() >= RULES_MAX && !self.rules.contains_key(*id) {
                continue;
            }
            let seen = self.rules.entry((*id).to_owned()).or_default();
            if *enforced {
                seen.refused += 1
            } else {
                seen.would_be(receipt, hour)
            }
            *seen.reasons.entry((*reason).to_owned()).or_default() += 1;
        }
        if let Some(near) = &self.near {
            let told = near.retell(message, None).rules;
            let came = told.iter().filter(|rule| {
                let rows = matches!(
                    rule.reason.as_deref(),
                    Some("too_many_rows_written" | "too_many_rows_returned")
                );
                rows && !spoke.contains_key(&*rule.id)
            });
            for rule in came {
                self.rules.entry(rule.id.to_string()).or_default().near += 1;
            }
        }
    }

    fn told(self, known: Option<&Backtest>, extent: &Extent, quiet: Duration) -> Vec<RuleReport> {
        let quiet_hours = quiet.as_secs().div_ceil(3_600);
        let (from, until) = self.window.unwrap_or_default();
        let modes: BTreeMap<String, bool> = known
            .iter()
            .flat_map(|policy| policy.rules().map(|(id, enforced)| (id.to_owned(), enforced)))
            .collect();
        let mut seen = self.rules;
        for id in modes.keys() {
            seen.entry(id.clone()).or_default();
        }
        let mut rules: Vec<RuleReport> = seen
            .into_iter()
            .map(|(id, seen)| {
                let loud = seen.hours.keys().next_back().is_some_and(|last| last + quiet_hours > until);
                let enforced = modes.get(&id).copied().unwrap_or(seen.would_be == 0 && seen.refused > 0);
                let advice = match () {
                    () if enforced && seen.would_be == 0 => Advice::Enforced,
                    () if loud => Advice::LookFirst,
                    () if until - from + 1 < quiet_hours => Advice::TooEarly,
                    () => Advice::Ready,
                };
                seen.report(id, advice, extent.messages)
            })
            .collect();
        rules.sort_by(|one, other| {
            one.advice.cmp(&other.advice).then(other.would_be.cmp(&one.would_be)).then(one.id.cmp(&other.id))
        });
        rules
    }
}

impl Seen {
    fn would_be(&mut self, receipt: &Receipt, hour: u64) {
        self.would_be += 1;
        *self.hours.entry(hour).or_default() += 1;
        let at = receipt.at.to_string();
        if self.first.as_ref().is_none_or(|first| at < *first) {
            self.first = Some(at.clone());
        }
        if self.last.as_ref().is_none_or(|last| at > *last) {
            self.last = Some(at);
        }
        if self.callers.len() < KEYS_MAX {
            self.callers.insert(receipt.caller.actor.to_string());
        }
        let action = &receipt.action;
        if let Some(top) = self.shapes.get_mut(&*action.shape) {
            top.count += 1;
        } else if self.shapes.len() < KEYS_MAX {
            let tables = action.writes.iter().chain(&action.reads).map(ToString::to_string).collect();
            let (shape, receipt) = (action.shape.to_string(), receipt.id.to_string());
            let top = Top { shape: shape.clone(), count: 1, verb: action.verb.as_str(), tables, receipt };
            self.shapes.insert(shape, top);
        }
    }

    fn report(self, id: String, advice: Advice, messages: u64) -> RuleReport {
        let shapes = self.shapes.len();
        let mut top: Vec<Top> = self.shapes.into_values().collect();
        top.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.shape.cmp(&other.shape)));
        top.truncate(TOP);
        RuleReport {
            id,
            advice,
            would_be: self.would_be,
            refused: self.refused,
            callers: self.callers.len(),
            shapes,
            share_per_mille: (self.would_be * 1_000).checked_div(messages).unwrap_or(0),
            near: self.near,
            first: self.first,
            last: self.last,
            reasons: self.reasons,
            top,
            hours: self.hours,
        }
    }
}

impl Advice {
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::LookFirst => "look at these first",
            Self::TooEarly => "too early to tell",
            Self::Ready => "ready to enforce",
            Self::Enforced => "enforced already",
        }
    }
}

fn in_words(rules: &[RuleReport], extent: &Extent, criterion: &str, known: bool) -> String {
    let mut text = format!("{}\n{criterion}\n", extent.in_words());
    if !known {
        text.push_str("rules that never spoke are not known; --policy FILE names them\n");
    }
    let mut last = None;
    for rule in rules {
        if last != Some(rule.advice) {
            text.push_str(&format!("\n{}\n", rule.advice.in_words()));
            last = Some(rule.advice);
        }
        text.push_str(&rule.in_words());
    }
    text.trim_end().to_owned()
}

impl RuleReport {
    fn in_words(&self) -> String {
        let mut text = format!("  {}: {}", self.id, tell::counted(self.would_be, "would-be refusal"));
        if self.would_be == 0 && self.refused == 0 {
            text.push_str(", never spoke");
        }
        if self.refused > 0 {
            text.push_str(&format!(", {} carried out", self.refused));
        }
        if self.near > 0 {
            text.push_str(&format!(", {} within a fifth of the bound", self.near));
        }
        text.push('\n');
        if let (Some(first), Some(last)) = (&self.first, &self.last) {
            let (whole, part) = (self.share_per_mille / 10, self.share_per_mille % 10);
            let (callers, shapes) = (self.callers, self.shapes);
            text.push_str(&format!(
                "    {whole}.{part} % of messages, callers {callers}, shapes {shapes}, {first} to {last}\n"
            ));
        }
        for (reason, number) in &self.reasons {
            text.push_str(&format!("    {number:>8}  {reason}\n"));
        }
        for top in &self.top {
            let tables: Vec<&str> = top.tables.iter().map(String::as_str).collect();
            let (count, verb, receipt) = (top.count, top.verb, &top.receipt);
            text.push_str(&format!("    {count:>8}  {verb} {} (receipt {receipt})\n", tables.join(", ")));
        }
        text
    }
}

/// Microseconds of an hour.
const HOUR_US: u64 = 3_600_000_000;
const RULES_MAX: usize = 2_000;
/// Callers and shapes that are told apart for a rule.
const KEYS_MAX: usize = 10_000;
/// Shapes that are named for a rule.
const TOP: usize = 5;
