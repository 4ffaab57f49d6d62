//! Where the names of a session lead: its search path, its temporary tables, and a catalog. It never asks a server; what
//! the server answers is given to it.

use super::{Catalog, last, widen::Names};
use crate::{Facts, Setting, StatementFacts, facts::dotted};
use clyra_spec::Verb;
use std::{collections::BTreeSet, sync::Arc};

/// What a session of the server says of its names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The schemas of its search path, quoted as names are; `None` where nobody knows.
    path: Option<Box<[Box<str>]>>,
    /// Its temporary tables.
    temporary: BTreeSet<Box<str>>,
    /// Those of them whose use may run what nobody has read.
    hidden: BTreeSet<Box<str>>,
}

impl Standing {
    /// Asks a session for what [`Standing::of_row`] reads. No name in it follows the session's path.
    pub const QUESTION: &str = "select pg_catalog.current_setting('search_path'), current_user::pg_catalog.text, \
        (select pg_catalog.json_agg(pg_catalog.json_build_array(c.relname, c.relhastriggers or (c.relhasrules \
        and c.relkind operator(pg_catalog.<>) 'v')))::pg_catalog.text from pg_catalog.pg_class c \
        where pg_catalog.pg_my_temp_schema() operator(pg_catalog.<>) 0::pg_catalog.oid \
        and c.relnamespace operator(pg_catalog.=) pg_catalog.pg_my_temp_schema() \
        and pg_catalog.strpos('rpvmfS', c.relkind::pg_catalog.text) operator(pg_catalog.>) 0)";

    /// Reads the answer: the path, the current user, and the temporary tables.
    pub fn of_row(row: &[Option<&str>]) -> Self {
        let [Some(path), Some(user), tables, ..] = *row else { return Self::default() };
        let mut standing = Self { path: schemas(path, user), ..Self::default() };
        let tables: Vec<(String, bool)> =
            serde_json::from_str(tables.unwrap_or("[]")).unwrap_or_else(|_| Vec::new());
        for (name, hides) in tables {
            let name = bare(&name);
            if hides {
                standing.hidden.insert(name.clone());
            }
            standing.temporary.insert(name);
        }
        standing
    }
}

/// How the names of a session's statements are resolved.
#[derive(Debug)]
pub struct Naming {
    catalog: Option<Arc<Catalog>>,
    standing: Arc<Standing>,
    made: Arc<BTreeSet<Box<str>>>,
    strict: bool,
    key: u128,
}

impl Naming {
    /// By a catalog, which its owner numbers, for a session with this standing that has made tables of these names and not
    /// committed them yet. Where `strict`, names that the catalog does not have are doubted. Without a catalog every name
    /// is.
    pub fn new(
        catalog: Option<(Arc<Catalog>, u64)>,
        standing: Arc<Standing>,
        made: Arc<BTreeSet<Box<str>>>,
        strict: bool,
    ) -> Self {
        let mut hash = blake3::Hasher::new();
        let number = catalog.as_ref().map_or(u64::MAX, |(_, number)| *number);
        hash.update(&number.to_be_bytes()).update(&[u8::from(strict), u8::from(standing.path.is_some())]);
        let lists: [&mut dyn Iterator<Item = &Box<str>>; 4] = [
            &mut standing.path.iter().flatten(),
            &mut standing.temporary.iter(),
            &mut standing.hidden.iter(),
            &mut made.iter(),
        ];
        for list in lists {
            for name in list {
                hash.update(name.as_bytes()).update(b"\0");
            }
            hash.update(b"\0");
        }
        let key = hash.finalize().as_bytes().first_chunk().copied().map_or(0, u128::from_be_bytes);
        Self { catalog: catalog.map(|(catalog, _)| catalog), standing, made, strict, key }
    }

    /// Two with equal keys resolve alike.
    pub fn key(&self) -> u128 {
        self.key
    }

    /// The facts with everything that they stand for.
    pub fn widen(&self, facts: &Facts) -> Facts {
        let Some(catalog) = &self.catalog else { return facts.doubted(OUTDATED) };
        let names = Names {
            path: self.standing.path.as_deref(),
            or_anywhere: false,
            temporary: &self.standing.temporary,
            hidden: &self.standing.hidden,
            made: &self.made,
            strict: self.strict,
        };
        catalog.widen(facts, &names)
    }
}

impl Facts {
    /// The same facts, where nobody knows what their names stand for; `why` is what a refused client reads.
    #[must_use]
    pub fn doubted(&self, why: &str) -> Self {
        let mut facts = self.clone();
        for statement in facts.statements.iter_mut().filter(|one| one.has_names()) {
            statement.details.unknown = Some(why.into());
        }
        facts
    }

    /// Whether anything in it is looked up by its name.
    pub fn has_names(&self) -> bool {
        self.statements.iter().any(StatementFacts::has_names)
    }

    /// A name that the catalog does not have, once the facts are widened.
    pub fn unknown_name(&self) -> Option<&str> {
        self.statements.iter().find_map(|one| one.details.unknown.as_deref())
    }

    /// Whether names may lead elsewhere after this message, its facts being widened.
    pub fn moves_names(&self) -> bool {
        self.statements.iter().any(|one| {
            let setting = |setting: &Setting| match setting {
                Setting::Named { name, .. } => {
                    matches!(&**name, "search_path" | "role" | "session_authorization")
                }
                Setting::All | Setting::Unknown => true,
            };
            let unread = one.details.unknown.is_some() && !one.functions.is_empty();
            let verbs =
                [Verb::Create, Verb::Drop, Verb::Alter, Verb::Do, Verb::Call, Verb::Grant, Verb::Discard];
            unread
                || one.is_opaque()
                || one.settings.iter().any(setting)
                || verbs.into_iter().any(|verb| one.verbs.contains(verb))
        })
    }

    /// Whether it ends a transaction, or a part of one.
    pub fn ends_transaction(&self) -> bool {
        self.statements
            .iter()
            .any(|one| matches!(one.verb, Verb::Commit | Verb::Rollback | Verb::Call | Verb::Do))
    }

    /// Names of tables that it makes.
    pub fn makes(&self) -> impl Iterator<Item = Box<str>> {
        let made = self.statements.iter().filter(|one| one.verbs.contains(Verb::Create));
        made.flat_map(|one| one.writes.iter().map(|name| last(name).into()))
    }

    /// What it changes of the database's definitions, its facts being widened; `None` for nothing.
    pub fn changes(&self) -> Option<Changed> {
        self.statements.iter().filter_map(changed).reduce(|one, other| match (one, other) {
            (Changed::Names(mut one), Changed::Names(other)) => {
                one.extend(other);
                Changed::Names(one)
            }
            _ => Changed::Anything,
        })
    }

    /// Whether it depends on what was changed, its facts being widened.
    pub fn depends_on(&self, changed: &Changed, path: &Standing) -> bool {
        let Changed::Names(changed) = changed else { return self.has_names() };
        let met = |name: &str| name.split('.').any(|part| changed.contains(part.trim_matches('"')));
        let through = path.path.iter().flatten().any(|schema| met(schema));
        self.statements.iter().any(|one| {
            let details = &one.details;
            let mut names = one.reads.iter().chain(&one.writes).chain(&one.functions).map(|name| &**name);
            one.has_names() && (through || one.executes.is_some())
                || names.any(met)
                || details.operators.iter().chain(details.types.iter()).any(met)
        })
    }
}

/// What a message changes of the database's definitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// What is called by one of these words.
    Names(BTreeSet<Box<str>>),
    /// Nobody knows what.
    Anything,
}

impl StatementFacts {
    fn has_names(&self) -> bool {
        let own = |name: &str| crate::known::is_harmless(name);
        !self.reads.is_empty()
            || !self.writes.is_empty()
            || self.executes.is_some()
            || self.functions.iter().any(|name| !own(name))
            || self.details.operators.first().is_some()
            || self.details.types.first().is_some()
    }
}

fn changed(statement: &StatementFacts) -> Option<Changed> {
    let defines = |verb| matches!(verb, Verb::Create | Verb::Drop | Verb::Alter);
    if statement.is_opaque() {
        return Some(Changed::Anything);
    }
    // What another session has prepared to commit may be anything.
    if statement.verb == Verb::Commit && statement.text().is_none_or(mentions_prepared) {
        return Some(Changed::Anything);
    }
    if !defines(statement.verb) {
        // A function does it, or a statement that is only prepared here.
        let hidden = Verb::ALL.into_iter().any(|verb| defines(verb) && statement.verbs.contains(verb));
        return (hidden && statement.prepares.is_none()).then_some(Changed::Anything);
    }
    if statement.details.temporary.first().is_some() {
        return None;
    }
    let Some(text) = statement.text() else { return Some(Changed::Anything) };
    let all = words(text);
    let mut kinds = all.iter().skip(1).filter(|word| !PREFIXES.contains(&&***word));
    match kinds.next().map(|word| &**word) {
        Some(
            "index" | "statistics" | "policy" | "publication" | "subscription" | "role" | "user" | "group"
            | "database" | "tablespace" | "column" | "constraint",
        ) => None,
        Some("table" | "view" | "sequence" | "trigger" | "rule" | "foreign" | "into") => {
            // What stands behind AS is only read, but for a rule.
            let reads_on = statement.verb == Verb::Create && !all.iter().any(|word| &**word == "rule");
            let named = all.into_iter().take_while(|word| !reads_on || &**word != "as");
            Some(Changed::Names(named.collect()))
        }
        Some("function" | "procedure" | "routine") => {
            let head = text.split('(').next().unwrap_or_default();
            let named = if statement.verb == Verb::Create { words(head) } else { all };
            Some(Changed::Names(named.into_iter().collect()))
        }
        _ => Some(Changed::Anything),
    }
}

fn mentions_prepared(text: &str) -> bool {
    text.as_bytes().windows(PREPARED.len()).any(|part| part.eq_ignore_ascii_case(PREPARED))
}

/// The words of a text, as the server folds them; quoted ones as they stand.
fn words(text: &str) -> Vec<Box<str>> {
    let mut found = Vec::new();
    for (place, part) in text.split('"').enumerate() {
        if place % 2 == 1 {
            found.push(part.into());
            continue;
        }
        let parts = part.split(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '_' | '$'));
        found.extend(parts.filter(|word| !word.is_empty()).map(|word| word.to_lowercase().into()));
    }
    found
}

/// The schemas of a search path as the setting is written, `$user` being the current one.
pub(super) fn schemas(path: &str, user: &str) -> Option<Box<[Box<str>]>> {
    let mut found = Vec::new();
    let mut rest = path.trim();
    while !rest.is_empty() {
        let (name, behind) = if let Some(quoted) = rest.strip_prefix('"') {
            let end = end_of_quoted(quoted)?;
            (quoted.get(..end)?.replace("\"\"", "\""), quoted.get(end + 1..)?)
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            (rest.get(..end)?.trim().to_lowercase(), rest.get(end..)?)
        };
        found.push(bare(if name == "$user" { user } else { &name }));
        rest = behind.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }
    Some(found.into())
}

/// Where a quoted name ends that has begun.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let end = from + text.get(from..)?.find('"')?;
        if !text.get(end + 1..)?.starts_with('"') {
            return Some(end);
        }
        from = end + 2;
    }
}

/// A name of one part, quoted as names are where it must be.
fn bare(name: &str) -> Box<str> {
    let whole = dotted("s", name);
    whole.strip_prefix("s.").unwrap_or(&whole).into()
}

/// What stands between the first word and the kind of thing that is made.
const PREFIXES: [&str; 12] = [
    "or",
    "replace",
    "temp",
    "temporary",
    "global",
    "local",
    "unlogged",
    "recursive",
    "materialized",
    "unique",
    "constraint",
    "event",
];
/// The word in `COMMIT PREPARED`.
const PREPARED: &[u8] = b"prepared";
/// What a refused client reads while nobody knows what the database defines.
const OUTDATED: &str = "a name of a database whose catalog is missing or too old";

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Option<Vec<String>> {
        schemas(text, "ann").map(|all| all.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn paths_are_read_as_the_server_reads_them() {
        for (text, expected) in [
            ("\"$user\", public", Some(vec!["ann", "public"])),
            ("$user,Public", Some(vec!["ann", "public"])),
            ("", Some(vec![])),
            ("\"\"", Some(vec!["\"\""])),
            ("\"A b\", \"c\"\"d\" , e", Some(vec!["A b", "\"c\"\"d\"", "e"])),
            ("\"a.b\"", Some(vec!["\"a.b\""])),
            ("\"a", None),
            ("\"a\" b", None),
        ] {
            let expected = expected.map(|all| all.into_iter().map(str::to_owned).collect());
            assert_eq!(path(text), expected, "{text}");
        }
    }

    #[test]
    fn a_change_names_what_it_changes() {
        let of = |sql: &str| Facts::of_postgres(sql.as_bytes()).changes();
        let names = |all: &[&str]| Some(Changed::Names(all.iter().map(|one| (*one).into()).collect()));
        for sql in
            ["select 1", "create index i on t (a)", "create temp table t (a int)", "insert into t values (1)"]
        {
            assert_eq!(of(sql), None, "{sql}");
        }
        for sql in [
            "commit prepared 'x'",
            "create schema s",
            "drop schema s",
            "do $$ begin end $$",
            "create operator === (function = f)",
        ] {
            assert_eq!(of(sql), Some(Changed::Anything), "{sql}");
        }
        assert_eq!(
            of("create or replace view v as select * from t"),
            names(&["create", "or", "replace", "view", "v"])
        );
        assert_eq!(of("alter table \"T\" rename to x"), names(&["alter", "table", "T", "rename", "to", "x"]));
        assert_eq!(
            of("create function f(a t) returns int language sql as 'select 1'"),
            names(&["create", "function", "f"])
        );
    }
}
