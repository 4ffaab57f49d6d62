//! What the lists say of the functions that a statement calls, looked up once when its facts are made, so that no decision
//! searches lists. It never judges.

use super::{gathers, gives_rows, is_dangerous_in, is_harmless_in, is_of_extension, reads_by_text_in};
use crate::{Dialect, StatementFacts};

/// What is known of one function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// As [`is_harmless_in`].
    pub(crate) harmless: bool,
    /// As [`is_dangerous_in`].
    pub(crate) dangerous: bool,
    /// As [`reads_by_text_in`].
    pub(crate) by_text: bool,
    /// As [`is_of_extension`].
    pub(crate) of_extension: bool,
    /// As [`gathers`].
    pub(crate) gathers: bool,
    /// As [`gives_rows`].
    pub(crate) gives_rows: bool,
}

impl Marks {
    fn of(dialect: Dialect, name: &str) -> Self {
        Self {
            harmless: is_harmless_in(dialect, name),
            dangerous: is_dangerous_in(dialect, name),
            by_text: reads_by_text_in(dialect, name),
            of_extension: is_of_extension(name),
            gathers: gathers(name),
            gives_rows: gives_rows(name),
        }
    }

    /// Those of each function, in order.
    pub(crate) fn all(dialect: Dialect, functions: &[Box<str>]) -> Box<[Self]> {
        functions.iter().map(|name| Self::of(dialect, name)).collect()
    }
}

impl StatementFacts {
    /// The functions that it calls, each with what is known of it.
    pub(crate) fn calls(&self) -> impl Iterator<Item = (&str, Marks)> {
        let details = &self.details;
        self.functions.iter().enumerate().map(|(place, name)| {
            let marks = details.marks.get(place).copied();
            (&**name, marks.unwrap_or_else(|| Marks::of(details.dialect, name)))
        })
    }

    /// Looks its functions up again, after their list has changed.
    pub(crate) fn mark(mut self) -> Self {
        self.details.marks = Marks::all(self.details.dialect, &self.functions);
        self
    }
}
