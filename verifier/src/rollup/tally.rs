//! Counts one day of the log again and compares with what a rollup claims, field by field; it reads no claim while it counts.

use super::read::{GROUPS, Rollup};
use crate::error::{Flaw, flaw};
use crate::json::Value;
use crate::json::canonical;
use crate::json::fields::Fields;
use crate::json::text::short;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Sums over the entries of one day.
#[derive(Default)]
pub(super) struct Tally {
    groups: BTreeMap<&'static str, BTreeMap<String, i64>>,
    streams: BTreeMap<(String, i64), (i64, i64, i64)>,
    policies: Vec<Value<'static>>,
    switches: Vec<Value<'static>>,
    decisions: i64,
    late: i64,
}

impl Tally {
    /// Adds the entry at this index; a batch of a later day has no place in `day`.
    pub(super) fn add(&mut self, day: &str, index: u64, bytes: &[u8]) -> Result<(), Flaw> {
        let value = canonical::parse(bytes)?;
        let mut entry = Fields::of(&value)?;
        let kind = entry.text("kind")?.to_owned();
        let at = entry.text("at")?.get(..10).unwrap_or_default();
        if kind == "batch" && at > day {
            return flaw(format!("a batch of {}, a later day", short(at)));
        }
        self.late += i64::from(at < day);
        self.count("counts", &kind);
        if kind != "batch" {
            self.place(&mut entry, kind == "receipt")?;
        }
        match kind.as_str() {
            "receipt" => self.receipt(&mut entry)?,
            "policy" => {
                let names = ["at", "digest", "mode", "name", "version"];
                self.policies.push(picked(&mut entry, index, names)?);
            }
            "switch" => {
                self.switches.push(picked(&mut entry, index, ["at", "by", "level", "reason"])?);
            }
            "gap" => {
                self.count("gaps", "entries");
                match entry.maybe_whole("count")? {
                    Some(lost) => self.more("gaps", "lost", signed(lost)),
                    None => self.count("gaps", "uncounted"),
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn receipt(&mut self, entry: &mut Fields<'_, '_>) -> Result<(), Flaw> {
        if entry.text("phase")? == "outcome" {
            return Ok(());
        }
        self.decisions += 1;
        let mut caller = entry.object("caller")?;
        self.count("actor_kinds", caller.text("actor_kind")?);
        if let Some(tenant) = caller.maybe_text("tenant")? {
            self.count("tenants", tenant);
        }
        self.count("verbs", entry.object("action")?.text("verb")?);
        let mut decision = entry.object("decision")?;
        let verdict = decision.text("verdict")?;
        self.count("verdicts", verdict);
        if verdict != "allow" {
            self.count("denials", if decision.bool("enforced")? { "enforced" } else { "shadow" });
        }
        if let Some(Value::List(rules)) = decision.maybe("rules") {
            for rule in rules {
                let mut rule = Fields::of(rule)?;
                if rule.text("verdict")? != "allow" {
                    self.count("rules", rule.text("id")?);
                }
            }
        }
        Ok(())
    }

    fn place(&mut self, entry: &mut Fields<'_, '_>, is_receipt: bool) -> Result<(), Flaw> {
        let mut stream = entry.object("stream")?;
        let (gateway, epoch, seq) = (stream.text("gateway")?, stream.whole("epoch")?, stream.whole("seq")?);
        let seq = signed(seq);
        let seen = self.streams.entry((gateway.to_owned(), signed(epoch))).or_insert((seq, seq, 0));
        seen.1 = seq;
        seen.2 += i64::from(is_receipt);
        Ok(())
    }

    fn count(&mut self, group: &'static str, name: &str) {
        self.more(group, name, 1);
    }

    fn more(&mut self, group: &'static str, name: &str, count: i64) {
        let held = self.groups.entry(group).or_default().entry(name.to_owned()).or_default();
        *held = held.saturating_add(count);
    }

    /// Whether the rollup claims exactly this.
    pub(super) fn equals(&self, rollup: &Rollup) -> Result<(), Flaw> {
        rollup.ask(|predicate| {
            let mut claimed = Fields::of(predicate)?;
            for name in ["day", "previous", "log", "producer", "spec"] {
                claimed.any(name)?;
            }
            for (name, due) in self.due() {
                if spelled(claimed.any(name)?) != spelled(&due) {
                    return flaw(format!("field `{name}` is not what the log adds up to"));
                }
            }
            claimed.end()
        })
    }

    fn due(&self) -> BTreeMap<&'static str, Value<'static>> {
        let mut due = BTreeMap::new();
        for group in GROUPS {
            let members = self.groups.get(group).into_iter().flatten();
            let members = members.map(|(name, count)| (Cow::from(name.clone()), Value::Whole(*count)));
            due.insert(group, Value::Object(members.collect()));
        }
        let streams = self.streams.iter().map(|((gateway, epoch), (first, last, receipts))| {
            Value::Object(vec![
                ("epoch".into(), Value::Whole(*epoch)),
                ("first_seq".into(), Value::Whole(*first)),
                ("gateway".into(), Value::Text(gateway.clone().into())),
                ("last_seq".into(), Value::Whole(*last)),
                ("receipts".into(), Value::Whole(*receipts)),
            ])
        });
        due.insert("streams", Value::List(streams.collect()));
        due.insert("decisions", Value::Whole(self.decisions));
        due.insert("late", Value::Whole(self.late));
        due.insert("policies", Value::List(self.policies.clone()));
        due.insert("switches", Value::List(self.switches.clone()));
        due
    }
}

fn picked<const N: usize>(
    entry: &mut Fields<'_, '_>,
    index: u64,
    names: [&'static str; N],
) -> Result<Value<'static>, Flaw> {
    let mut members = vec![(Cow::from("index"), Value::Whole(signed(index)))];
    for name in names {
        let value = match entry.any(name)? {
            Value::Text(text) => Value::Text(text.to_string().into()),
            Value::Whole(number) => Value::Whole(*number),
            _ => return flaw(format!("field `{name}` is neither text nor number")),
        };
        members.push((name.into(), value));
    }
    Ok(Value::Object(members))
}

fn spelled(value: &Value<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    canonical::write(value, &mut bytes);
    bytes
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
