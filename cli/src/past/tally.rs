//! Counts what would change, by rule, caller and table, with receipts to look at. It keeps so many keys and examples, however
//! long the log is, and says when it leaves some out.

use clyra_policy::tools::RuleRetold;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One decision then and now.
#[derive(Debug)]
pub(super) struct Pair {
    /// Id of the receipt, or of the line.
    pub(super) id: String,
    pub(super) at: String,
    pub(super) caller: String,
    pub(super) verbs: Vec<String>,
    pub(super) tables: BTreeSet<String>,
    pub(super) was_refused: bool,
    pub(super) was_spoken: bool,
    /// Rules that refused then.
    pub(super) refused_by: BTreeSet<String>,
    pub(super) refused: Option<bool>,
    pub(super) spoken: Option<bool>,
    pub(super) rules: Vec<RuleRetold>,
}

/// What happens to a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    AllowToDeny,
    DenyToAllow,
    /// It passes as before; only what is recorded differs.
    NewlySpoken,
    NoLongerSpoken,
    /// Whether it would be refused cannot be told.
    Undecided,
    /// It passes for certain, but whether a rule would speak cannot be told.
    UndecidedInShadow,
}

/// How often each change occurs.
pub(super) type Counts = BTreeMap<Change, u64>;

/// The count of all pairs.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    pub(super) decisions: u64,
    pub(super) unchanged: u64,
    pub(super) changes: Counts,
    pub(super) by_rule: BTreeMap<String, Counts>,
    pub(super) by_caller: BTreeMap<String, Counts>,
    pub(super) by_table: BTreeMap<String, Counts>,
    /// Why decisions are undecided: rule, and what is missing.
    pub(super) undecided: BTreeMap<String, u64>,
    pub(super) examples: Vec<Example>,
    /// Keys were left out, since there were too many.
    pub(super) cut: bool,
}

/// A decision to look at.
#[derive(Debug, Serialize)]
pub(super) struct Example {
    pub(super) change: Change,
    pub(super) receipt: String,
    pub(super) at: String,
    pub(super) caller: String,
    pub(super) verbs: Vec<String>,
    pub(super) tables: Vec<String>,
    pub(super) rules: Vec<String>,
}

impl Pair {
    pub(super) fn change(&self) -> Option<Change> {
        match (self.was_refused, self.refused) {
            (_, None) => Some(Change::Undecided),
            (false, Some(true)) => Some(Change::AllowToDeny),
            (true, Some(false)) => Some(Change::DenyToAllow),
            (true, Some(true)) => None,
            (false, Some(false)) => match (self.was_spoken, self.spoken) {
                (_, None) => Some(Change::UndecidedInShadow),
                (false, Some(true)) => Some(Change::NewlySpoken),
                (true, Some(false)) => Some(Change::NoLongerSpoken),
                _ => None,
            },
        }
    }

    /// The rules that make the change, with their reasons.
    fn makers(&self, change: Change) -> BTreeSet<(String, String)> {
        let of = |wanted: fn(&RuleRetold) -> bool| -> BTreeSet<(String, String)> {
            let told = self.rules.iter().filter(|rule| wanted(rule));
            told.map(|rule| {
                let why = rule.reason.as_deref().or(rule.unknown).unwrap_or_default();
                (rule.id.to_string(), why.to_owned())
            })
            .collect()
        };
        match change {
            Change::AllowToDeny => of(|rule| rule.enforced && rule.reason.is_some()),
            Change::NewlySpoken => of(|rule| rule.reason.is_some()),
            Change::Undecided => of(|rule| rule.enforced && rule.unknown.is_some()),
            Change::UndecidedInShadow => of(|rule| rule.unknown.is_some()),
            Change::DenyToAllow | Change::NoLongerSpoken => {
                self.refused_by.iter().map(|id| (id.clone(), "no longer".to_owned())).collect()
            }
        }
    }
}

impl Tally {
    pub(super) fn add(&mut self, pair: Pair) {
        self.decisions += 1;
        let Some(change) = pair.change() else {
            self.unchanged += 1;
            return;
        };
        let seen = self.changes.entry(change).or_default();
        *seen += 1;
        let example = *seen <= EXAMPLES_EACH;
        let makers = pair.makers(change);
        let rules: BTreeSet<&String> = makers.iter().map(|(id, _)| id).collect();
        for rule in rules {
            count(&mut self.by_rule, rule, change, &mut self.cut);
        }
        count(&mut self.by_caller, &pair.caller, change, &mut self.cut);
        for table in &pair.tables {
            count(&mut self.by_table, table, change, &mut self.cut);
        }
        if matches!(change, Change::Undecided | Change::UndecidedInShadow) {
            for (id, why) in &makers {
                *self.undecided.entry(format!("{id}: {why}")).or_default() += 1;
            }
        }
        if example {
            self.examples.push(Example {
                change,
                receipt: pair.id,
                at: pair.at,
                caller: pair.caller,
                verbs: pair.verbs,
                tables: pair.tables.into_iter().collect(),
                rules: makers.into_iter().map(|(id, why)| format!("{id}: {why}")).collect(),
            });
        }
    }

    /// Decisions of which something changes, or may.
    pub(super) fn changed(&self) -> u64 {
        self.changes.values().sum()
    }

    /// How many changes there are of a kind.
    pub(super) fn of(&self, change: Change) -> u64 {
        self.changes.get(&change).copied().unwrap_or(0)
    }
}

impl Change {
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::AllowToDeny => "allow -> deny",
            Self::DenyToAllow => "deny -> allow",
            Self::NewlySpoken => "newly recorded",
            Self::NoLongerSpoken => "no longer recorded",
            Self::Undecided => "undecided",
            Self::UndecidedInShadow => "undecided in shadow",
        }
    }
}

fn count(map: &mut BTreeMap<String, Counts>, key: &str, change: Change, cut: &mut bool) {
    if let Some(counts) = map.get_mut(key) {
        *counts.entry(change).or_default() += 1;
    } else if map.len() < KEYS_MAX {
        map.insert(key.to_owned(), BTreeMap::from([(change, 1)]));
    } else {
        *cut = true;
    }
}

const KEYS_MAX: usize = 10_000;
/// Receipts that are named of each change.
const EXAMPLES_EACH: u64 = 10;
