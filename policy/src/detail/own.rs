//! Reads messages that are about a claim and nothing else: `SET`, `RESET` and `SHOW` of a `clyra.*` setting, and `set_config`.
//! Whatever is less plain than these is the server's.

use pg_raw_parse::nodes::{FuncCall, SelectStmt, VariableSetStmt};
use pg_raw_parse::raw::VariableSetKind;
use pg_raw_parse::{ConstValue, Node};

/// A message that is about one `clyra.*` setting; names without the `clyra.`, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnSetting {
    /// `SET`, `SET LOCAL`, `RESET` or `set_config`.
    Set {
        /// Which.
        name: Box<str>,
        /// To what; without it, back to what the session began with.
        value: Option<Box<str>>,
        /// Until the transaction ends.
        local: bool,
        /// How it was said, and hence how it is answered.
        said: Said,
    },
    /// `SHOW`.
    Show {
        /// Which.
        name: Box<str>,
    },
}

/// How a setting was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// By `SET`.
    Set,
    /// By `RESET`.
    Reset,
    /// By a function, which answers with a row.
    Function,
}

/// What a message that is one statement is about, if that is a claim.
pub(crate) fn own(text: &str) -> Option<OwnSetting> {
    let mentioned =
        || text.as_bytes().windows(PREFIX.len()).any(|part| part.eq_ignore_ascii_case(PREFIX.as_bytes()));
    if text.len() > TEXT_BYTES_MAX || !mentioned() {
        return None;
    }
    let tree = pg_raw_parse::parse(text).ok()?;
    let mut statements = tree.iter();
    let (first, None) = (statements.next()?, statements.next()) else { return None };
    match first.stmt() {
        Node::VariableShowStmt(show) => Some(OwnSetting::Show { name: name(show.name()?)? }),
        Node::VariableSetStmt(set) => changed(set),
        Node::SelectStmt(query) => called(query),
        _ => None,
    }
}

fn changed(set: &VariableSetStmt) -> Option<OwnSetting> {
    let name = name(set.name()?)?;
    let (value, said) = match set.kind {
        VariableSetKind::VAR_SET_VALUE => {
            let words: Option<Vec<String>> = set.args().iter().map(literal).collect();
            (Some(words?.join(",").into()), Said::Set)
        }
        VariableSetKind::VAR_SET_DEFAULT => (None, Said::Set),
        VariableSetKind::VAR_RESET => (None, Said::Reset),
        _ => return None,
    };
    Some(OwnSetting::Set { name, value, local: set.is_local, said })
}

/// `SELECT set_config('clyra.…', '…', …)` and nothing more.
fn called(query: &SelectStmt) -> Option<OwnSetting> {
    let lists = [query.distinct_clause(), query.from_clause(), query.group_clause(), query.window_clause()];
    let nodes = [query.where_clause(), query.having_clause(), query.limit_offset(), query.limit_count()];
    let bare = lists.iter().all(|list| list.is_empty())
        && nodes.iter().all(|node| matches!(node, Node::None))
        && query.values_lists().is_empty()
        && query.sort_clause().is_empty()
        && query.locking_clause().is_empty()
        && query.into_clause().is_none()
        && query.with_clause().is_none()
        && query.larg().is_none();
    let mut targets = query.target_list().iter();
    let (Some(target), None, true) = (targets.next(), targets.next(), bare) else { return None };
    let (Node::FuncCall(call), None) = (target.val(), target.name()) else { return None };
    let names: Vec<&str> = call.funcname().iter().filter_map(Node::as_str).collect();
    if !matches!(names[..], ["set_config"] | ["pg_catalog", "set_config"]) || !is_plain(call) {
        return None;
    }
    let arguments: Vec<Node<'_>> = call.args().iter().collect();
    let [setting, value, Node::A_Const(local)] = arguments[..] else { return None };
    let Some(ConstValue::Boolean(local)) = local.val() else { return None };
    Some(OwnSetting::Set {
        name: name(&literal(setting)?)?,
        value: Some(literal(value)?.into()),
        local,
        said: Said::Function,
    })
}

fn is_plain(call: &FuncCall) -> bool {
    !call.func_variadic && !call.agg_distinct && !call.agg_star
}

fn name(setting: &str) -> Option<Box<str>> {
    let setting = setting.to_ascii_lowercase();
    setting.strip_prefix(PREFIX).map(Into::into)
}

fn literal(node: Node<'_>) -> Option<String> {
    let Node::A_Const(constant) = node else { return None };
    match constant.val()? {
        ConstValue::String(text) | ConstValue::Float(text) => Some(text.to_owned()),
        ConstValue::Integer(number) => Some(number.to_string()),
        ConstValue::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

const PREFIX: &str = "clyra.";
/// Claims are bounded labels; what is longer is about more than one.
const TEXT_BYTES_MAX: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::{OwnSetting, Said, own};

    fn set(name: &str, value: Option<&str>, local: bool, said: Said) -> Option<OwnSetting> {
        Some(OwnSetting::Set { name: name.into(), value: value.map(Into::into), local, said })
    }

    #[test]
    fn plain_messages_are_read() {
        assert_eq!(own("SET clyra.run_id = 'r1'"), set("run_id", Some("r1"), false, Said::Set));
        assert_eq!(own("set session Clyra.Run_Id to r1;"), set("run_id", Some("r1"), false, Said::Set));
        assert_eq!(own("/* x */ SET LOCAL clyra.run_id = 7"), set("run_id", Some("7"), true, Said::Set));
        assert_eq!(own("SET clyra.asset_ids = a, 'b'"), set("asset_ids", Some("a,b"), false, Said::Set));
        assert_eq!(own("SET clyra.run_id TO DEFAULT"), set("run_id", None, false, Said::Set));
        assert_eq!(own("RESET clyra.run_id"), set("run_id", None, false, Said::Reset));
        assert_eq!(own("SHOW clyra.run_id"), Some(OwnSetting::Show { name: "run_id".into() }));
        assert_eq!(
            own("select pg_catalog.set_config('clyra.run_id', 'r', true)"),
            set("run_id", Some("r"), true, Said::Function)
        );
    }

    #[test]
    fn others_are_the_servers() {
        for text in [
            "SET search_path = 'clyra.x'",
            "SET clyra.run_id FROM CURRENT",
            "SET clyra.run_id = 'a'; SELECT 1",
            "SELECT set_config('clyra.run_id', x, false)",
            "SELECT set_config('clyra.run_id', 'x', false) FROM t",
            "SELECT set_config('clyra.run_id', 'x', false) WHERE f()",
            "SELECT set_config('clyra.run_id', 'x', false) UNION SELECT 'a'",
            "SELECT a.set_config('clyra.run_id', 'x', false)",
            "SELECT set_config('clyra.run_id', 'x', false) AS y",
            "SELECT set_config('clyra.run_id', 'x', g())",
            "SELECT set_config('role', 'clyra.x', false)",
            "SELECT 'clyra.run_id'",
            "SET clyra.",
        ] {
            assert_eq!(own(text), None, "{text}");
        }
    }
}
