//! Statements that the parser does not know and whose words leave no doubt: one form a line, with the names in it. It
//! never reads a query, and a form with anything in it that might be one does not fit.

use super::Dialect::{self, BigQuery, Databricks, Snowflake};
use super::lexer::{Kind, Token};
use clyra_spec::Verb;
use sqlparser::ast::{Ident, ObjectName};

/// What a statement does that was read by its words.
#[derive(Default)]
pub(super) struct Simple {
    /// Its verbs, each of which counts.
    pub(super) verbs: Vec<Verb>,
    pub(super) reads: Vec<ObjectName>,
    pub(super) writes: Vec<ObjectName>,
    /// It reaches files or stages.
    pub(super) file: bool,
    /// It keeps code that runs later, and that is not read here.
    pub(super) code: bool,
}

/// Reads the tokens of one statement; nothing where no form fits. No comments are among them.
pub(super) fn read(dialect: Dialect, sql: &str, tokens: &[&Token]) -> Option<Simple> {
    let forms = FORMS.iter().filter(|(spoken, ..)| spoken.is_none_or(|spoken| spoken == dialect));
    forms.into_iter().find_map(|(_, form, verbs)| Reader { dialect, sql, tokens, at: 0 }.form(form, verbs))
}

struct Reader<'t> {
    dialect: Dialect,
    sql: &'t str,
    tokens: &'t [&'t Token],
    at: usize,
}

impl<'t> Reader<'t> {
    fn form(mut self, form: &str, verbs: &[Verb]) -> Option<Simple> {
        let mut simple = Simple { verbs: verbs.to_vec(), ..Simple::default() };
        for part in form.split(' ') {
            match part {
                "R" => simple.reads.push(self.name()?),
                "W" => simple.writes.push(self.name()?),
                "N" => _ = self.name()?,
                "TEXT" => self.one(|token, _| token.kind == Kind::Text)?,
                "STAGE" => self.one(|_, text| text.starts_with('@'))?,
                "FILE" => simple.file = true,
                "CODE" => {
                    simple.code = true;
                    self.at = self.tokens.len();
                }
                "…" => self.rest(&mut simple)?,
                _ => match part.strip_suffix('?') {
                    Some(word) => _ = self.word(word),
                    None => self.word(part)?,
                },
            }
        }
        if self.tokens.get(1).is_some_and(|token| self.lower(token) == "or") {
            simple.verbs.push(Verb::Drop);
        }
        (self.at == self.tokens.len()).then_some(simple)
    }

    /// One of the words `a|b`.
    fn word(&mut self, wanted: &str) -> Option<()> {
        self.one(|token, text| {
            token.kind == Kind::Word && wanted.split('|').any(|word| text.eq_ignore_ascii_case(word))
        })
    }

    fn one(&mut self, fits: impl Fn(&Token, &str) -> bool) -> Option<()> {
        let token = self.tokens.get(self.at)?;
        fits(token, self.text(token)).then(|| self.at += 1)
    }

    /// Everything up to the end, if nothing in it can be a query, a table, or another statement.
    fn rest(&mut self, simple: &mut Simple) -> Option<()> {
        let rest = self.tokens.get(self.at..)?;
        for (at, token) in rest.iter().enumerate() {
            if token.kind == Kind::Word {
                let word = self.lower(token);
                // `as of` a time or a version.
                let of = word == "as" && rest.get(at + 1).is_some_and(|next| self.lower(next) == "of");
                if QUERY.contains(&word.as_str()) && !of {
                    return None;
                }
                simple.file |= word == "location";
                if word == "drop" {
                    simple.verbs.push(Verb::Drop);
                }
            }
        }
        self.at = self.tokens.len();
        Some(())
    }

    /// A dotted name.
    fn name(&mut self) -> Option<ObjectName> {
        let mut parts = vec![self.part()?];
        while self.one(|_, text| text == ".").is_some() {
            parts.push(self.part()?);
        }
        Some(ObjectName::from(parts))
    }

    fn part(&mut self) -> Option<Ident> {
        let token = self.tokens.get(self.at)?;
        let text = self.text(token);
        self.at += 1;
        match (token.kind, text.chars().next()?) {
            // A key word in the place of a name would mean that the form is another.
            (Kind::Word, _) if NO_NAMES.contains(&self.lower(token).as_str()) => None,
            (Kind::Word, _) => {
                let mut name = text.to_owned();
                // The project of BigQuery may have dashes.
                while self.dialect == BigQuery && self.one(|_, text| text == "-").is_some() {
                    let more = self.tokens.get(self.at).filter(|token| token.kind == Kind::Word)?;
                    name = format!("{name}-{}", self.text(more));
                    self.at += 1;
                }
                Some(Ident::new(name))
            }
            (Kind::Quoted, quote) => {
                let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
                Some(Ident::with_quote(quote, inner.replace(&format!("{quote}{quote}"), &quote.to_string())))
            }
            _ => None,
        }
    }

    fn text(&self, token: &Token) -> &'t str {
        self.sql.get(token.start..token.end).unwrap_or_default()
    }

    fn lower(&self, token: &Token) -> String {
        self.text(token).to_ascii_lowercase()
    }
}

/// Dialect, or none for all; words, `?` behind those that may lack; `R` and `W` for a table that is read or written, `N` for another name;
/// `…` for anything but a query; `CODE` for a body that is kept. Behind it, the verbs.
const FORMS: [(Option<Dialect>, &str, &[Verb]); 30] = [
    (Some(Databricks), "vacuum W …", &[Verb::Maintain]),
    (Some(Databricks), "analyze table W …", &[Verb::Maintain]),
    (Some(Databricks), "refresh table? W", &[Verb::Maintain]),
    (Some(Databricks), "msck repair? table W …", &[Verb::Maintain]),
    (Some(Databricks), "describe|desc history|detail R", &[Verb::Show]),
    (Some(Databricks), "restore table? W to? version|timestamp as of …", &[Verb::Alter]),
    (Some(Databricks), "cache lazy? table R", &[Verb::Maintain]),
    (Some(Databricks), "uncache table if? exists? R", &[Verb::Maintain]),
    (Some(Databricks), "copy into W from TEXT FILE …", &[Verb::Server, Verb::CopyIn]),
    (Some(Databricks), "load data local? inpath TEXT into table W FILE …", &[Verb::Server, Verb::CopyIn]),
    (Some(Databricks), "comment on table|view W is TEXT", &[Verb::Alter]),
    (Some(Databricks), "alter table W alter|set|unset|add|recover|cluster …", &[Verb::Alter]),
    (
        Some(Databricks),
        "create or? replace? table if? not? exists? W shallow|deep clone R …",
        &[Verb::Create],
    ),
    (Some(Databricks), "create or? replace? function CODE", &[Verb::Create]),
    (Some(Snowflake), "get STAGE FILE …", &[Verb::Server]),
    (Some(Snowflake), "undrop table W", &[Verb::Create]),
    (
        Some(Snowflake),
        "create or? replace? stream if? not? exists? W copy? grants? on table|view R …",
        &[Verb::Create],
    ),
    (Some(Snowflake), "drop stream|task if? exists? W", &[Verb::Drop]),
    (Some(Snowflake), "create or? replace? task CODE", &[Verb::Create]),
    (Some(Snowflake), "create or? replace? secure? function|procedure CODE", &[Verb::Create]),
    (Some(Snowflake), "alter task if? exists? N resume|suspend", &[Verb::Alter]),
    (Some(Snowflake), "alter warehouse if? exists? N suspend|resume|set …", &[Verb::Alter]),
    (
        Some(Snowflake),
        "alter iceberg|dynamic|external? table if? exists? W add|set|unset|modify|alter …",
        &[Verb::Alter],
    ),
    (Some(Snowflake), "alter dynamic table if? exists? W suspend|resume|refresh", &[Verb::Alter]),
    (Some(Snowflake), "drop iceberg|dynamic|external table if? exists? W cascade|restrict?", &[Verb::Drop]),
    (Some(BigQuery), "create or? replace? table if? not? exists? W copy R …", &[Verb::Create]),
    (Some(BigQuery), "load data into W from files FILE …", &[Verb::Server, Verb::CopyIn]),
    (
        Some(BigQuery),
        "load data overwrite W from files FILE …",
        &[Verb::Server, Verb::Truncate, Verb::CopyIn],
    ),
    (Some(BigQuery), "alter table if? exists? W set options …", &[Verb::Alter]),
    (Some(BigQuery), "alter view if? exists? W set options …", &[Verb::Alter]),
];

/// Words behind which a query, a table, or a change may stand.
const QUERY: [&str; 24] = [
    "as",
    "begin",
    "call",
    "clone",
    "declare",
    "delete",
    "execute",
    "from",
    "identifier",
    "insert",
    "into",
    "join",
    "like",
    "merge",
    "references",
    "rename",
    "select",
    "swap",
    "table",
    "truncate",
    "update",
    "using",
    "values",
    "with",
];
/// Words that stand where a name would, if the statement were another.
const NO_NAMES: [&str; 9] = ["as", "exists", "from", "identifier", "if", "not", "on", "select", "table"];
