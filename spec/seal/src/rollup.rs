//! Rollups: what one day of a log adds up to, signed and linked to the day before. It adds up only what it is given and never
//! reads a clock.

use crate::key::SigningKey;
use crate::{Error, Hash, canonical, dsse, hex};
use clyra_spec::media::{ROLLUP_PREDICATE, STATEMENT_PAYLOAD_TYPE, STATEMENT_TYPE};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Which day, and which part of which log.
#[derive(Clone, Debug)]
pub struct Day<'a> {
    /// `2026-11-24`, UTC.
    pub day: &'a str,
    /// Name of the log.
    pub origin: &'a str,
    /// Index of the first entry of the day; what the day before ended with.
    pub first: u64,
    /// Entries of the log up to the end of the day.
    pub size: u64,
    /// Root over these.
    pub root: Hash,
    /// SHA-256 of the rollup of the day before; zeros for the first.
    pub previous: Hash,
    /// Name and version of the program.
    pub producer: &'a str,
}

/// A signed rollup and its table.
#[derive(Clone, Debug)]
pub struct Rollup {
    /// The DSSE envelope, one canonical JSON object.
    pub json: Vec<u8>,
    /// The same counts as comma-separated values.
    pub csv: Vec<u8>,
}

/// Sums over the entries of one day, added in the order of the log.
#[derive(Debug, Default)]
pub struct Tally {
    groups: BTreeMap<&'static str, BTreeMap<String, u64>>,
    streams: BTreeMap<(String, u64), [u64; 3]>,
    policies: Vec<Value>,
    switches: Vec<Value>,
    decisions: u64,
    late: u64,
}

impl Tally {
    /// Adds the entry at this index, as one of `day`.
    ///
    /// # Errors
    /// When it is no entry.
    pub fn add(&mut self, day: &str, index: u64, entry: &[u8]) -> Result<(), Error> {
        let entry: Value =
            serde_json::from_slice(entry).map_err(|fault| Error::malformed("entry", fault.to_string()))?;
        let kind = text(&entry, "/kind").ok_or_else(|| Error::malformed("entry", "no kind"))?;
        self.count("counts", kind);
        self.late += u64::from(day_of(&entry).is_some_and(|at| at < day));
        self.place(&entry, kind == "receipt");
        match kind {
            "receipt" => self.receipt(&entry),
            "policy" => {
                self.policies.push(picked(&entry, index, &["at", "digest", "mode", "name", "version"]))
            }
            "switch" => self.switches.push(picked(&entry, index, &["at", "by", "level", "reason"])),
            "gap" => {
                self.count("gaps", "entries");
                match entry.get("count").and_then(Value::as_u64) {
                    Some(lost) => self.more("gaps", "lost", lost),
                    None => self.count("gaps", "uncounted"),
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn receipt(&mut self, entry: &Value) {
        if text(entry, "/phase") == Some("outcome") {
            return;
        }
        self.decisions += 1;
        for (group, at) in [
            ("actor_kinds", "/caller/actor_kind"),
            ("tenants", "/caller/tenant"),
            ("verbs", "/action/verb"),
            ("verdicts", "/decision/verdict"),
        ] {
            if let Some(name) = text(entry, at) {
                self.count(group, name);
            }
        }
        if text(entry, "/decision/verdict").is_some_and(|verdict| verdict != "allow") {
            let enforced = entry.pointer("/decision/enforced").and_then(Value::as_bool) == Some(true);
            self.count("denials", if enforced { "enforced" } else { "shadow" });
        }
        for rule in entry.pointer("/decision/rules").and_then(Value::as_array).into_iter().flatten() {
            if let Some(id) = text(rule, "/id").filter(|_| text(rule, "/verdict") != Some("allow")) {
                self.count("rules", id);
            }
        }
    }

    fn place(&mut self, entry: &Value, is_receipt: bool) {
        let number = |at| entry.pointer(at).and_then(Value::as_u64);
        let (Some(gateway), Some(epoch), Some(seq)) =
            (text(entry, "/stream/gateway"), number("/stream/epoch"), number("/stream/seq"))
        else {
            return;
        };
        let [_, last, receipts] = self.streams.entry((gateway.to_owned(), epoch)).or_insert([seq, seq, 0]);
        *last = seq;
        *receipts += u64::from(is_receipt);
    }

    fn count(&mut self, group: &'static str, name: &str) {
        self.more(group, name, 1);
    }

    fn more(&mut self, group: &'static str, name: &str, count: u64) {
        let held = self.groups.entry(group).or_default().entry(name.to_owned()).or_default();
        *held = held.saturating_add(count);
    }

    fn predicate(&self, day: &Day<'_>) -> Value {
        let mut told = Map::new();
        for group in GROUPS {
            told.insert(group.into(), json!(self.groups.get(group).cloned().unwrap_or_default()));
        }
        let streams: Vec<Value> = self
            .streams
            .iter()
            .map(|((gateway, epoch), [first_seq, last_seq, receipts])| {
                json!({
                    "epoch": epoch, "first_seq": first_seq, "gateway": gateway,
                    "last_seq": last_seq, "receipts": receipts,
                })
            })
            .collect();
        let Day { day, origin, first, size, root, previous, producer } = day;
        let log = json!({"first": first, "origin": origin, "root": hex(root), "size": size});
        for (field, value) in [
            ("day", json!(day)),
            ("decisions", json!(self.decisions)),
            ("late", json!(self.late)),
            ("log", log),
            ("policies", json!(self.policies)),
            ("previous", json!(hex(previous))),
            ("producer", json!(producer)),
            ("spec", json!("clyra.dev/spec/rollup/v1")),
            ("streams", json!(streams)),
            ("switches", json!(self.switches)),
        ] {
            told.insert(field.into(), value);
        }
        Value::Object(told)
    }
}

/// Signs what a day adds up to.
///
/// # Errors
/// When a value cannot be written canonically.
pub fn build(day: &Day<'_>, tally: &Tally, key: &SigningKey) -> Result<Rollup, Error> {
    let predicate = tally.predicate(day);
    let csv = table(day.day, &predicate);
    let statement = json!({
        "_type": STATEMENT_TYPE,
        "predicate": predicate,
        "predicateType": ROLLUP_PREDICATE,
        "subject": [{"digest": {"sha256": hex(&Sha256::digest(&csv))}, "name": format!("{}.csv", day.day)}],
    });
    let json = dsse::sign(STATEMENT_PAYLOAD_TYPE, &canonical::to_vec(&statement)?, key).to_vec()?;
    Ok(Rollup { json, csv })
}

/// The groups of a predicate, one row for each name.
fn table(day: &str, predicate: &Value) -> Vec<u8> {
    let mut text = String::from("day,group,name,count\n");
    for group in GROUPS {
        let members = predicate.get(group).and_then(Value::as_object);
        for (name, count) in members.into_iter().flatten() {
            text.push_str(&format!("{day},{group},{},{count}\n", cell(name)));
        }
    }
    text.into_bytes()
}

/// A cell as RFC 4180 quotes it.
pub fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}

/// The day that an entry says it was written on.
pub fn day_of(entry: &Value) -> Option<&str> {
    text(entry, "/at")?.get(..10)
}

fn text<'e>(entry: &'e Value, at: &str) -> Option<&'e str> {
    entry.pointer(at).and_then(Value::as_str)
}

fn picked(entry: &Value, index: u64, names: &[&str]) -> Value {
    let mut told = Map::from_iter([("index".to_owned(), json!(index))]);
    for name in names {
        told.insert((*name).to_owned(), entry.get(name).cloned().unwrap_or_default());
    }
    Value::Object(told)
}

/// What is counted by name.
const GROUPS: [&str; 8] =
    ["actor_kinds", "counts", "denials", "gaps", "rules", "tenants", "verbs", "verdicts"];
