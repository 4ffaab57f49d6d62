//! What a statement shows beside its verbs and tables: columns, foreign operators and types, the size of its answer,
//! joins without a condition; it never judges, and it never looks at what stands in other statements.

mod answer;
mod behind;
mod cross;
mod own;
mod runs;

pub(crate) use answer::{answer, fetch};
pub(crate) use behind::behind;
pub(crate) use cross::unjoined;
pub(crate) use own::own;
pub use own::{OwnSetting, Said};
pub(crate) use runs::{Plan, Written, plan, written};

use crate::Dialect;
use crate::known::{self, Marks};
use clyra_spec::limits::NAMES_MAX;
use pg_raw_parse::Node;
use pg_raw_parse::list::{CastNodeList, NodeList};
use pg_raw_parse::nodes::{ColumnRef, JoinExpr, RangeVar, SelectStmt, TypeName};

/// The details of one statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Details {
    /// The dialect that the statement is written in.
    pub(crate) dialect: Dialect,
    /// What the lists say of each function that it calls, in the order of the functions.
    pub(crate) marks: Box<[Marks]>,
    /// Columns named: `column`, `name.column` with an alias or table, `name.*` and `name` for whole rows.
    pub(crate) columns: Names,
    /// Aliases and the tables that they stand for.
    pub(crate) aliases: Vec<(Box<str>, Box<str>)>,
    /// Operators that are not the server's own, by name or by schema.
    pub(crate) operators: Names,
    /// Types that are not the server's own.
    pub(crate) types: Names,
    /// How many rows it may answer with.
    pub(crate) answer: Answer,
    /// Whether the server will tell the rows that it writes.
    pub(crate) written: Written,
    /// Whether the planner can be asked what it will cost.
    pub(crate) plan: Plan,
    /// Two tables that are joined without a condition between them.
    pub(crate) cross: Option<Box<str>>,
    /// It keeps code that stands in a text for later, in a function or procedure.
    pub(crate) keeps_code: bool,
    /// It puts the rows of a subquery into one value: `ARRAY(SELECT …)`.
    pub(crate) gathers: bool,
    /// It ends a transaction in two steps, the first of which stays when the session ends.
    pub(crate) two_phase: bool,
    /// A statement before it, in the message or in the session, has changed where names lead.
    pub(crate) path_changed: bool,
    /// Tables that it makes for the session alone.
    pub(crate) temporary: Names,
    /// A name that the catalog does not have, or whose meaning it cannot tell.
    pub(crate) unknown: Option<Box<str>>,
    /// Functions, operators and types of which the catalog says that they only read.
    pub(crate) vouched: Names,
    /// Those of which it says that they may write.
    pub(crate) doubted: Names,
    /// For a statement that is run by name: the arguments, where they are literals.
    pub(crate) arguments: Option<Box<[Option<Box<str>>]>>,
    /// The cursor that it declares, and whether that outlives its transaction.
    pub(crate) declares: Option<(Box<str>, bool)>,
    /// The cursor that it reads from or moves.
    pub(crate) fetches: Option<Box<str>>,
    /// The cursor that it closes; `Some(None)` for all of them.
    pub(crate) closes: Option<Option<Box<str>>>,
    /// Bytes of the whole message.
    pub(crate) message_bytes: u32,
    /// Tags and marks for a receipt, where there are marks.
    pub(crate) marked: Option<Box<[Box<str>]>>,
}

/// How many rows a statement may answer with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It answers with no rows, or with a few about the session.
    #[default]
    Nothing,
    /// With so many at most; where `scalar`, only if no function in it gives more rows than one.
    AtMost { rows: u64, scalar: bool },
    /// With as many as there are; what it lacks.
    Open(&'static str),
}

/// Names in the order found, each once, and whether there were more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    list: Vec<Box<str>>,
    cut: bool,
}

impl Names {
    pub(crate) fn add(&mut self, name: &str) {
        if self.list.iter().any(|known| &**known == name) {
            return;
        }
        if self.list.len() < NAMES_MAX * 4 {
            self.list.push(name.into());
        } else {
            self.cut = true;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|name| &**name)
    }

    /// Adds all of `other`.
    pub(crate) fn take(&mut self, other: &Self) {
        self.cut |= other.cut;
        other.iter().for_each(|name| self.add(name));
    }

    pub(crate) fn first(&self) -> Option<&str> {
        self.iter().next().or(self.cut.then_some("more names than are listed"))
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut
    }

    fn bytes(&self) -> usize {
        self.list.iter().map(|name| name.len() + size_of::<Box<str>>()).sum()
    }
}

impl Details {
    /// About how many bytes these details take beside themselves.
    pub(crate) fn bytes(&self) -> usize {
        let aliases = self.aliases.iter().map(|(alias, table)| alias.len() + table.len() + 32).sum::<usize>();
        [&self.columns, &self.operators, &self.types].iter().map(|names| names.bytes()).sum::<usize>()
            + aliases
            + size_of_val(&*self.marks)
            + self.marked.iter().flatten().map(|mark| mark.len() + size_of::<Box<str>>()).sum::<usize>()
    }

    /// A column, or a whole row, in an expression.
    pub(crate) fn column(&mut self, column: &ColumnRef) {
        let mut parts = column.fields().iter().rev();
        let last = match parts.next() {
            Some(Node::A_Star(_)) => "*",
            Some(node) => node.as_str().unwrap_or("*"),
            None => return,
        };
        match parts.next().and_then(Node::as_str) {
            Some(table) => self.columns.add(&format!("{table}.{last}")),
            // A bare star is read with its FROM clause.
            None if last == "*" => {}
            None => self.columns.add(last),
        }
    }

    /// The tables that a bare `*` in the target list stands for.
    pub(crate) fn stars(&mut self, query: &SelectStmt) {
        let is_star = |node: Node<'_>| match node {
            Node::ColumnRef(column) => {
                column.fields().len() == 1 && matches!(column.fields().first(), Some(Node::A_Star(_)))
            }
            _ => false,
        };
        if query.target_list().iter().any(|target| is_star(target.val())) {
            self.all_of(query.from_clause());
        }
    }

    /// Every column of the tables in a FROM clause.
    pub(crate) fn all_of(&mut self, from: &NodeList) {
        let mut todo: Vec<Node<'_>> = from.iter().collect();
        while let Some(node) = todo.pop() {
            match node {
                Node::RangeVar(table) => self.every_column(table),
                Node::JoinExpr(join) => todo.extend([join.larg(), join.rarg()]),
                Node::RangeTableSample(sample) => todo.push(sample.relation()),
                _ => {}
            }
        }
    }

    pub(crate) fn every_column(&mut self, table: &RangeVar) {
        if let Some(name) = table.alias().and_then(|alias| alias.aliasname()).or(table.relname()) {
            self.columns.add(&format!("{name}.*"));
        }
    }

    /// An alias; one that renames columns hides which of them are meant.
    pub(crate) fn alias(&mut self, table: &RangeVar, name: &str) {
        let Some(alias) = table.alias() else { return };
        let Some(label) = alias.aliasname() else { return };
        if self.aliases.len() < NAMES_MAX * 4 {
            self.aliases.push((label.into(), name.into()));
        } else {
            self.columns.cut = true;
        }
        if !alias.colnames().is_empty() {
            self.columns.add(&format!("{label}.*"));
        }
    }

    /// Columns that a join compares without naming a table.
    pub(crate) fn join(&mut self, join: &JoinExpr) {
        join.using_clause().iter().filter_map(|name| name.sval()).for_each(|name| self.columns.add(name));
        if join.is_natural {
            for side in [join.larg(), join.rarg()] {
                if let Node::RangeVar(table) = side {
                    self.every_column(table);
                }
            }
        }
        // Under the join's own name stand the columns of every table inside.
        if let Some(label) = join.alias().and_then(|alias| alias.aliasname()) {
            self.aliases.push((label.into(), "*".into()));
        }
        if let Some(alias) = join.alias().filter(|alias| !alias.colnames().is_empty()) {
            // Columns under new names, of every table inside.
            self.columns.add(&format!("{}.*", alias.aliasname().unwrap_or_default()));
            for side in [join.larg(), join.rarg()] {
                if let Node::RangeVar(table) = side {
                    self.every_column(table);
                }
            }
        }
    }

    /// An operator by its name parts.
    pub(crate) fn operator(&mut self, name: &NodeList) {
        let last = name.iter().next_back().and_then(Node::as_str).unwrap_or_default();
        let schema = (name.len() > 1).then(|| name.iter().rev().nth(1).and_then(Node::as_str)).flatten();
        match schema {
            None | Some("pg_catalog") if known::is_own_operator(last) => {}
            None | Some("pg_catalog") => self.operators.add(last),
            Some(schema) => self.operators.add(&format!("{schema}.{last}")),
        }
    }

    /// The type of a cast.
    pub(crate) fn cast(&mut self, name: &TypeName) {
        let parts: &CastNodeList<pg_raw_parse::nodes::String> = name.names();
        let mut last = parts.iter().rev().filter_map(|part| part.sval());
        let Some(label) = last.next() else { return };
        let name = match last.next() {
            Some("pg_catalog") | None => label.to_owned(),
            Some(schema) => format!("{schema}.{label}"),
        };
        if !known::is_own_type(&name) {
            self.types.add(&name);
        }
    }
}
