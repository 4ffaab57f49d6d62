//! Patterns with `*` over labels and table names; in doubt a pattern matches.

/// A text in which `*` stands for any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob(Box<str>);

impl Glob {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Whether the whole of `text` matches, letter by letter.
    pub(crate) fn matches(&self, text: &str) -> bool {
        fits(self.0.as_bytes(), text.as_bytes(), |one, other| one == other)
    }

    /// The same without regard to the case of ASCII letters.
    pub(crate) fn matches_folded(&self, text: &str) -> bool {
        fits(self.0.as_bytes(), text.as_bytes(), |one, other| one.eq_ignore_ascii_case(&other))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'*')
    }
}

/// Goes back to the last star only, so that the time is at most the product of the lengths.
fn fits(pattern: &[u8], text: &[u8], same: impl Fn(u8, u8) -> bool) -> bool {
    let (mut at, mut place, mut star) = (0, 0, None);
    while let Some(&byte) = text.get(place) {
        match (pattern.get(at), star) {
            (Some(b'*'), _) => {
                star = Some((at, place));
                at += 1;
            }
            (Some(&wanted), _) if same(wanted, byte) => (at, place) = (at + 1, place + 1),
            (_, Some((last, tried))) => {
                star = Some((last, tried + 1));
                (at, place) = (last + 1, tried + 1);
            }
            _ => return false,
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|&byte| byte == b'*')
}

/// Which tables a rule is about: `table` in any schema, or `schema.table`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TablePattern {
    schema: Option<Glob>,
    table: Glob,
}

impl TablePattern {
    /// Reads a pattern; nothing when it is empty or has more than two parts.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (first, rest) = split(text);
        let (schema, table) = match rest {
            Some(table) => (Some(first), table),
            None => (None, first),
        };
        let whole = schema != Some("") && !table.is_empty() && split(table).1.is_none();
        whole.then(|| Self { schema: schema.map(Glob::new), table: Glob::new(table) })
    }

    /// The part about the table's own name.
    pub(crate) fn table(&self) -> &Glob {
        &self.table
    }

    /// Whether a table of that name may be meant. Case is ignored: a quoted name that differs only in case
    /// is refused with its twin. A name without a schema may stand for any that the search path leads to.
    pub(crate) fn matches(&self, name: &str, user: &str) -> bool {
        if name == "*" {
            return true;
        }
        match split(in_database(name)) {
            (schema, Some("*")) => self.in_schema(schema),
            (schema, Some(table)) => self.table.matches_folded(table) && self.in_schema(schema),
            (table, None) => self.table.matches_folded(table) && self.reachable(table, user),
        }
    }

    /// Whether a table of that name is certainly meant: letter by letter, and with its schema where the pattern
    /// has one. PostgreSQL looks into its own schema first, so that its names need none.
    pub(crate) fn covers(&self, name: &str) -> bool {
        let (schema, table) = match split(in_database(name)) {
            (schema, Some(table)) => (schema, table),
            (table, None) if table.starts_with("pg_") => ("pg_catalog", table),
            (table, None) => ("", table),
        };
        match &self.schema {
            None => table != "*" && self.table.matches(table),
            Some(glob) => {
                let whole = table != "*" || self.table.is_everything();
                whole && !schema.is_empty() && glob.matches(schema) && self.table.matches(table)
            }
        }
    }

    fn in_schema(&self, schema: &str) -> bool {
        self.schema.as_ref().is_none_or(|glob| glob.matches_folded(schema))
    }

    /// A pattern for all of a schema would match every bare name, so it is held to the default search path.
    fn reachable(&self, table: &str, user: &str) -> bool {
        !self.table.is_everything()
            || self.in_schema("public")
            || self.in_schema(user)
            || (table.starts_with("pg_") && self.in_schema("pg_catalog"))
    }
}

/// Which columns a rule is about: `table.column` in any schema, `schema.table.column`, or `column` of any table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnPattern {
    pub(crate) table: TablePattern,
    pub(crate) column: Glob,
}

impl ColumnPattern {
    /// Reads a pattern; nothing when a part of it is empty or there are more than three.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (table, column) = text.rsplit_once('.').unwrap_or(("*", text));
        let table = TablePattern::parse(table)?;
        (!column.is_empty()).then(|| Self { table, column: Glob::new(column) })
    }
}

/// The last two parts of a name that has a database in front: a pattern means tables of any database.
fn in_database(name: &str) -> &str {
    match split(name).1 {
        Some(rest) if split(rest).1.is_some() => in_database(rest),
        _ => name,
    }
}

/// A dotted name at its first dot outside of double quotes.
fn split(name: &str) -> (&str, Option<&str>) {
    let mut quoted = false;
    for (place, byte) in name.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'.' if !quoted => {
                return (name.get(..place).unwrap_or_default(), name.get(place + 1..));
            }
            _ => {}
        }
    }
    (name, None)
}

#[cfg(test)]
mod tests {
    use super::{Glob, TablePattern};

    #[test]
    fn globs() {
        for (pattern, text, fits) in [
            ("dbt*", "dbt_prod", true),
            ("dbt*", "a_dbt", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*b*c", "a--b-b--c", true),
            ("a*b*c", "a--b-b--d", false),
            ("**x", "x", true),
            ("é*", "éa", true),
            ("A", "a", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn tables() {
        for (pattern, name, fits) in [
            ("secrets", "secrets", true),
            ("secrets", "hr.secrets", true),
            ("secrets", "Secrets", true),
            ("secrets", "secrets2", false),
            ("secrets", "\"hr.secrets\"", false),
            ("\"hr.secrets\"", "public.\"hr.secrets\"", true),
            ("hr.secrets", "secrets", true),
            ("hr.secrets", "public.secrets", false),
            ("hr.*", "hr.pay", true),
            ("hr.*", "pay", false),
            ("ann.*", "pay", true),
            ("public.*", "pay", true),
            ("pg_catalog.*", "pg_class", true),
            ("secrets", "*", true),
            ("secrets", "hr.*", true),
            ("hr.secrets", "hr.*", true),
            ("hr.secrets", "public.*", false),
            ("secrets", "prod.hr.secrets", true),
            ("hr.secrets", "prod.HR.Secrets", true),
            ("pay.secrets", "prod.hr.secrets", false),
            ("hr.secrets", "prod.hr.*", true),
        ] {
            assert_eq!(TablePattern::parse(pattern).unwrap().matches(name, "ann"), fits, "{pattern} {name}");
        }
        for bad in ["", ".a", "a.", "a.b.c"] {
            assert_eq!(TablePattern::parse(bad), None, "{bad}");
        }
        for (pattern, name, certain) in [
            ("orders", "orders", true),
            ("orders", "Orders", false),
            ("orders", "shop.orders", true),
            ("shop.orders", "orders", false),
            ("shop.*", "shop.orders", true),
            ("shop.*", "shop.*", true),
            ("shop.orders", "prod.shop.orders", true),
            ("hr.orders", "prod.shop.orders", false),
            ("shop.o*", "shop.*", false),
            ("*", "*", false),
            ("pg_catalog.*", "pg_class", true),
        ] {
            assert_eq!(TablePattern::parse(pattern).unwrap().covers(name), certain, "{pattern} {name}");
        }
    }
}
