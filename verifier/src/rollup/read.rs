//! One rollup as it was read: its envelope, its fields, the table that it must have; it adds up nothing.

use crate::error::{Flaw, flaw};
use crate::json::Value;
use crate::json::canonical;
use crate::json::fields::Fields;
use crate::json::text;
use crate::read::envelope::{self, Envelope};
use crate::read::tree::{Hash, sha256};
use crate::trust::{Role, Trust};
use clyra_spec::media;

/// A rollup, not verified yet.
pub(super) struct Rollup {
    pub(super) day: String,
    pub(super) origin: String,
    pub(super) first: u64,
    pub(super) size: u64,
    pub(super) root: Hash,
    pub(super) previous: Hash,
    pub(super) table_digest: Hash,
    pub(super) table: Option<Vec<u8>>,
    /// SHA-256 of the file, the `previous` of the next one.
    pub(super) digest: Hash,
    envelope: Envelope,
}

/// Reads a rollup whose file has this name.
pub(super) fn read(bytes: &[u8], table: Option<Vec<u8>>, name: &str) -> Result<Rollup, Flaw> {
    let value = canonical::parse(bytes)?;
    let envelope = envelope::read(&value, media::STATEMENT_PAYLOAD_TYPE)?;
    let payload = envelope.payload.clone();
    let statement = canonical::parse(&payload)?;
    let mut fields = Fields::of(&statement)?;
    fields.one_of("_type", &[media::STATEMENT_TYPE])?;
    fields.one_of("predicateType", &[media::ROLLUP_PREDICATE])?;
    let mut predicate = fields.object("predicate")?;
    predicate.one_of("spec", &["clyra.dev/spec/rollup/v1"])?;
    let day = predicate.text("day")?.to_owned();
    text::time(&format!("{day}T00:00:00Z")).map_err(|flaw| flaw.at("field `day`"))?;
    if name != format!("{day}.json") {
        return flaw(format!("it is of day `{day}`, `{day}.json` is its name"));
    }
    let previous = predicate.hex::<32>("previous")?;
    let mut log = predicate.object("log")?;
    let (origin, root) = (log.text("origin")?.to_owned(), log.hex::<32>("root")?);
    let (first, size) = (log.whole("first")?, log.whole("size")?);
    log.end()?;
    if first > size {
        return flaw(format!("it begins with entry {first} and ends before entry {size}"));
    }
    let [subject] = fields.list("subject")? else { return flaw("its subject is not one table") };
    let mut subject = Fields::of(subject)?;
    subject.one_of("name", &[&format!("{day}.csv")])?;
    let mut digest = subject.object("digest")?;
    let table_digest = digest.hex::<32>("sha256")?;
    digest.end()?;
    subject.end()?;
    fields.end()?;
    let digest = sha256(bytes);
    Ok(Rollup { day, origin, first, size, root, previous, table_digest, table, digest, envelope })
}

impl Rollup {
    /// Whether a trusted recorder signed it.
    pub(super) fn signer(&self, trust: &Trust) -> Result<(), Flaw> {
        self.envelope.signer(trust, Role::Recorder).map(drop)
    }

    /// Puts a question to the predicate.
    pub(super) fn ask<T>(&self, ask: impl FnOnce(&Value<'_>) -> Result<T, Flaw>) -> Result<T, Flaw> {
        let statement = canonical::parse(&self.envelope.payload)?;
        ask(Fields::of(&statement)?.any("predicate")?)
    }

    /// The table that follows from the counts.
    pub(super) fn due_table(&self) -> Vec<u8> {
        let table = self.ask(|predicate| {
            let mut fields = Fields::of(predicate)?;
            let mut text = String::from("day,group,name,count\n");
            for group in GROUPS {
                let Value::Object(members) = fields.any(group)? else { return flaw("no object") };
                for (name, count) in members {
                    let Value::Whole(count) = count else { return flaw("no number") };
                    text.push_str(&format!("{},{group},{},{count}\n", self.day, cell(name)));
                }
            }
            Ok(text.into_bytes())
        });
        table.unwrap_or_default()
    }
}

fn cell(text: &str) -> String {
    let plain = !text.chars().any(|letter| matches!(letter, ',' | '"' | '\n' | '\r'));
    if plain { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

/// The day after a day, both as `2026-11-24`.
pub(super) fn day_after(day: &str) -> Option<String> {
    let mut parts = day.split('-').map(|part| part.parse::<u32>().ok());
    let (year, month, date) = (parts.next()??, parts.next()??, parts.next()??);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let (year, month, date) = match (date < last, month) {
        (true, _) => (year, month, date + 1),
        (false, 12) => (year + 1, 1, 1),
        (false, _) => (year, month + 1, 1),
    };
    Some(format!("{year:04}-{month:02}-{date:02}"))
}

/// What is counted by name, in the order of the table.
pub(super) const GROUPS: [&str; 8] =
    ["actor_kinds", "counts", "denials", "gaps", "rules", "tenants", "verbs", "verdicts"];

#[cfg(test)]
mod tests {
    use super::{cell, day_after};

    #[test]
    fn days_follow_days() {
        for (day, next) in [
            ("2026-11-24", "2026-11-25"),
            ("2026-12-31", "2027-01-01"),
            ("2028-02-28", "2028-02-29"),
            ("2100-02-28", "2100-03-01"),
            ("2026-04-30", "2026-05-01"),
        ] {
            assert_eq!(day_after(day).as_deref(), Some(next));
        }
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
