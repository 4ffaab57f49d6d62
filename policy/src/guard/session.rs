//! Which changes of settings are harmless; whatever is not known to be is not.

use super::Finding;
use crate::policy::Glob;
use crate::{Setting, SettingValue, StatementFacts};

/// The first change of a setting that the lock holds.
pub(super) fn lock(allow: &[Glob], statement: &StatementFacts) -> Option<Finding> {
    let (reason, what) = statement.settings.iter().find_map(|setting| match setting {
        Setting::All => Some(("session_reset", "resetting all settings".to_owned())),
        Setting::Unknown => Some(("setting_unknown", "changing a setting that is not named".to_owned())),
        Setting::Named { name, value } => (!is_allowed(allow, name, value))
            .then(|| ("setting_locked", format!("changing the setting `{name}`"))),
    })?;
    Some(Finding {
        reason,
        what,
        hint: "leave the session's role, path, encoding and own settings as they are; \
               timeouts, formats and `application_name` may be set"
            .to_owned(),
        position: Some(statement.position),
    })
}

/// A change that the lock holds where it lets nothing go.
pub(crate) fn locked(setting: &Setting) -> bool {
    match setting {
        Setting::Named { name, value } => !is_allowed(&[], name, value),
        Setting::All | Setting::Unknown => true,
    }
}

/// A change that turns the reading of later statements upside down: no policy allows it beside a guard.
pub(crate) fn is_core(setting: &Setting) -> bool {
    match setting {
        Setting::Named { name, value } => is_core_name(name) && !is_harmless(name, value),
        Setting::All | Setting::Unknown => false,
    }
}

/// Settings that [`is_core`] looks at.
pub(crate) fn is_core_name(name: &str) -> bool {
    matches!(name, "standard_conforming_strings" | "client_encoding")
}

fn is_allowed(allow: &[Glob], name: &str, value: &SettingValue) -> bool {
    is_harmless(name, value) || (!is_core_name(name) && allow.iter().any(|glob| glob.matches_folded(name)))
}

fn is_harmless(name: &str, value: &SettingValue) -> bool {
    let words = match value {
        SettingValue::Words(words) => words,
        SettingValue::Default | SettingValue::Unknown => return HARMLESS.binary_search(&name).is_ok(),
    };
    let only = |wanted: &[&str]| {
        !words.is_empty()
            && words.iter().all(|word| wanted.iter().any(|one| word.trim().eq_ignore_ascii_case(one)))
    };
    match name {
        "client_encoding" => only(&["utf8", "utf-8", "unicode"]),
        "search_path" => only(&["", "pg_catalog"]),
        "standard_conforming_strings"
        | "row_security"
        | "default_transaction_read_only"
        | "transaction_read_only" => only(&["on", "true", "yes", "1"]),
        _ => HARMLESS.binary_search(&name).is_ok(),
    }
}

/// What clients set on their own and no guard relies on; sorted.
const HARMLESS: [&str; 51] = [
    "application_name",
    "array_nulls",
    "bytea_output",
    "client_connection_check_interval",
    "client_min_messages",
    "constraint_exclusion",
    "cursor_tuple_fraction",
    "datestyle",
    "default_statistics_target",
    "default_text_search_config",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "effective_cache_size",
    "enable_bitmapscan",
    "enable_hashagg",
    "enable_hashjoin",
    "enable_indexonlyscan",
    "enable_indexscan",
    "enable_material",
    "enable_memoize",
    "enable_mergejoin",
    "enable_nestloop",
    "enable_seqscan",
    "enable_sort",
    "escape_string_warning",
    "extra_float_digits",
    "from_collapse_limit",
    "geqo",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "jit",
    "join_collapse_limit",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "maintenance_work_mem",
    "max_parallel_workers_per_gather",
    "plan_cache_mode",
    "quote_all_identifiers",
    "random_page_cost",
    "statement_timeout",
    "synchronize_seqscans",
    "timezone",
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_timeout",
    "work_mem",
    "xmlbinary",
    "xmloption",
];

#[cfg(test)]
mod tests {
    use super::HARMLESS;

    #[test]
    fn the_list_is_sorted() {
        assert!(HARMLESS.is_sorted());
    }
}
