//! Names as a dialect folds them; it never resolves what they stand for.

use super::Dialect;
use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};
use std::collections::BTreeMap;

/// A name as facts tell it: lower case where the dialect does not tell cases apart, at most three parts. A quoted name
/// that differs only in case from an unquoted one is told both ways, so that no rule takes one for the other.
pub(super) fn told(dialect: Dialect, name: &ObjectName) -> Option<Vec<String>> {
    let mut folded = Vec::new();
    let mut exact = Vec::new();
    for part in &name.0 {
        // A part that is computed can be any name.
        let ObjectNamePart::Identifier(ident) = part else { return None };
        if matches!(ident.quote_style, Some('\''))
            || (dialect == Dialect::Databricks && ident.quote_style == Some('"'))
        {
            return None;
        }
        // In BigQuery one pair of backticks may stand around the whole path.
        let split = dialect == Dialect::BigQuery && ident.quote_style.is_some();
        for value in if split { ident.value.split('.').collect() } else { vec![ident.value.as_str()] } {
            let (fold, is_exact) = fold(dialect, ident, value);
            exact.push(if is_exact { fold.clone() } else { format!("\"{}\"", value.replace('"', "\"\"")) });
            folded.push(fold);
        }
    }
    if folded.len() > PARTS_MAX || folded.is_empty() {
        return None;
    }
    let (folded, exact) = (dotted(&folded), exact.join("."));
    let twice = exact.contains('"') && exact.to_lowercase() != folded;
    Some(if twice || (exact.contains('"') && !folded.contains('"')) {
        vec![folded, exact]
    } else {
        vec![folded]
    })
}

/// The folded name, and whether nothing was lost by folding.
fn fold(dialect: Dialect, ident: &Ident, value: &str) -> (String, bool) {
    match dialect {
        // A missing schema between two dots is the usual one.
        Dialect::Snowflake if value.is_empty() && ident.quote_style.is_none() => ("public".to_owned(), true),
        Dialect::Snowflake => {
            (value.to_lowercase(), ident.quote_style.is_none() || value == value.to_uppercase())
        }
        // Rules fold cases when they refuse, and do not when they allow.
        Dialect::BigQuery => (value.to_owned(), true),
        _ => (value.to_lowercase(), true),
    }
}

fn dotted(parts: &[String]) -> String {
    let quoted = |part: &String| {
        if part.is_empty() || part.contains(['.', '*', '"']) {
            format!("\"{}\"", part.replace('"', "\"\""))
        } else {
            part.clone()
        }
    };
    parts.iter().map(quoted).collect::<Vec<_>>().join(".")
}

/// The name under which a CTE hides a table: equal only where the dialect takes two spellings for the same.
pub(super) fn key(dialect: Dialect, ident: &Ident) -> String {
    match (dialect, ident.quote_style) {
        (Dialect::Snowflake, None) => ident.value.to_uppercase(),
        (Dialect::Databricks, _) => ident.value.to_lowercase(),
        _ => ident.value.clone(),
    }
}

/// A column or a label, which no dialect here tells apart by case unless it is quoted.
pub(super) fn label(ident: &Ident) -> String {
    ident.value.to_lowercase()
}

/// The parts of a name, for functions and settings.
pub(super) fn plain(name: &ObjectName) -> Option<String> {
    let parts: Option<Vec<String>> = name
        .0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => Some(ident.value.to_lowercase()),
            ObjectNamePart::Function(_) => None,
        })
        .collect();
    parts.map(|parts| dotted(&parts))
}

/// Whether a name is that of a stage, or of files under a path.
pub(super) fn is_file(dialect: Dialect, name: &ObjectName) -> bool {
    let parts: Vec<&Ident> = name
        .0
        .iter()
        .filter_map(|part| if let ObjectNamePart::Identifier(ident) = part { Some(ident) } else { None })
        .collect();
    let stage = parts.iter().any(|ident| ident.value.starts_with('@'));
    let by_path = dialect == Dialect::Databricks
        && parts.first().is_some_and(|first| FILE_FORMATS.contains(&first.value.to_lowercase().as_str()));
    stage || by_path
}

/// The CTEs that each query sees: chains that share their beginnings, so that many CTEs cost no more than their number.
#[derive(Default)]
pub(super) struct Ctes {
    /// Each with its key and the one before it.
    all: Vec<(String, Option<usize>)>,
    /// The last one that each CTE's own query sees, by the address of the query.
    inside: BTreeMap<usize, Option<usize>>,
    /// The last one that each open query sees.
    open: Vec<Option<usize>>,
}

impl Ctes {
    /// A query begins.
    pub(super) fn enter(&mut self, query: usize) {
        let outer = self.open.last().copied().flatten();
        self.open.push(self.inside.remove(&query).unwrap_or(outer));
    }

    /// The query that began last ends.
    pub(super) fn leave(&mut self) {
        self.open.pop();
    }

    /// The query that began last has a CTE, whose own query sees those before it; false when there are too many.
    pub(super) fn add(&mut self, key: String, query: usize, recursive: bool) -> bool {
        let before = self.open.pop().flatten();
        let this = Some(self.all.len());
        self.all.push((key, before));
        self.inside.insert(query, if recursive { this } else { before });
        self.open.push(this);
        self.all.len() <= CTES_MAX
    }

    /// Whether a table of that key is one of the CTEs in sight.
    pub(super) fn hides(&self, key: &str) -> bool {
        let mut at = self.open.last().copied().flatten();
        while let Some((own, before)) = at.and_then(|place| self.all.get(place)) {
            if own == key {
                return true;
            }
            at = *before;
        }
        false
    }
}

/// Most CTEs of a statement.
const CTES_MAX: usize = 2_000;
/// Database, schema, table.
const PARTS_MAX: usize = 3;
/// Schemas of Databricks that are none: a path stands behind them.
const FILE_FORMATS: [&str; 9] =
    ["avro", "binaryfile", "cloudfiles", "csv", "delta", "iceberg", "json", "orc", "parquet"];
