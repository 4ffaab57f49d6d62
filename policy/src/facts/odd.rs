//! Statements that the parser reads but whose tree its wrapper does not hand out; it never makes SQL that is sent on.

use super::shape::{Token, tokens};

/// A foreign table as the table that it is made of: `CREATE FOREIGN TABLE t (..) SERVER s` without FOREIGN and the rest
/// from SERVER on. Nothing when the text is something else.
pub(super) fn foreign_table(sql: &str) -> Option<String> {
    let all = tokens(sql);
    let word = |at: usize| all.get(at).map(|(_, start, end)| sql.get(*start..*end).unwrap_or_default());
    let is = |at: usize, wanted: &str| word(at).is_some_and(|word| word.eq_ignore_ascii_case(wanted));
    if !(is(0, "create") && is(1, "foreign") && is(2, "table")) {
        return None;
    }
    let mut depth = 0usize;
    // A name comes first; behind a dot, a key word is one.
    let server = (4..all.len()).find(|at| {
        match word(*at) {
            Some("(") => depth += 1,
            Some(")") => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
            && is(*at, "server")
            && word(*at - 1) != Some(".")
            && all.get(*at).is_some_and(|(kind, ..)| *kind == Token::Word)
    })?;
    let (from, until) = (all.get(2)?.1, all.get(server)?.1);
    Some(format!("CREATE {}", sql.get(from..until)?))
}

/// `CREATE STATISTICS … FROM` of something else than tables: the grammar takes it, the server does not, and the wrapper
/// takes it for a list of tables.
pub(super) fn statistics_of_no_table(sql: &str) -> bool {
    let all = tokens(sql);
    let word =
        |at: usize| all.get(at).map_or("", |(_, start, end)| sql.get(*start..*end).unwrap_or_default());
    if !(word(0).eq_ignore_ascii_case("create") && word(1).eq_ignore_ascii_case("statistics")) {
        return false;
    }
    let mut depth = 0usize;
    let from = (2..all.len()).find(|at| {
        match word(*at) {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && word(*at).eq_ignore_ascii_case("from")
    });
    let odd = |at: usize| {
        let (text, kind) = (word(at), all.get(at).map(|token| token.0));
        let plain =
            matches!(kind, Some(Token::Word | Token::Quoted)) || matches!(text, "." | "," | "*" | ";");
        !plain || JOINS.iter().any(|join| text.eq_ignore_ascii_case(join))
    };
    from.is_none_or(|from| (from + 1..all.len()).any(odd))
}

/// Words that begin or go on with something else than a table.
const JOINS: [&str; 8] = ["join", "cross", "natural", "inner", "left", "right", "full", "tablesample"];

#[cfg(test)]
mod tests {
    use super::{foreign_table, statistics_of_no_table};

    #[test]
    fn a_foreign_table_is_read_as_a_table() {
        let told = |sql| foreign_table(sql);
        assert_eq!(
            told(
                "create foreign /* x */ table a.server (server int options (a ')')) server s options (b 'c')"
            )
            .unwrap(),
            "CREATE table a.server (server int options (a ')')) "
        );
        assert_eq!(told("create table t ()"), None);
        assert_eq!(told("create foreign data wrapper w"), None);
    }

    #[test]
    fn statistics_of_tables_only() {
        for (sql, odd) in [
            ("create statistics s on a, (b || c) from only x.t, \"u\"", false),
            ("create statistics s on a from (select 1) q", true),
            ("create statistics s on a from t join u on true", true),
            ("create statistics s on a from f(1)", true),
        ] {
            assert_eq!(statistics_of_no_table(sql), odd, "{sql}");
        }
    }
}
