//! What can be wrong with what operators give us: a policy file or a line for `eval`; nothing here reaches a client.

use std::fmt;

/// A policy file that cannot be used, with the place of its first fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    file: Box<str>,
    line: usize,
    column: usize,
    message: String,
    snippet: String,
}

impl PolicyError {
    pub(crate) fn new(file: &str, yaml: &str, line: usize, column: usize, message: String) -> Self {
        let snippet = yaml.lines().nth(line.saturating_sub(1)).unwrap_or_default().to_owned();
        Self { file: file.into(), line, column, message, snippet }
    }

    /// Line of the fault, from 1; 0 when the fault has no place.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Column of the fault in characters, from 1; 0 when the fault has no place.
    pub fn column(&self) -> usize {
        self.column
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, snippet } = self;
        if *line == 0 {
            return write!(out, "{file}: {message}");
        }
        write!(out, "{file}:{line}:{column}: {message}")?;
        let gutter = line.to_string();
        let (margin, indent) = (gutter.len(), column.saturating_sub(1));
        write!(out, "\n {:margin$} |\n {gutter} | {snippet}\n {:margin$} | {:indent$}^", "", "", "")
    }
}

impl std::error::Error for PolicyError {}

/// A line that `eval` cannot judge.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The dialect has no judge.
    #[error("unknown dialect `{0}`; allowed: postgres, snowflake, databricks, bigquery")]
    Dialect(String),
    /// The line is no JSON object of the expected shape.
    #[error("not a line to judge: {0}")]
    Line(#[from] serde_json::Error),
}

/// A catalog snapshot that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The text has another shape.
    #[error("not a catalog snapshot: {0}")]
    Shape(#[from] serde_json::Error),
    /// It is a snapshot of another format.
    #[error("a snapshot of format `{0}`; allowed: 2")]
    Format(u32),
}
