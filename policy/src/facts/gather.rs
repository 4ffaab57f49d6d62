//! Collects what a walk over one statement finds: verbs, names, tags, scopes; it never reads the tree itself.

use super::{Setting, StatementFacts, Target};
use crate::Verbs;
use crate::blocks::Link;
use crate::detail::Details;
use clyra_spec::{Verb, limits::NAMES_MAX};
use pg_raw_parse::{Node, nodes::RangeVar};

/// The place in a statement where names are looked up: an index into the list of scopes.
pub(super) type Scope = usize;

/// The scope in which no CTE is visible.
pub(super) const OUTSIDE: Scope = 0;

/// What has been found so far, and what is still to be visited.
pub(super) struct Gather<'a> {
    /// Verbs of what runs, strongest and all.
    pub(super) strongest: Verb,
    pub(super) verbs: Verbs,
    /// What the guards look at.
    pub(super) reads: Names,
    pub(super) writes: Names,
    pub(super) functions: Names,
    pub(super) tags: Names,
    pub(super) targets: Vec<Target>,
    pub(super) settings: Vec<Setting>,
    /// Prepared statements by name.
    pub(super) prepares: Option<Box<str>>,
    pub(super) executes: Option<Box<str>>,
    pub(super) deallocates: Option<Option<Box<str>>>,
    /// What stands out beside verbs and tables.
    pub(super) details: Details,
    /// Nodes still to be visited: a list instead of recursion, so that depth costs no stack.
    todo: Vec<(Node<'a>, Scope)>,
    scopes: Vec<(Scope, Option<&'a str>)>,
    fuel: usize,
    /// What is read is the body of a function that stands in a text.
    pub(super) inner: bool,
}

/// What stopped a walk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A kind of node that these facts do not cover.
    Unknown(&'static str),
    /// More work than one statement may cost.
    TooMuch,
}

impl<'a> Gather<'a> {
    pub(super) fn new() -> Self {
        Self {
            strongest: Verb::Empty,
            verbs: Verbs::default(),
            reads: Names::default(),
            writes: Names::default(),
            functions: Names::default(),
            tags: Names::default(),
            targets: Vec::new(),
            settings: Vec::new(),
            prepares: None,
            executes: None,
            deallocates: None,
            details: Details::default(),
            todo: Vec::new(),
            scopes: vec![(OUTSIDE, None)],
            fuel: STEPS_MAX,
            inner: false,
        }
    }

    /// The statement has this verb.
    pub(super) fn note(&mut self, verb: Verb) {
        self.strongest = self.strongest.max(verb);
        self.verbs.insert(verb);
    }

    /// The statement does this as well, but is not named by it.
    pub(super) fn also(&mut self, verb: Verb) {
        self.verbs.insert(verb);
    }

    pub(super) fn tag(&mut self, tag: &str) {
        self.tags.add(tag.to_owned());
    }

    /// Puts a node on the list of those to be visited.
    pub(super) fn visit(&mut self, node: Node<'a>, scope: Scope) {
        if !matches!(node, Node::None) {
            self.todo.push((node, scope));
        }
    }

    /// Takes the next node from the list.
    pub(super) fn next(&mut self) -> Result<Option<(Node<'a>, Scope)>, Stop> {
        self.burn()?;
        Ok(self.todo.pop())
    }

    /// A scope inside `outer` in which a CTE called `name` is visible.
    pub(super) fn scope(&mut self, outer: Scope, name: Option<&'a str>) -> Scope {
        self.scopes.push((outer, name));
        self.scopes.len() - 1
    }

    /// A table in a FROM clause, unless a CTE in sight has its name. A schema always means a table.
    pub(super) fn read(&mut self, table: &RangeVar, scope: Scope) -> Result<(), Stop> {
        if table.schemaname().is_some() || !self.hides(table.relname(), scope)? {
            let name = name_of(table);
            self.details.alias(table, &name);
            self.reads.add(name);
        }
        Ok(())
    }

    fn hides(&mut self, name: Option<&str>, mut scope: Scope) -> Result<bool, Stop> {
        while let Some((outer, cte)) = self.scopes.get(scope).copied().filter(|_| scope != OUTSIDE) {
            self.burn()?;
            if cte.is_some() && cte == name {
                return Ok(true);
            }
            scope = outer;
        }
        Ok(false)
    }

    /// Takes over what was found in statements that stand for this one.
    pub(super) fn take(&mut self, statements: Box<[StatementFacts]>) {
        for one in statements {
            self.note(one.verb);
            self.verbs.extend(one.verbs);
            one.reads.into_iter().for_each(|name| self.reads.add(name.into()));
            one.writes.into_iter().for_each(|name| self.writes.add(name.into()));
            one.functions.into_iter().for_each(|name| self.functions.add(name.into()));
            self.details = one.details;
        }
    }

    fn burn(&mut self) -> Result<(), Stop> {
        self.fuel = self.fuel.checked_sub(1).ok_or(Stop::TooMuch)?;
        Ok(())
    }

    /// The facts of the statement at `span`.
    pub(super) fn into_facts(mut self, shape: [u8; 32], span: (u32, u32), position: u32) -> StatementFacts {
        if [&self.reads, &self.writes, &self.functions].iter().any(|names| names.cut) {
            self.tag("names_truncated");
        }
        StatementFacts {
            verb: self.strongest,
            verbs: self.verbs,
            reads: self.reads.into_list(),
            writes: self.writes.into_list(),
            functions: self.functions.into_list(),
            tags: self.tags.into_list(),
            targets: self.targets.into(),
            settings: self.settings.into(),
            shape,
            span,
            position,
            prepares: self.prepares,
            executes: self.executes,
            deallocates: self.deallocates,
            claims: None,
            own: None,
            details: self.details,
            blocks: Link::default(),
        }
        .mark()
    }
}

/// Names in the order found, each once, at most [`NAMES_MAX`].
#[derive(Default)]
pub(super) struct Names {
    list: Vec<Box<str>>,
    cut: bool,
}

impl Names {
    pub(super) fn add(&mut self, name: String) {
        if self.contains(&name) {
            return;
        }
        if self.list.len() < NAMES_MAX {
            self.list.push(name.into_boxed_str());
        } else {
            self.cut = true;
        }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.list.iter().any(|known| &**known == name)
    }

    /// Adds all of `other`, which is empty afterwards.
    pub(super) fn take(&mut self, other: &mut Self) {
        self.cut |= other.cut;
        for name in std::mem::take(&mut other.list) {
            self.add(name.into());
        }
    }

    fn into_list(self) -> Box<[Box<str>]> {
        self.list.into_boxed_slice()
    }
}

/// `schema.table` or `table`; the database in front, which must be the current one, is dropped.
pub(super) fn name_of(table: &RangeVar) -> String {
    join([table.schemaname(), table.relname()].into_iter().flatten())
}

/// `schema.name` of an object of the catalog.
pub(crate) fn dotted(schema: &str, name: &str) -> Box<str> {
    join([schema, name].into_iter()).into()
}

/// Another name in the schema of a table.
pub(super) fn beside(table: &RangeVar, name: &str) -> String {
    join(table.schemaname().into_iter().chain([name]))
}

/// The last two parts of a dotted name.
pub(crate) fn name_of_parts<'n>(parts: impl DoubleEndedIterator<Item = Node<'n>>) -> String {
    let mut last: Vec<&str> = parts.rev().filter_map(Node::as_str).take(2).collect();
    last.reverse();
    join(last.into_iter())
}

/// Every table of a schema, as a name.
pub(super) fn all_of(schema: &str) -> String {
    let mut name = join(std::iter::once(schema));
    name.push_str(".*");
    name
}

fn join<'n>(parts: impl Iterator<Item = &'n str>) -> String {
    let mut name = String::new();
    for part in parts {
        if !name.is_empty() {
            name.push('.');
        }
        // Quotes stay where the name would read as something else without them.
        if part.is_empty() || part.contains(['.', '*', '"']) {
            name.push('"');
            name.push_str(&part.replace('"', "\"\""));
            name.push('"');
        } else {
            name.push_str(part);
        }
    }
    name
}

/// Steps that one statement may cost: about ten times what the longest harmless statement takes.
const STEPS_MAX: usize = 20_000_000;
