//! What no grammar shows: views, rules, functions, inheritance, operators and casts of a database, as a snapshot. It
//! never holds the body of anything, only what the body touches.

mod naming;
mod server;
mod widen;

pub use naming::{Changed, Naming, Standing};

use crate::CatalogError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A snapshot of what a database defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    snapshot: Snapshot,
    /// Places in the snapshot by the last part of a name.
    relations: BTreeMap<Box<str>, Vec<usize>>,
    functions: BTreeMap<Box<str>, Vec<usize>>,
    /// Places of the tables that inherit from a table, by its whole name.
    children: BTreeMap<Box<str>, Vec<usize>>,
}

impl Catalog {
    /// One query whose one value [`Catalog::of_server`] reads; it needs PostgreSQL 14 and `search_path` at `pg_catalog`.
    pub const QUERY: &str = include_str!("query.sql");

    /// One query whose one value changes with everything that [`Catalog::QUERY`] tells, and is much cheaper to ask
    /// for; it needs `search_path` at `pg_catalog`, too.
    pub const DIGEST: &str = include_str!("digest.sql");

    /// Makes a snapshot of what the server answered to [`Catalog::QUERY`].
    ///
    /// # Errors
    /// When the answer is none to that query.
    pub fn of_server(answer: &str) -> Result<Self, CatalogError> {
        server::snapshot(answer).map(Self::index)
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// When the text is no snapshot.
    pub fn parse(json: &str) -> Result<Self, CatalogError> {
        let snapshot: Snapshot = serde_json::from_str(json)?;
        if snapshot.format != FORMAT {
            return Err(CatalogError::Format(snapshot.format));
        }
        Ok(Self::index(snapshot))
    }

    /// The snapshot as JSON, one definition a line.
    ///
    /// # Errors
    /// Never for a snapshot that was read or made here.
    pub fn to_json(&self) -> Result<String, CatalogError> {
        Ok(serde_json::to_string_pretty(&self.snapshot)?)
    }

    /// The database that it was taken of.
    pub fn database(&self) -> &str {
        &self.snapshot.database
    }

    /// Whether anything in it bears this name, in whatever schema.
    pub fn has(&self, name: &str) -> bool {
        self.relations.contains_key(last(name)) || self.functions.contains_key(last(name))
    }

    /// Tables and views in it.
    pub fn relations(&self) -> usize {
        self.snapshot.relations.len()
    }

    /// Functions in it.
    pub fn functions(&self) -> usize {
        self.snapshot.functions.len()
    }

    fn index(snapshot: Snapshot) -> Self {
        let mut catalog = Self {
            relations: BTreeMap::new(),
            functions: BTreeMap::new(),
            children: BTreeMap::new(),
            snapshot,
        };
        for (place, relation) in catalog.snapshot.relations.iter().enumerate() {
            catalog.relations.entry(last(&relation.name).into()).or_default().push(place);
            for parent in &relation.parents {
                catalog.children.entry(parent.clone()).or_default().push(place);
            }
        }
        for (place, function) in catalog.snapshot.functions.iter().enumerate() {
            catalog.functions.entry(last(&function.name).into()).or_default().push(place);
        }
        catalog
    }
}

/// The last part of a name, unquoted names only; a quoted one is its own last part.
fn last(name: &str) -> &str {
    if name.ends_with('"') { name } else { name.rsplit_once('.').map_or(name, |(_, last)| last) }
}

/// What stands in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot {
    format: u32,
    database: Box<str>,
    server_version: Box<str>,
    relations: Vec<Relation>,
    functions: Vec<Function>,
    operators: Vec<Operator>,
    types: Vec<Type>,
}

/// A table, view, or sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Relation {
    name: Box<str>,
    kind: Box<str>,
    owner: Box<str>,
    row_security: bool,
    row_security_forced: bool,
    columns: Vec<Box<str>>,
    /// What it inherits from, or is a partition of.
    parents: Vec<Box<str>>,
    /// What a view reads and calls.
    reads: Vec<Box<str>>,
    calls: Vec<Box<str>>,
    /// What rules and triggers touch and call when it is written.
    on_write_touches: Vec<Box<str>>,
    on_write_calls: Vec<Box<str>>,
}

/// A function, procedure or aggregate, with what its body does where that can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Function {
    name: Box<str>,
    volatility: Box<str>,
    security_definer: bool,
    gives_rows: bool,
    language: Box<str>,
    extension: bool,
    /// Where bare names in its body lead, where it says so itself, as the setting is written.
    search_path: Option<Box<str>>,
    /// Its only argument is a row of this table, so that it can be called like a column.
    row_argument: Option<Box<str>>,
    verbs: Vec<Box<str>>,
    reads: Vec<Box<str>>,
    writes: Vec<Box<str>>,
    calls: Vec<Box<str>>,
    /// Its body cannot be read, or runs what stands in a text.
    unread: bool,
}

/// An operator and its function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Operator {
    name: Box<str>,
    function: Box<str>,
}

/// A type, and the functions that casts to and from it, and its checks, may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Type {
    name: Box<str>,
    functions: Vec<Box<str>>,
}

/// The format of the file.
const FORMAT: u32 = 2;

#[cfg(test)]
mod tests;
