//! Which SQL a text is written in, and who reads it; it never guesses the dialect from the text.
//!
//! PostgreSQL is read with its own grammar. The warehouses have no grammar that could be held against them, so their
//! texts are read twice, by a parser and by a lexer of our own, and whatever the two do not agree on, or only one of
//! them has read, is not understood.

mod filter;
mod lexer;
mod names;
mod parse;
mod second;
mod simple;
mod statement;
mod walk;

use crate::facts::{Problem, StatementFacts};
use crate::{EvalError, Facts};
use clyra_spec::limits::STATEMENT_BYTES_MAX;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A dialect that has a reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL, read with the server's own grammar.
    #[default]
    Postgres,
    /// Snowflake.
    Snowflake,
    /// Databricks, and Spark SQL as it is spoken there.
    Databricks,
    /// BigQuery's GoogleSQL.
    BigQuery,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 4] = [Self::Postgres, Self::Snowflake, Self::Databricks, Self::BigQuery];

    /// The word for it in commands and policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Snowflake => "snowflake",
            Self::Databricks => "databricks",
            Self::BigQuery => "bigquery",
        }
    }
}

impl std::str::FromStr for Dialect {
    type Err = EvalError;

    fn from_str(word: &str) -> Result<Self, EvalError> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.as_str() == word)
            .ok_or_else(|| EvalError::Dialect(word.to_owned()))
    }
}

impl Facts {
    /// The facts of a message in a dialect. Bytes that are not UTF-8 are not understood.
    pub fn of(dialect: Dialect, sql: &[u8]) -> Self {
        if dialect == Dialect::Postgres {
            return Self::of_postgres(sql);
        }
        let refused = |message: &str| Self::not_understood("", sql.len(), Problem::ours(message));
        let Ok(text) = std::str::from_utf8(sql) else { return refused("the bytes are not UTF-8") };
        if sql.len() > STATEMENT_BYTES_MAX {
            return refused(&format!("longer than {STATEMENT_BYTES_MAX} bytes"));
        }
        // Whatever gives way in a parser must leave the gate shut; and it must not depend on whose stack is left how deep.
        match catch_unwind(AssertUnwindSafe(|| stacker::grow(STACK_BYTES, || read(dialect, text)))) {
            Ok(Ok(facts)) => facts,
            Ok(Err(problem)) => Self::not_understood(text, sql.len(), problem),
            Err(_) => refused("the parser gave up"),
        }
    }
}

/// Enough for what is read here at its deepest; only what is touched takes memory.
const STACK_BYTES: usize = 64 << 20;

fn read(dialect: Dialect, sql: &str) -> Result<Facts, Problem> {
    let tokens = lexer::tokens(dialect, sql).map_err(|(why, at)| Problem::at(why, sql, at))?;
    parse::bound(sql, &tokens)?;
    let pieces = parse::pieces(dialect, sql, &tokens)?;
    let mut statements = Vec::with_capacity(pieces.len());
    let mut path_changed = false;
    for piece in &pieces {
        let mut facts = walk::facts(dialect, sql, piece)?;
        facts.details.path_changed = path_changed;
        path_changed |= Facts { statements: Box::new([facts.clone()]), problem: None }.path_changed(false);
        statements.push(facts);
    }
    if statements.is_empty() {
        statements.push(StatementFacts::empty(sql));
    }
    Ok(Facts { statements: statements.into(), problem: None })
}

#[cfg(test)]
mod tests;
