//! What a message does, read with PostgreSQL's own grammar; it never judges. The text stays with it for a tenant fence,
//! which reads it again when one asks.
//!
//! Known holes, which no grammar shows: views and functions over a table, rules and triggers, inheritance, the
//! search path.

mod define;
mod filter;
mod gather;
mod odd;
mod query;
mod session;
mod shape;
mod utility;

pub use filter::Filter;
pub(crate) use gather::{dotted, name_of_parts};
pub use session::SettingValue;
pub(crate) use shape::pieces;

use crate::blocks::Link;
use crate::detail::{self, Details, OwnSetting, Plan, Written};
use crate::{TextClaims, Verbs, replay};
use clyra_spec::{Verb, limits::STATEMENT_BYTES_MAX};
use gather::{Gather, Stop};
use pg_raw_parse::Node;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What one message of a client does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its statements, in order; one of verb `Empty` or `Unparsed` when there is nothing else to say.
    pub statements: Box<[StatementFacts]>,
    /// Why it, or a statement in it, was not understood.
    pub problem: Option<Problem>,
}

/// Why a message was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong with it.
    pub message: String,
    /// Where, in characters from 1.
    pub position: Option<u32>,
    /// The server would refuse it as well: it is no SQL.
    pub syntax: bool,
}

/// What one statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementFacts {
    /// The strongest verb in it.
    pub verb: Verb,
    /// Every verb in it, those of its CTEs and branches too.
    pub verbs: Verbs,
    /// Tables read, `schema.table` or `table`, folded as the server folds them; `schema.*` and `*` for many.
    pub reads: Box<[Box<str>]>,
    /// Tables written.
    pub writes: Box<[Box<str>]>,
    /// Functions called.
    pub functions: Box<[Box<str>]>,
    /// What stands out.
    pub tags: Box<[Box<str>]>,
    /// Tables whose existing rows are changed, and by what the rows are chosen.
    pub targets: Box<[Target]>,
    /// Settings of the session that it changes.
    pub settings: Box<[Setting]>,
    /// Fingerprint without comments, literals and white space; for correlation only, never a memo key.
    pub shape: [u8; 32],
    /// Byte offset and length in the message.
    pub span: (u32, u32),
    /// Character in the message at which it begins, from 1.
    pub position: u32,
    /// Name of the statement that it prepares.
    pub prepares: Option<Box<str>>,
    /// Name of the prepared statement that it runs.
    pub executes: Option<Box<str>>,
    /// Name of the prepared statement that it forgets; `Some(None)` for all of them.
    pub deallocates: Option<Option<Box<str>>>,
    /// What the comments of its message claim.
    pub claims: Option<Arc<TextClaims>>,
    /// It is a message of its own about a claim, which the gateway answers itself.
    pub own: Option<Box<OwnSetting>>,
    /// What stands out beside verbs and tables.
    pub(crate) details: Details,
    /// The way to what a tenant fence must know, which is read only when one asks.
    pub(crate) blocks: Link,
}

/// A table whose existing rows are changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `update`, `delete`, `merge` or `truncate`.
    pub verb: Verb,
    /// The table.
    pub table: Box<str>,
    /// By what the rows are chosen.
    pub filter: Filter,
}

/// A change to the session's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// One setting, by its lower-case name.
    Named {
        /// The name.
        name: Box<str>,
        /// What it is changed to.
        value: SettingValue,
    },
    /// All settings go back to what the session began with.
    All,
    /// A setting that only the server can name.
    Unknown,
}

impl Facts {
    /// The facts of a message in PostgreSQL's SQL. Bytes that are not UTF-8 are not understood.
    pub fn of_postgres(sql: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(sql) else {
            return Self::not_understood("", sql.len(), Problem::ours("the bytes are not UTF-8"));
        };
        if sql.len() > STATEMENT_BYTES_MAX {
            let problem = format!("longer than {STATEMENT_BYTES_MAX} bytes");
            return Self::not_understood("", sql.len(), Problem::ours(&problem));
        }
        if shape::nests_deeper(text, NESTING_MAX) {
            let problem = format!("brackets nest deeper than {NESTING_MAX}");
            return Self::not_understood(text, sql.len(), Problem::ours(&problem));
        }
        if shape::reads_anew(text, ANEW_MAX) {
            return Self::not_understood(text, sql.len(), Problem::ours("too many signs in a row"));
        }
        // The grammar is C behind a young wrapper: whatever gives way there must leave the gate shut.
        let facts = match catch_unwind(AssertUnwindSafe(|| read(text, false))) {
            Ok(Ok(facts)) if facts.statements.len() > STATEMENTS_MAX => {
                let problem = format!("more than {STATEMENTS_MAX} statements");
                Self::not_understood(text, sql.len(), Problem::ours(&problem))
            }
            Ok(Ok(facts)) => facts.linked(text),
            Ok(Err(problem)) => Self::not_understood(text, sql.len(), problem),
            Err(_) => Self::not_understood(text, sql.len(), Problem::ours("the parser gave up")),
        };
        facts.claiming(text).marked()
    }

    /// The facts of the protocol's FunctionCall message: a function is called, known only by its number.
    pub fn of_function_call(oid: u32) -> Self {
        let mut gather = Gather::new();
        gather.note(Verb::Call);
        gather.functions.add(format!("oid:{oid}"));
        gather.tag("function_call");
        gather.details.written = Written::Unseen("runs code that may write");
        gather.details.plan = Plan::Unseen;
        if oid == SET_CONFIG_OID {
            gather.settings.push(Setting::Unknown);
        }
        let shape = shape::shape(&format!("function_call_{oid}"));
        Self { statements: Box::new([gather.into_facts(shape, (0, 0), 1)]), problem: None }
    }

    /// The facts of a replication connection: it copies out what there is.
    pub fn of_replication() -> Self {
        let mut gather = Gather::new();
        gather.note(Verb::CopyOut);
        gather.reads.add("*".to_owned());
        gather.tag("replication");
        let shape = shape::shape("replication");
        Self { statements: Box::new([gather.into_facts(shape, (0, 0), 1)]), problem: None }
    }

    /// The same facts with what the comments claim.
    fn claiming(mut self, text: &str) -> Self {
        if let Some(claims) = TextClaims::of(text).map(Arc::new) {
            self.statements.iter_mut().for_each(|one| one.claims = Some(Arc::clone(&claims)));
        }
        if let [alone] = &mut *self.statements
            && matches!(alone.verb, Verb::Set | Verb::Show | Verb::Select)
        {
            alone.own = detail::own(text).map(Box::new);
        }
        self
    }

    /// The same facts with what receipts tell of them.
    fn marked(mut self) -> Self {
        self.statements.iter_mut().for_each(|one| one.details.marked = replay::marked(one));
        self
    }

    /// The same facts with the way back to the text.
    fn linked(mut self, text: &str) -> Self {
        for (statement, link) in self.statements.iter_mut().zip(Link::all(text)) {
            statement.blocks = link;
        }
        self
    }

    /// Whether, after this message, bare names may lead to other schemas than when the session began; `before` says
    /// whether they did before it. A rollback may bring back an earlier path, so that only DISCARD ALL ends it.
    pub fn path_changed(&self, before: bool) -> bool {
        self.statements.iter().fold(before, |changed, one| {
            let fresh = one.verb == Verb::Discard && one.settings.contains(&Setting::All);
            (changed && !fresh) || one.settings.iter().any(session::leads_elsewhere)
        })
    }

    /// The same facts after a change of the search path.
    pub(crate) fn behind_changed_path(&self) -> Self {
        let mut facts = self.clone();
        facts.statements.iter_mut().for_each(|one| one.details.path_changed = true);
        facts
    }

    /// About how many bytes these facts take.
    pub fn bytes(&self) -> usize {
        let names =
            |list: &[Box<str>]| list.iter().map(|name| name.len() + size_of::<Box<str>>()).sum::<usize>();
        let statements = self.statements.iter().map(|one| {
            size_of::<StatementFacts>()
                + names(&one.reads)
                + names(&one.writes)
                + names(&one.functions)
                + names(&one.tags)
                + one.targets.len() * (size_of::<Target>() + NAME_BYTES)
                + one.settings.len() * (size_of::<Setting>() + NAME_BYTES)
                + one.details.bytes()
                + one.claims.as_ref().map_or(0, |_| CLAIMS_BYTES)
                // The text, which a fence may read again.
                + usize::try_from(one.span.1).unwrap_or(0)
        });
        size_of::<Self>() + statements.sum::<usize>()
    }

    pub(crate) fn not_understood(text: &str, length: usize, problem: Problem) -> Self {
        let mut gather = Gather::new();
        gather.note(Verb::Unparsed);
        gather.tag("unparsed");
        let span = (0, u32::try_from(length).unwrap_or(u32::MAX));
        gather.details.message_bytes = span.1;
        Self {
            statements: Box::new([gather.into_facts(shape::shape(text), span, 1)]),
            problem: Some(problem),
        }
    }
}

impl StatementFacts {
    /// What a receipt says stands out: its tags, and marks of what no other field of a receipt tells.
    pub fn receipt_tags(&self) -> &[Box<str>] {
        self.details.marked.as_deref().unwrap_or(&self.tags)
    }

    /// The facts of a text without any statement.
    pub(crate) fn empty(sql: &str) -> Self {
        let mut gather = Gather::new();
        gather.note(Verb::Empty);
        let length = u32::try_from(sql.len()).unwrap_or(u32::MAX);
        gather.into_facts(shape::shape(""), (0, length), 1)
    }
}

/// The digest of a statement's shape.
pub(crate) fn digest(shape: &[u8]) -> [u8; 32] {
    *blake3::hash(shape).as_bytes()
}

impl Problem {
    /// One that stands at a byte of the text.
    pub(crate) fn at(message: &str, sql: &str, byte: usize) -> Self {
        let position = characters_before(sql, byte).checked_add(1);
        Self { message: message.to_owned(), position, syntax: false }
    }

    pub(crate) fn ours(message: &str) -> Self {
        Self { message: message.to_owned(), position: None, syntax: false }
    }

    fn of_parser(error: &pg_raw_parse::Error, text: &str) -> Self {
        let pg_raw_parse::Error::Parse(error) = error else {
            return Self::ours("the text holds a zero byte");
        };
        let message = error.to_string();
        // Without the memory for a statement, nothing is known of its syntax.
        let syntax = !message.contains("memory");
        Self { position: position_of(&message, text), message, syntax }
    }
}

/// Where the token that the parser names stands; nothing when it stands in more than one place.
fn position_of(message: &str, text: &str) -> Option<u32> {
    if message.ends_with("at end of input") {
        return u32::try_from(text.chars().count() + 1).ok();
    }
    let near = message.split_once("at or near \"")?.1.strip_suffix('"')?;
    let mut places = text.match_indices(near);
    let (place, _) = places.next()?;
    if near.is_empty() || places.next().is_some() {
        return None;
    }
    characters_before(text, place).checked_add(1)
}

fn characters_before(text: &str, place: usize) -> u32 {
    let characters = text.char_indices().take_while(|(at, _)| *at < place).count();
    u32::try_from(characters).unwrap_or(u32::MAX)
}

/// Reads a message, or the body of a function in one.
fn read(text: &str, inner: bool) -> Result<Facts, Problem> {
    let tree = pg_raw_parse::parse(text).map_err(|error| Problem::of_parser(&error, text))?;
    let mut statements = Vec::with_capacity(tree.len());
    let mut problem = None;
    let (mut characters, mut counted, mut path_changed) = (1u32, 0usize, false);
    for raw in tree.iter() {
        let start = usize::try_from(raw.stmt_location).unwrap_or(0);
        let length = usize::try_from(raw.stmt_len).unwrap_or(0);
        let end = if length == 0 { text.len() } else { start.saturating_add(length).min(text.len()) };
        let part = text.get(start..end).unwrap_or_default();
        let blank = part.len() - part.trim_start().len();
        characters += characters_before(text.get(counted..).unwrap_or_default(), start + blank - counted);
        counted = start + blank;
        let number = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let span = (number(start), number(end - start));
        let mut gather = Gather::new();
        gather.inner = inner;
        let odd = matches!(raw.stmt(), Node::CreateStatsStmt(_)) && odd::statistics_of_no_table(part);
        let told =
            if odd { Err(Stop::Unknown("table")) } else { utility::statement(&mut gather, raw.stmt()) };
        if let Err(stop) = told {
            match odd::foreign_table(part).and_then(|table| read(&table, inner).ok()) {
                Some(table) if table.problem.is_none() => gather.take(table.statements),
                _ => {
                    problem.get_or_insert_with(|| stop.problem());
                    gather.note(Verb::Unparsed);
                }
            }
        }
        if gather.strongest == Verb::Unparsed {
            gather.tag("unparsed");
        }
        let runs = gather.tags.contains("explain_analyze");
        gather.details.written = detail::written(raw.stmt(), gather.tags.contains("cte_write"), runs);
        gather.details.plan = detail::plan(raw.stmt(), runs);
        gather.details.path_changed = path_changed;
        gather.details.message_bytes = number(text.len());
        path_changed |= gather.settings.iter().any(session::leads_elsewhere);
        statements.push(gather.into_facts(shape::shape(part), span, characters));
    }
    if statements.is_empty() {
        statements.push(StatementFacts::empty(text));
    }
    Ok(Facts { statements: statements.into(), problem })
}

impl Stop {
    fn problem(&self) -> Problem {
        match self {
            Self::Unknown(kind) => Problem::ours(&format!("a {kind} that has no facts yet")),
            Self::TooMuch => Problem::ours("more work than one statement may cost"),
        }
    }
}

/// Deepest brackets that are parsed; the server itself gives up a few thousand levels later.
const NESTING_MAX: usize = 1_000;
/// Each leaves a receipt of its own, and all of them wait for the disk at once.
const STATEMENTS_MAX: usize = 10_000;
/// Steps that the lexer may go back over signs in a row: some hundredths of a second.
const ANEW_MAX: usize = 4_000_000;
/// `set_config` in every version of PostgreSQL's catalog.
const SET_CONFIG_OID: u32 = 2_077;
/// About what the claims of a comment take.
const CLAIMS_BYTES: usize = 1_024;
/// About what one name takes.
const NAME_BYTES: usize = 32;
