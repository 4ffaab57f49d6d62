//! `clyra policy backtest`: what another policy would have made of recorded decisions. What receipts do not tell is counted
//! as undecided, never guessed.

use super::{
    Source, statements,
    tally::{Change, Counts, Pair, Tally},
};
use crate::{
    error::Error,
    tell,
    verbs::{policy, say},
};
use clap::Args;
use clyra_policy::{
    Policy,
    tools::{self, Receipt},
};
use clyra_spec::Mode;
use serde_json::json;
use std::{collections::BTreeMap, path::PathBuf};

/// Which policy, on what.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("decisions").required(true).args(["log", "bundle", "statements"]))]
pub struct BacktestArgs {
    /// The policy to try
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// A policy that judged then; rules that are the same in both say what they said. May be given more than once
    #[arg(long, value_name = "FILE")]
    was: Vec<PathBuf>,
    /// Try the policy as if its file said this mode
    #[arg(long, value_name = "MODE", value_parser = ["shadow", "enforce"])]
    mode: Option<String>,
    #[command(flatten)]
    source: Source,
    /// Statements instead of receipts: lines as `clyra policy eval` reads them, judged by the last `--was` before
    #[arg(long, value_name = "FILE.jsonl", conflicts_with_all = ["since", "until"], requires = "was")]
    statements: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Tells what would change; 1 when anything would, or cannot be told.
pub(crate) async fn run(args: &BacktestArgs) -> Result<u8, Error> {
    let tried = policy::read(&args.policy)?;
    let tried = match args.mode.as_deref() {
        Some("enforce") => tried.with_mode(Mode::Enforce),
        Some(_) => tried.with_mode(Mode::Shadow),
        None => tried,
    };
    let was = args.was.iter().map(|path| policy::read(path)).collect::<Result<Vec<Policy>, Error>>()?;
    let (name, version, digest) = (tried.name().to_owned(), tried.version(), tried.digest().to_owned());
    let mode = tried.mode();
    let named = json!({"name": name, "version": version, "digest": digest, "mode": mode});
    let head = format!("{name} version {version} in {} mode, tried on ", mode.as_str());
    if let (Some(path), Some(last)) = (&args.statements, was.last()) {
        let tally = statements::read(path, last, &tried)?;
        let record = json!({"policy": named, "result": tally});
        say(args.json, &record, || {
            format!("{head}{}\n{}", tell::counted(tally.decisions, "line"), in_words(&tally))
        })?;
        return Ok(u8::from(tally.changed() > 0));
    }
    let backtest = tools::Backtest::new(tried, &was);
    let (state, extent) = args
        .source
        .read(State::default(), move |state: &mut State, message| state.add(&backtest, message))
        .await?;
    let State { tally, killed, strangers } = state;
    let record = json!({
        "policy": named, "source": extent, "killed": killed, "unknown_policies": strangers,
        "assumed": ASSUMED, "result": tally,
    });
    say(args.json, &record, || {
        let mut text = format!("{head}{}\n{}", extent.in_words(), in_words(&tally));
        if killed > 0 {
            text.push_str(&format!("\n{killed} were stopped by the kill switch, whatever a policy says"));
        }
        for (digest, number) in &strangers {
            text.push_str(&format!(
                "\n{} judged by {digest}, which is none of --was: asked anew of the facts",
                tell::counted(*number, "message")
            ));
        }
        text.push_str(&format!("\nwhere a rule was asked anew: {ASSUMED}"));
        text
    })?;
    Ok(u8::from(tally.changed() > 0))
}

/// What is counted over a log.
#[derive(Debug, Default)]
struct State {
    tally: Tally,
    killed: u64,
    /// Policies that judged and are not at hand.
    strangers: BTreeMap<String, u64>,
}

impl State {
    fn add(&mut self, backtest: &tools::Backtest, message: &[Receipt]) {
        let Some(first) = message.first() else { return };
        let retold = backtest.retell(message, None);
        if retold.killed {
            self.killed += 1;
            return;
        }
        let digest = &first.decision.policy;
        if !backtest.knows(digest)
            && (self.strangers.len() < STRANGERS_MAX || self.strangers.contains_key(&**digest))
        {
            *self.strangers.entry(digest.to_string()).or_default() += 1;
        }
        let names = message.iter().flat_map(|one| one.action.writes.iter().chain(&one.action.reads));
        let spoke = message.iter().flat_map(|one| one.decision.rules.iter());
        self.tally.add(Pair {
            id: first.id.to_string(),
            at: first.at.to_string(),
            caller: first.caller.actor.to_string(),
            verbs: message.iter().map(|one| one.action.verb.as_str().to_owned()).collect(),
            tables: names.map(ToString::to_string).collect(),
            was_refused: retold.was_refused,
            was_spoken: retold.was_spoken,
            refused_by: spoke
                .filter(|rule| rule.enforced || !retold.was_refused)
                .map(|rule| rule.id.to_string())
                .collect(),
            refused: retold.refused,
            spoken: retold.spoken,
            rules: retold.rules,
        });
    }
}

/// The tally as people read it.
fn in_words(tally: &Tally) -> String {
    let mut text = format!("{:>10}  unchanged\n", tally.unchanged);
    for change in CHANGES {
        text.push_str(&format!("{:>10}  {}\n", tally.of(change), change.in_words()));
    }
    for (what, map) in [("rule", &tally.by_rule), ("caller", &tally.by_caller), ("table", &tally.by_table)] {
        if !map.is_empty() {
            text.push_str(&format!("by {what}\n"));
            text.push_str(&most(map));
        }
    }
    if !tally.undecided.is_empty() {
        text.push_str("undecided, since\n");
        for (why, number) in &tally.undecided {
            text.push_str(&format!("{number:>10}  {why}\n"));
        }
    }
    if !tally.examples.is_empty() {
        text.push_str("to look at\n");
    }
    for one in &tally.examples {
        let (verbs, tables) = (one.verbs.join(", "), one.tables.join(", "));
        text.push_str(&format!("  {} {} {}: {verbs} {tables}", one.change.in_words(), one.receipt, one.at));
        text.push_str(&format!(" ({})\n", one.rules.join("; ")));
    }
    if tally.cut {
        text.push_str("there are more callers or tables than are listed\n");
    }
    text.trim_end().to_owned()
}

/// The keys with the most changes first.
fn most(map: &BTreeMap<String, Counts>) -> String {
    let mut lines: Vec<(u64, String)> = map
        .iter()
        .map(|(key, counts)| {
            let parts: Vec<String> =
                counts.iter().map(|(change, number)| format!("{number} {}", change.in_words())).collect();
            (counts.values().sum(), format!("  {key:<32}  {}\n", parts.join(", ")))
        })
        .collect();
    lines.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    let rest = lines.len().saturating_sub(LINES_MAX);
    let mut text: String = lines.into_iter().take(LINES_MAX).map(|(_, line)| line).collect();
    if rest > 0 {
        text.push_str(&format!("  and {rest} more; --json has all\n"));
    }
    text
}

const CHANGES: [Change; 6] = [
    Change::AllowToDeny,
    Change::DenyToAllow,
    Change::NewlySpoken,
    Change::NoLongerSpoken,
    Change::Undecided,
    Change::UndecidedInShadow,
];
/// What no receipt tells of any message.
const ASSUMED: &str =
    "names count as they are written; what views, functions and a session's path lead to is in no receipt";
const LINES_MAX: usize = 20;
const STRANGERS_MAX: usize = 100;
