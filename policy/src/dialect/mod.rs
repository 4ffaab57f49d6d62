//! Which SQL a text is written in, and who reads it; it never guesses the dialect from the text.

use crate::{EvalError, Facts};

/// A dialect that has a reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL, read with the server's own grammar.
    #[default]
    Postgres,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 1] = [Self::Postgres];

    /// The word for it in commands and policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
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
    /// The facts of a message in a dialect.
    pub fn of(dialect: Dialect, sql: &[u8]) -> Self {
        match dialect {
            Dialect::Postgres => Self::of_postgres(sql),
        }
    }
}
