//! The server's own tables that describe structure; those that hold values of rows or others' statements are not
//! among them.

use crate::blocks::Name;

/// Whether a table is one of them.
pub(super) fn holds(table: &Name) -> bool {
    match table.schema.as_deref() {
        None | Some("pg_catalog") => CATALOG.binary_search(&&*table.name).is_ok(),
        Some("information_schema") => INFORMATION.binary_search(&&*table.name).is_ok(),
        Some(_) => false,
    }
}

/// Sorted. Not here on purpose: pg_stats and pg_statistic (values of columns), pg_stat_* (statements of others),
/// pg_largeobject, pg_authid.
const CATALOG: [&str; 39] = [
    "pg_aggregate",
    "pg_am",
    "pg_attrdef",
    "pg_attribute",
    "pg_auth_members",
    "pg_cast",
    "pg_class",
    "pg_collation",
    "pg_constraint",
    "pg_conversion",
    "pg_database",
    "pg_depend",
    "pg_description",
    "pg_enum",
    "pg_extension",
    "pg_foreign_table",
    "pg_index",
    "pg_indexes",
    "pg_inherits",
    "pg_language",
    "pg_matviews",
    "pg_namespace",
    "pg_opclass",
    "pg_operator",
    "pg_opfamily",
    "pg_partitioned_table",
    "pg_proc",
    "pg_range",
    "pg_roles",
    "pg_sequence",
    "pg_settings",
    "pg_tables",
    "pg_tablespace",
    "pg_timezone_abbrevs",
    "pg_timezone_names",
    "pg_trigger",
    "pg_type",
    "pg_user",
    "pg_views",
];

const INFORMATION: [&str; 14] = [
    "columns",
    "constraint_column_usage",
    "domains",
    "element_types",
    "enabled_roles",
    "key_column_usage",
    "parameters",
    "referential_constraints",
    "routines",
    "schemata",
    "sequences",
    "table_constraints",
    "tables",
    "views",
];

#[cfg(test)]
mod tests {
    use super::{CATALOG, INFORMATION};

    #[test]
    fn the_lists_are_sorted() {
        assert!(CATALOG.is_sorted() && INFORMATION.is_sorted());
    }
}
