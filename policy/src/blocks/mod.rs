//! What a fence must know of a statement, query block by query block; it never judges, and is only read when asked.
//!
//! A block is one SELECT without its set operations, one UPDATE, DELETE or MERGE. It has items, which are what its
//! FROM lists, and conditions: equalities at the top level of its WHERE and ONs. The items under a join are
//! neighbours, so that a range of places says which of them a condition sees and which of them it filters.

mod from;
mod leak;
mod term;
mod walk;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

/// What one statement asks of which tables.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Byte of the message at which the statement begins.
    pub(crate) start: u32,
    /// A statement, or a part of one, whose rows cannot be told.
    pub(crate) refused: Option<(String, u32)>,
    /// Its query blocks, those of CTEs and subqueries too.
    pub(crate) blocks: Vec<Block>,
    /// What it changes.
    pub(crate) changes: Vec<Change>,
    /// Tables used as a whole: COPY and LOCK.
    pub(crate) wholes: Vec<(Name, u32)>,
    /// Functions called.
    pub(crate) functions: Vec<(Name, u32)>,
    /// Parameters as they are used, each as often as it stands there.
    pub(crate) uses: Vec<Use>,
    /// For a statement that is prepared by text: whether each type that it declares is one that [`Value`] sees through.
    pub(crate) declared: Vec<bool>,
    /// For one that runs a prepared statement: its arguments, where they are literals.
    pub(crate) arguments: Vec<Option<Box<str>>>,
}

/// One place where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) number: u32,
    /// Without a cast around it, so that what stands beside it may say what type it has.
    pub(crate) bare: bool,
}

/// One query block.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) items: Vec<Item>,
    pub(crate) conditions: Vec<Condition>,
    /// A join by USING or NATURAL: a bare column name may stand for a column of both sides.
    pub(crate) merges: bool,
    /// Something in a condition that may fail, and so tell of rows that the condition leaves out.
    pub(crate) leak: Option<(String, u32)>,
    /// It has no WHERE of its own.
    pub(crate) fixed: bool,
}

/// An item of a FROM, or the target of a change.
#[derive(Debug)]
pub(crate) struct Item {
    /// The table; nothing for a subquery, a CTE, a function.
    pub(crate) table: Option<Name>,
    /// The name by which columns are qualified.
    pub(crate) alias: Box<str>,
    /// Its columns cannot be told by their names: it, or a join around it, has an alias that renames or hides them.
    pub(crate) veiled: bool,
    /// An outer join may give a row without it.
    pub(crate) nullable: bool,
    /// Byte of the message at which it stands.
    pub(crate) at: u32,
}

/// An equality that holds for every row of the items in `holds`.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) left: Column,
    pub(crate) right: Operand,
    /// Places of the items whose columns it can name.
    pub(crate) sees: Range<usize>,
    /// Places of the items that it filters.
    pub(crate) holds: Range<usize>,
}

/// The right side of a condition.
#[derive(Debug)]
pub(crate) enum Operand {
    Value(Value),
    Column(Column),
}

/// A column as written.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) schema: Option<Box<str>>,
    pub(crate) table: Option<Box<str>>,
    pub(crate) name: Box<str>,
}

/// A value that stands in the statement, or comes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Literal(Box<str>),
    /// A parameter; `bare` without a cast around it.
    Parameter {
        number: u32,
        bare: bool,
    },
}

/// A change of a table.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) table: Name,
    pub(crate) at: u32,
    pub(crate) does: Does,
}

/// What a change does.
#[derive(Debug)]
pub(crate) enum Does {
    /// New rows: each listed column with its values, `None` when one of them is no plain value; nothing when the
    /// columns are not listed.
    Insert(Option<Columns>),
    /// Rows of a block are changed or deleted: what is assigned.
    Rows(Vec<(Box<str>, Option<Value>)>),
    /// Rows that an INSERT meets are changed: what is assigned, and the conditions on them.
    Conflict { alias: Box<str>, sets: Vec<(Box<str>, Option<Value>)>, conditions: Vec<Condition>, leak: bool },
}

/// Columns with all of their values; `None` where one is no plain value.
pub(crate) type Columns = Vec<(Box<str>, Option<Vec<Value>>)>;

/// A name of at most two parts, folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) schema: Option<Box<str>>,
    pub(crate) name: Box<str>,
}

impl Name {
    /// `schema.name` or `name`, with quotes around parts that would read as something else without them.
    pub(crate) fn dotted(&self) -> String {
        let quoted = |part: &str| {
            if part.is_empty() || part.contains(['.', '*', '"']) {
                format!("\"{}\"", part.replace('"', "\"\""))
            } else {
                part.to_owned()
            }
        };
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(&self.name)),
            None => quoted(&self.name),
        }
    }
}

/// The way from a statement's facts to its reading, which is made at the first call and kept.
#[derive(Clone, Default)]
pub(crate) struct Link {
    source: Option<Arc<Source>>,
    place: usize,
}

struct Source {
    text: Box<str>,
    readings: OnceLock<Box<[Reading]>>,
}

impl Link {
    /// Links to the statements of `text`, in order, without an end.
    pub(crate) fn all(text: &str) -> impl Iterator<Item = Self> {
        let source = Arc::new(Source { text: text.into(), readings: OnceLock::new() });
        (0..).map(move |place| Self { source: Some(Arc::clone(&source)), place })
    }

    /// The statement's reading; nothing when there is none.
    pub(crate) fn reading(&self) -> Option<&Reading> {
        let source = self.source.as_deref()?;
        source.readings.get_or_init(|| read(&source.text)).get(self.place)
    }

    /// The text of the whole message.
    pub(crate) fn text(&self) -> Option<&str> {
        self.source.as_deref().map(|source| &*source.text)
    }

    /// The character, from 1, at a byte of the message.
    pub(crate) fn character(&self, at: u32) -> u32 {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let before = |text: &str| text.char_indices().take_while(|(place, _)| *place < at).count();
        let count = self.source.as_deref().map_or(0, |source| before(&source.text));
        u32::try_from(count).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// Where a statement came from is no part of what it does.
impl PartialEq for Link {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Link {}

impl std::fmt::Debug for Link {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Link")
    }
}

/// Reads all statements; nothing at all when the parser fails, which leaves every fence shut.
fn read(text: &str) -> Box<[Reading]> {
    catch_unwind(AssertUnwindSafe(|| walk::read(text))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Link, Value};

    #[test]
    fn readings_are_made_once_and_found_by_place() {
        let text = "select 1; update é.t x set a = $2 where x.a = 'ü'; drop table t";
        let links: Vec<_> = Link::all(text).take(4).collect();
        let reading = links[1].reading().unwrap();
        assert!(std::ptr::eq(reading, links[1].clone().reading().unwrap()));
        let item = &reading.blocks[0].items[0];
        assert_eq!((item.alias.as_ref(), links[1].character(item.at)), ("x", 18));
        assert_eq!(item.table.as_ref().unwrap().dotted(), "é.t");
        let super::Does::Rows(sets) = &reading.changes[0].does else { panic!() };
        assert_eq!(sets[0].1, Some(Value::Parameter { number: 2, bare: true }));
        assert!(links[2].reading().unwrap().refused.is_some());
        assert!(links[3].reading().is_none() && Link::default().reading().is_none());
    }
}
