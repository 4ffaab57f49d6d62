//! What the warehouses bring along: functions that only compute, and those that reach beyond the tables. It never knows
//! what users add.

use super::{is_dangerous, is_harmless};
use crate::Dialect;
use std::sync::LazyLock;

/// A function of the dialect's server that changes nothing and runs nothing that stands in a text.
pub(crate) fn is_harmless_in(dialect: Dialect, function: &str) -> bool {
    let letter = match dialect {
        Dialect::Postgres => return is_harmless(function),
        Dialect::Snowflake => 's',
        Dialect::Databricks => 'd',
        Dialect::BigQuery => 'b',
    };
    let name = function.strip_prefix("safe.").filter(|_| dialect == Dialect::BigQuery).unwrap_or(function);
    let place = FUNCTIONS.binary_search_by(|(known, _)| (*known).cmp(name));
    place.ok().and_then(|place| FUNCTIONS.get(place)).is_some_and(|(_, letters)| letters.contains(letter))
}

/// Reaches beyond the tables: files, other servers, statements in texts, code of other languages, the service itself.
pub(crate) fn is_dangerous_in(dialect: Dialect, function: &str) -> bool {
    if dialect == Dialect::Postgres {
        return is_dangerous(function);
    }
    let last = function.rsplit('.').next().unwrap_or(function);
    let starts =
        |list: &[&str]| list.iter().any(|start| last.starts_with(start) || function.starts_with(start));
    reads_by_text_in(dialect, function) || starts(&STARTS) || DANGEROUS.contains(&last)
}

/// Reads tables or files whose names stand in a text.
pub(crate) fn reads_by_text_in(dialect: Dialect, function: &str) -> bool {
    if dialect == Dialect::Postgres {
        return super::reads_by_text(function);
    }
    let last = function.rsplit('.').next().unwrap_or(function);
    BY_TEXT.contains(&last)
}

static FUNCTIONS: LazyLock<Box<[(&str, &str)]>> =
    LazyLock::new(|| include_str!("warehouse.txt").lines().filter_map(|line| line.split_once(' ')).collect());

const BY_TEXT: [&str; 14] = [
    "external_query",
    "get_ddl",
    "infer_schema",
    "java_method",
    "read_files",
    "read_kafka",
    "read_kinesis",
    "reflect",
    "remote_query",
    "result_scan",
    "table_changes",
    "to_query",
    "try_reflect",
    "vector_search",
];
const DANGEROUS: [&str; 12] = [
    "ai_query",
    "build_scoped_file_url",
    "build_stage_file_url",
    "get_presigned_url",
    "get_stage_location",
    "http_request",
    "secret",
    "session_user_secret",
    "task_dependents",
    "try_secret",
    "wait",
    "write_files",
];
const STARTS: [&str; 8] = ["system$", "ml.", "ai.", "ai_", "keys.", "snowflake.", "aead.", "bqutil."];

#[cfg(test)]
mod tests {
    use super::{FUNCTIONS, is_dangerous_in, is_harmless_in};
    use crate::Dialect::{BigQuery, Databricks, Postgres, Snowflake};

    #[test]
    fn functions_are_known_by_dialect() {
        assert!(FUNCTIONS.is_sorted());
        assert!(is_harmless_in(Snowflake, "iff") && !is_harmless_in(BigQuery, "iff"));
        assert!(is_harmless_in(BigQuery, "safe.parse_date") && !is_harmless_in(Databricks, "my.abs"));
        assert!(
            is_dangerous_in(Snowflake, "system$cancel_all_queries") && is_dangerous_in(Databricks, "reflect")
        );
        assert!(is_dangerous_in(Postgres, "pg_sleep") && !is_dangerous_in(Postgres, "reflect"));
        for dialect in [Snowflake, Databricks, BigQuery] {
            let both = FUNCTIONS
                .iter()
                .find(|(name, _)| is_harmless_in(dialect, name) && is_dangerous_in(dialect, name));
            assert_eq!(both, None);
        }
    }
}
