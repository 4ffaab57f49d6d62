//! Widens facts by what the catalog knows: tables behind views, functions, rules and inheritance. It only adds, and
//! gives a bare name its schema where there is but one that can be meant.

use super::{Catalog, Function, Relation, last, naming::schemas};
use crate::{Facts, Setting, StatementFacts, known};
use clyra_spec::Verb;
use std::collections::BTreeSet;

impl Catalog {
    /// The facts with everything that they stand for, for a user of whose session nothing is known: by the usual path,
    /// or else by any schema.
    pub(crate) fn widen_usual(&self, facts: &Facts, user: &str, strict: bool) -> Facts {
        let path = [user.into(), "public".into()];
        let none = BTreeSet::new();
        let names = Names {
            path: Some(&path),
            or_anywhere: true,
            temporary: &none,
            hidden: &none,
            made: &none,
            strict,
        };
        self.widen(facts, &names)
    }

    /// The facts with everything that they stand for.
    pub(super) fn widen(&self, facts: &Facts, names: &Names<'_>) -> Facts {
        let mut facts = facts.clone();
        let mut made = names.made.clone();
        for statement in &mut facts.statements {
            let mut walk = Walk::new(self, names, &made);
            walk.statement(statement);
            walk.settle(statement, names.strict);
            made.extend(statement.details.temporary.iter().map(Into::into));
            if statement.verbs.contains(Verb::Create) {
                made.extend(statement.writes.iter().map(|name| last(name).into()));
            }
        }
        facts
    }

    /// Tables that a name may mean: with a bare one all those along the path, since the server passes over schemas that
    /// its user may not use; without a path those of any schema.
    fn meant(&self, name: &str, path: Option<&[Box<str>]>, or_anywhere: bool) -> Vec<&Relation> {
        let named = self.relations.get(last(name)).into_iter().flatten();
        let all: Vec<&Relation> = named.filter_map(|place| self.snapshot.relations.get(*place)).collect();
        if last(name) != name {
            return all.into_iter().filter(|one| &*one.name == name).collect();
        }
        let Some(path) = path else { return all };
        let found: Vec<&Relation> =
            all.iter().copied().filter(|one| stands_in(&one.name, name, path)).collect();
        if found.is_empty() && or_anywhere { all } else { found }
    }

    /// Functions that a name may mean: a bare one those of any schema, or those along the path.
    fn called(&self, name: &str, path: Option<&[Box<str>]>) -> Vec<&Function> {
        let named = self.functions.get(last(name)).into_iter().flatten();
        let all = named.filter_map(|place| self.snapshot.functions.get(*place));
        let is_bare = last(name) == name;
        let reached = |one: &Function| path.is_none_or(|path| stands_in(&one.name, name, path));
        all.filter(|one| &*one.name == name || (is_bare && reached(one))).collect()
    }
}

/// Whether a whole name is a bare one in a schema of the path.
fn stands_in(whole: &str, name: &str, path: &[Box<str>]) -> bool {
    let schema = whole.strip_suffix(name).and_then(|schema| schema.strip_suffix('.'));
    schema.is_some_and(|schema| path.iter().any(|one| &**one == schema))
}

/// Where the names of a session lead.
pub(super) struct Names<'n> {
    /// Schemas, quoted as names are; `None` where nobody knows.
    pub(super) path: Option<&'n [Box<str>]>,
    /// What is not found along the path is looked for in any schema.
    pub(super) or_anywhere: bool,
    /// The session's own tables.
    pub(super) temporary: &'n BTreeSet<Box<str>>,
    /// Those of them whose use may run what nobody has read.
    pub(super) hidden: &'n BTreeSet<Box<str>>,
    /// Tables that the session has made and not committed.
    pub(super) made: &'n BTreeSet<Box<str>>,
    /// A name that cannot be resolved is marked.
    pub(super) strict: bool,
}

/// One statement, and what it has led to so far.
struct Walk<'c> {
    catalog: &'c Catalog,
    names: &'c Names<'c>,
    made: &'c BTreeSet<Box<str>>,
    /// Bare names may lead to any schema.
    anywhere: bool,
    /// Bodies of functions that are being read, outermost first: how each of them finds its own names.
    bodies: Vec<Within>,
    reads: BTreeSet<Box<str>>,
    writes: BTreeSet<Box<str>>,
    calls: BTreeSet<Box<str>>,
    vouched: BTreeSet<Box<str>>,
    doubted: BTreeSet<Box<str>>,
    verbs: Vec<Verb>,
    sets: bool,
    unknown: Option<Box<str>>,
    steps: usize,
}

impl<'c> Walk<'c> {
    fn new(catalog: &'c Catalog, names: &'c Names<'c>, made: &'c BTreeSet<Box<str>>) -> Self {
        Self {
            catalog,
            names,
            made,
            anywhere: false,
            bodies: Vec::new(),
            reads: BTreeSet::new(),
            writes: BTreeSet::new(),
            calls: BTreeSet::new(),
            vouched: BTreeSet::new(),
            doubted: BTreeSet::new(),
            verbs: Vec::new(),
            sets: false,
            unknown: None,
            steps: STEPS_MAX,
        }
    }

    fn statement(&mut self, statement: &StatementFacts) {
        self.anywhere = statement.details.path_changed;
        statement.reads.iter().for_each(|name| self.relation(name, false));
        let makes = matches!(statement.verb, Verb::Create | Verb::Drop);
        for name in &statement.writes {
            if makes && statement.details.temporary.iter().any(|own| own == last(name)) {
                self.writes.insert(format!("pg_temp.{}", last(name)).into());
                continue;
            }
            // What is made now need not be there yet, and what is dropped need not be there any longer.
            if makes && self.meant(name).is_empty() {
                self.writes.insert(name.clone());
            } else {
                self.relation(name, true);
            }
        }
        statement.functions.iter().for_each(|name| self.function(name));
        for name in statement.details.operators.iter() {
            let operators = self.catalog.snapshot.operators.iter().filter(|one| same(&one.name, name));
            let functions: Vec<&str> = operators.map(|one| &*one.function).collect();
            self.hidden(name, &functions);
        }
        for name in statement.details.types.iter() {
            let mut types = self.catalog.snapshot.types.iter().filter(|one| same(&one.name, name)).peekable();
            let known = types.peek().is_some();
            let functions: Vec<&str> =
                types.flat_map(|one| one.functions.iter().map(|name| &**name)).collect();
            if known && functions.is_empty() {
                self.vouched.insert(name.into());
            }
            self.hidden(name, &functions);
        }
        self.columns(statement);
    }

    fn meant(&self, name: &str) -> Vec<&'c Relation> {
        match self.bodies.last() {
            // Whatever a body may mean by a name counts.
            Some(Within::Anywhere) => self.catalog.meant(name, None, true),
            Some(Within::Path(path)) => self.catalog.meant(name, Some(path), true),
            None if self.anywhere => self.catalog.meant(name, None, true),
            None => self.catalog.meant(name, self.names.path, self.names.or_anywhere),
        }
    }

    fn called(&self, name: &str) -> Vec<&'c Function> {
        let path = if self.anywhere || !self.bodies.is_empty() { None } else { self.names.path };
        self.catalog.called(name, path.filter(|_| !self.names.or_anywhere))
    }

    /// A table of the session's own; a bare name may still mean another beside it.
    fn temporary(&mut self, name: &str, writes: bool) -> bool {
        let bare = name.strip_prefix("pg_temp.").unwrap_or(name);
        if bare != last(bare) || !self.names.temporary.contains(bare) {
            return false;
        }
        self.note(&format!("pg_temp.{bare}"), writes);
        if self.names.hidden.contains(bare) {
            self.unknown.get_or_insert_with(|| name.into());
        }
        true
    }

    /// A table that is read or written, with everything behind it.
    fn relation(&mut self, name: &str, writes: bool) {
        if !self.step() {
            return;
        }
        let temporary = self.temporary(name, writes);
        let meant = self.meant(name);
        if meant.is_empty() && !temporary {
            let own =
                name.starts_with("pg_") || name.starts_with("information_schema.") || name.ends_with('*');
            if !own && !self.made.contains(last(name)) {
                self.unknown.get_or_insert_with(|| name.into());
            }
            self.note(name, writes);
        }
        for relation in meant {
            if self.note(&relation.name, writes) {
                self.behind(relation, writes);
            }
        }
    }

    fn behind(&mut self, relation: &'c Relation, writes: bool) {
        for name in &relation.reads {
            self.relation(name, false);
            if writes {
                self.relation(name, true);
            }
        }
        relation.calls.iter().for_each(|name| self.function(name));
        let children: Vec<&Relation> = self
            .catalog
            .children
            .get(&relation.name)
            .into_iter()
            .flatten()
            .filter_map(|place| self.catalog.snapshot.relations.get(*place))
            .collect();
        children.into_iter().for_each(|child| self.relation(&child.name, writes));
        if writes {
            for name in &relation.on_write_touches {
                self.relation(name, false);
                self.relation(name, true);
            }
            relation.on_write_calls.iter().for_each(|name| self.function(name));
        }
    }

    /// Notes a table; false when it was noted before.
    fn note(&mut self, name: &str, writes: bool) -> bool {
        if writes { self.writes.insert(name.into()) } else { self.reads.insert(name.into()) }
    }

    /// A function that is called, with everything that its body does.
    fn function(&mut self, name: &str) {
        if !self.step() || !self.calls.insert(name.into()) {
            return;
        }
        self.sets |= known::own(name) == Some("set_config");
        let found = self.called(name);
        if found.is_empty() {
            if !known::is_server_function(name) {
                self.unknown.get_or_insert_with(|| name.into());
            }
            return;
        }
        for function in &found {
            if function.unread {
                self.unknown.get_or_insert_with(|| name.into());
            }
            let verbs = function.verbs.iter();
            self.verbs
                .extend(verbs.filter_map(|word| Verb::ALL.into_iter().find(|verb| verb.as_str() == &**word)));
            self.bodies.push(within(function));
            function.reads.iter().for_each(|name| self.relation(name, false));
            function.writes.iter().for_each(|name| self.relation(name, true));
            function.calls.iter().for_each(|name| self.function(name));
            self.bodies.pop();
        }
        if found.iter().all(|one| self.only_reads(one, DEPTH_MAX)) {
            self.vouched.insert(name.into());
        } else {
            self.doubted.insert(name.into());
        }
    }

    /// Functions that are called without being named.
    fn hidden(&mut self, name: &str, functions: &[&str]) {
        functions.iter().for_each(|function| self.function(function));
        let fine = |function: &&str| known::is_harmless(function) || self.vouched.contains(*function);
        if !functions.is_empty() && functions.iter().all(fine) {
            self.vouched.insert(name.into());
        } else if !functions.is_empty() {
            self.doubted.insert(name.into());
        }
    }

    /// Functions of one row that are written like a column of it.
    fn columns(&mut self, statement: &StatementFacts) {
        for name in statement.details.columns.iter() {
            let column = name.rsplit_once('.').map_or(name, |(_, column)| column);
            for function in self.catalog.called(column, None) {
                let Some(row) = function.row_argument.as_deref() else { continue };
                let touched = self.reads.contains(row) || self.writes.contains(row);
                let relation = self.catalog.snapshot.relations.iter().find(|one| &*one.name == row);
                // A column comes first.
                if touched && !relation.is_some_and(|one| one.columns.iter().any(|own| &**own == column)) {
                    self.function(&function.name);
                }
            }
        }
    }

    /// Whether a function changes nothing: code that can be read and only reads, or of an extension that says so.
    fn only_reads(&self, function: &Function, depth: u32) -> bool {
        let Some(depth) = depth.checked_sub(1) else { return false };
        let reads = |word: &str| matches!(word, "select" | "empty" | "show" | "explain");
        let promised = &*function.volatility != "volatile";
        let by_extension = function.extension && &*function.language == "c";
        // Code of an extension may say that it is stable and still run what stands in a text.
        !function.unread
            && !known::is_dangerous(&function.name)
            && (promised || !by_extension)
            && function.verbs.iter().all(|word| reads(word))
            && function.calls.iter().all(|name| {
                let found = self.catalog.called(name, None);
                let own = known::is_harmless(name);
                if found.is_empty() { own } else { found.iter().all(|one| self.only_reads(one, depth)) }
            })
    }

    fn step(&mut self) -> bool {
        match self.steps.checked_sub(1) {
            Some(left) => self.steps = left,
            None => _ = self.unknown.get_or_insert_with(|| "more than the catalog can be asked".into()),
        }
        self.steps > 0
    }

    /// Writes into the statement what was found.
    fn settle(mut self, statement: &mut StatementFacts, strict: bool) {
        if self.anywhere {
            // Behind a changed path a bare name stays one, beside everything that it may mean.
            self.reads.extend(statement.reads.iter().cloned());
            self.writes.extend(statement.writes.iter().cloned());
        }
        statement.reads = self.reads.into_iter().collect();
        statement.writes = self.writes.into_iter().collect();
        statement.functions = self.calls.into_iter().collect();
        statement.details.marks = known::Marks::all(statement.details.dialect, &statement.functions);
        self.verbs.into_iter().for_each(|verb| statement.verbs.insert(verb));
        self.vouched.iter().for_each(|name| statement.details.vouched.add(name));
        self.doubted.iter().for_each(|name| statement.details.doubted.add(name));
        if self.sets && statement.settings.is_empty() {
            statement.settings = Box::new([Setting::Unknown]);
        }
        if strict {
            statement.details.unknown = self.unknown;
        }
    }
}

/// How a body finds its names.
enum Within {
    /// By its own path.
    Path(Box<[Box<str>]>),
    /// Nobody knows.
    Anywhere,
}

fn within(function: &Function) -> Within {
    let moves = function.calls.iter().any(|name| known::own(name) == Some("set_config"));
    let path = function.search_path.as_deref().filter(|path| !moves && !path.contains("$user"));
    path.and_then(|path| schemas(path, "")).map_or(Within::Anywhere, Within::Path)
}

/// Whether a whole name may be meant by one that may lack its schema.
fn same(whole: &str, name: &str) -> bool {
    whole == name || whole.split_once('.').is_some_and(|(_, last)| last == name)
}

const STEPS_MAX: usize = 100_000;
const DEPTH_MAX: u32 = 32;
