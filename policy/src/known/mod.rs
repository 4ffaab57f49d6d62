//! What the server brings along by itself: names of its functions, types and operators; it never knows what users add.

mod marks;
mod warehouse;

pub(crate) use marks::Marks;
pub(crate) use warehouse::{is_dangerous_in, is_harmless_in, reads_by_text_in};

use std::sync::LazyLock;

/// The last part of a name, unless its schema is another than the server's own.
pub(crate) fn own(name: &str) -> Option<&str> {
    match name.rsplit_once('.') {
        None => Some(name),
        Some(("pg_catalog", name)) => Some(name),
        Some(_) => None,
    }
}

/// A function of the server that changes nothing and runs nothing that stands in a text.
pub(crate) fn is_harmless(function: &str) -> bool {
    own(function).is_some_and(|name| FUNCTIONS.binary_search(&name).is_ok())
}

/// A function or operator that a widely used extension brings along, and that changes nothing there.
pub(crate) fn is_of_extension(name: &str) -> bool {
    let name = last(name);
    EXTENSIONS.binary_search(&name).is_ok() || name.starts_with("st_")
}

/// Any function of the server.
pub(crate) fn is_server_function(function: &str) -> bool {
    own(function)
        .is_some_and(|name| FUNCTIONS.binary_search(&name).is_ok() || OTHERS.binary_search(&name).is_ok())
}

/// A function of the server that may give more than one row.
pub(crate) fn gives_rows(function: &str) -> bool {
    own(function).is_some_and(|name| SETS.binary_search(&name).is_ok())
}

/// A type of the server.
pub(crate) fn is_own_type(name: &str) -> bool {
    own(name).is_some_and(|name| TYPES.binary_search(&name).is_ok())
        || name.strip_prefix("information_schema.").is_some_and(|name| TYPES.binary_search(&name).is_ok())
}

/// The name of one of the server's own operators, or of a form that the grammar makes of words.
pub(crate) fn is_own_operator(name: &str) -> bool {
    // By far the most frequent ones need no search.
    matches!(name, "=" | "<" | ">" | "+" | "-" | "*") || OPERATORS.binary_search(&name).is_ok()
}

/// Makes one row of many; a DISTINCT or an ORDER BY inside changes nothing of that.
pub(crate) fn is_aggregate(function: &str) -> bool {
    own(function).is_some_and(|name| AGGREGATES.binary_search(&name).is_ok())
}

/// Gathers what stands in many rows, or makes much of little, so that a bound on rows does not bound the answer.
pub(crate) fn gathers(function: &str) -> bool {
    own(function).is_some_and(|name| GATHERERS.binary_search(&name).is_ok())
}

/// Reads tables, or runs statements, whose names stand in a text that no grammar reads.
pub(crate) fn reads_by_text(function: &str) -> bool {
    let name = last(function);
    BY_TEXT.binary_search(&name).is_ok()
        || ["dblink", "crosstab", "connectby", "pg_read_", "pg_logical_slot_", "heap_page", "bt_page"]
            .iter()
            .any(|start| name.starts_with(start))
}

/// Reaches beyond the tables of the database, or into other sessions: files, large objects, other servers,
/// statements in texts, waiting, locks, slots, the server itself. Extensions put such functions into any schema.
pub(crate) fn is_dangerous(function: &str) -> bool {
    let name = last(function);
    reads_by_text(function)
        || DANGEROUS.binary_search(&name).is_ok()
        || DANGEROUS_STARTS.iter().any(|start| name.starts_with(start))
        || name.starts_with("oid:")
        // A wrapper that says what it wraps.
        || name.contains("pg_read_")
}

fn last(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, last)| last)
}

static FUNCTIONS: LazyLock<Box<[&str]>> = LazyLock::new(|| include_str!("functions.txt").lines().collect());
static EXTENSIONS: LazyLock<Box<[&str]>> = LazyLock::new(|| include_str!("extensions.txt").lines().collect());
static OTHERS: LazyLock<Box<[&str]>> = LazyLock::new(|| include_str!("others.txt").lines().collect());
static SETS: LazyLock<Box<[&str]>> = LazyLock::new(|| include_str!("sets.txt").lines().collect());
static TYPES: LazyLock<Box<[&str]>> = LazyLock::new(|| include_str!("types.txt").lines().collect());

/// Sorted, as all lists here.
const OPERATORS: [&str; 79] = [
    "!!",
    "!=",
    "!~",
    "!~*",
    "!~~",
    "!~~*",
    "#",
    "##",
    "#-",
    "#>",
    "#>>",
    "%",
    "&",
    "&&",
    "&<",
    "&<|",
    "&>",
    "*",
    "*<",
    "*<=",
    "*<>",
    "*=",
    "*>",
    "*>=",
    "+",
    "-",
    "->",
    "->>",
    "-|-",
    "/",
    "<",
    "<->",
    "<<",
    "<<=",
    "<<|",
    "<=",
    "<>",
    "<@",
    "<^",
    "=",
    ">",
    ">=",
    ">>",
    ">>=",
    ">^",
    "?",
    "?#",
    "?&",
    "?-",
    "?-|",
    "?|",
    "?||",
    "@",
    "@-@",
    "@>",
    "@?",
    "@@",
    "@@@",
    "BETWEEN",
    "BETWEEN SYMMETRIC",
    "NOT BETWEEN",
    "NOT BETWEEN SYMMETRIC",
    "^",
    "^@",
    "|",
    "|&>",
    "|/",
    "|>>",
    "||",
    "||/",
    "~",
    "~*",
    "~<=~",
    "~<~",
    "~=",
    "~>=~",
    "~>~",
    "~~",
    "~~*",
];

const AGGREGATES: [&str; 38] = [
    "any_value",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "every",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "max",
    "min",
    "mode",
    "percentile_cont",
    "percentile_disc",
    "range_agg",
    "range_intersect_agg",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
];

const GATHERERS: [&str; 28] = [
    "array_agg",
    "array_fill",
    "concat_agg",
    "cursor_to_xml",
    "database_to_xml",
    "database_to_xml_and_xmlschema",
    "group_concat",
    "json_agg",
    "json_agg_strict",
    "json_object_agg",
    "json_object_agg_unique",
    "jsonb_agg",
    "jsonb_agg_strict",
    "jsonb_object_agg",
    "jsonb_object_agg_unique",
    "listagg",
    "lpad",
    "multirange_agg",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "range_agg",
    "repeat",
    "rpad",
    "schema_to_xml",
    "string_agg",
    "table_to_xml",
    "table_to_xml_and_xmlschema",
    "xmlagg",
];

const BY_TEXT: [&str; 29] = [
    "cursor_to_xml",
    "cursor_to_xmlschema",
    "database_to_xml",
    "database_to_xml_and_xmlschema",
    "database_to_xmlschema",
    "exec_sql",
    "get_raw_page",
    "pg_dump_table",
    "pg_get_wal_block_info",
    "pg_read_binary_file",
    "pg_read_file",
    "pg_relpages",
    "pg_stat_file",
    "pgrowlocks",
    "pgstattuple",
    "plv8_exec",
    "postgres_fdw_exec",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "schema_to_xml",
    "schema_to_xml_and_xmlschema",
    "schema_to_xmlschema",
    "table_to_xml",
    "table_to_xml_and_xmlschema",
    "table_to_xmlschema",
    "ts_rewrite",
    "ts_stat",
    "xpath_table",
];

const DANGEROUS: [&str; 51] = [
    "amcheck",
    "autoprewarm_dump_now",
    "autoprewarm_start_worker",
    "brin_desummarize_range",
    "brin_summarize_new_values",
    "brin_summarize_range",
    "dblink",
    "fsm_page_contents",
    "gin_clean_pending_list",
    "hash_page_items",
    "heap_force_freeze",
    "heap_force_kill",
    "loread",
    "lowrite",
    "page_header",
    "pg_backup_start",
    "pg_backup_stop",
    "pg_cancel_backend",
    "pg_clear_attribute_stats",
    "pg_clear_relation_stats",
    "pg_config",
    "pg_control_checkpoint",
    "pg_control_init",
    "pg_control_recovery",
    "pg_control_system",
    "pg_create_restore_point",
    "pg_current_logfile",
    "pg_drop_replication_slot",
    "pg_export_snapshot",
    "pg_get_backend_memory_contexts",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_import_system_collations",
    "pg_log_backend_memory_contexts",
    "pg_log_standby_snapshot",
    "pg_nextoid",
    "pg_prewarm",
    "pg_promote",
    "pg_relation_filepath",
    "pg_reload_conf",
    "pg_restore_attribute_stats",
    "pg_restore_relation_stats",
    "pg_show_all_file_settings",
    "pg_stop_making_pinned_objects",
    "pg_switch_wal",
    "pg_switch_xlog",
    "pg_sync_replication_slots",
    "pg_terminate_backend",
    "pg_truncate_visibility_map",
    "pg_xlogfile_name",
    "xslt_process",
];

const DANGEROUS_STARTS: [&str; 22] = [
    "lo_",
    "pg_ls_",
    "pg_file_",
    "pg_sleep",
    "pg_advisory_",
    "pg_try_advisory_",
    "pg_stat_reset",
    "pg_stat_clear",
    "pg_stat_force",
    "pg_stat_statements_reset",
    "pg_logical_",
    "pg_replication_",
    "pg_copy_",
    "pg_create_logical_",
    "pg_create_physical_",
    "pg_wal_replay_",
    "pg_rotate_logfile",
    "pg_start_backup",
    "pg_stop_backup",
    "binary_upgrade_",
    "postgres_fdw_",
    "gist_page_",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_is_sorted() {
        for list in [
            &OPERATORS[..],
            &AGGREGATES,
            &GATHERERS,
            &BY_TEXT,
            &DANGEROUS,
            &FUNCTIONS,
            &EXTENSIONS,
            &OTHERS,
            &SETS,
            &TYPES,
        ] {
            assert!(list.is_sorted(), "{list:?}");
        }
    }

    #[test]
    fn a_harmless_function_is_never_dangerous() {
        let both: Vec<_> = FUNCTIONS.iter().filter(|name| is_dangerous(name)).collect();
        assert!(both.is_empty(), "{both:?}");
        assert!(is_harmless("pg_catalog.lower") && is_harmless("now") && !is_harmless("evil.lower"));
        assert!(is_dangerous("ext.dblink_exec") && is_dangerous("oid:3") && !is_dangerous("count"));
    }
}
