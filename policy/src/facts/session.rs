//! Reads what a statement does to the session's settings; it never says which of them matter.

use super::Setting;
use pg_raw_parse::nodes::{DefElem, FuncCall, VariableSetStmt};
use pg_raw_parse::raw::VariableSetKind;
use pg_raw_parse::{ConstValue, Node, list::NodeList};

/// What a setting is changed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// These words, as written.
    Words(Box<[Box<str>]>),
    /// What the session began with.
    Default,
    /// Something that only the server can tell.
    Unknown,
}

/// The settings that SET or RESET changes.
pub(super) fn of_set(statement: &VariableSetStmt) -> Vec<Setting> {
    match statement.kind {
        VariableSetKind::VAR_RESET_ALL => vec![Setting::All],
        VariableSetKind::VAR_SET_MULTI => of_multi(statement),
        VariableSetKind::VAR_SET_VALUE => vec![named(statement.name(), words(statement.args()))],
        VariableSetKind::VAR_SET_DEFAULT | VariableSetKind::VAR_RESET => {
            vec![named(statement.name(), SettingValue::Default)]
        }
        _ => vec![named(statement.name(), SettingValue::Unknown)],
    }
}

/// The settings in the options of BEGIN, SET TRANSACTION and SET SESSION CHARACTERISTICS.
pub(super) fn of_options(options: &NodeList) -> Vec<Setting> {
    options
        .iter()
        .map(|option| match option {
            Node::DefElem(option) => named(option.defname(), value_of_option(option)),
            _ => Setting::Unknown,
        })
        .collect()
}

/// The setting that a call of `set_config` changes.
pub(super) fn of_set_config(call: &FuncCall) -> Setting {
    let (mut name, mut value) = (None, SettingValue::Unknown);
    if call.func_variadic {
        return Setting::Unknown;
    }
    for (place, argument) in call.args().iter().enumerate() {
        let (label, argument) = match argument {
            Node::NamedArgExpr(named) => (named.name(), named.arg()),
            other => ([Some("setting_name"), Some("new_value")].get(place).copied().flatten(), other),
        };
        match label {
            Some("setting_name") => name = literal(argument),
            Some("new_value") => {
                // The value is one text here, in which commas part the words.
                value = literal(argument).map_or(SettingValue::Unknown, |text| {
                    SettingValue::Words(text.split(',').map(|word| word.trim().into()).collect())
                });
            }
            _ => {}
        }
    }
    name.map_or(Setting::Unknown, |name| named(Some(&name), value))
}

/// A change after which a bare name may lead to another schema than it did before.
pub(super) fn leads_elsewhere(setting: &Setting) -> bool {
    match setting {
        Setting::Named { name, value: SettingValue::Words(words) } if &**name == "search_path" => {
            let usual = |word: &str| matches!(word.trim_matches('"'), "" | "pg_catalog" | "public" | "$user");
            // PostgreSQL's own schema comes first unless the path says otherwise.
            !words.iter().all(|word| usual(word)) || words.iter().skip(1).any(|word| &**word == "pg_catalog")
        }
        Setting::Named { name, value } => &**name == "search_path" && *value == SettingValue::Unknown,
        Setting::Unknown => true,
        Setting::All => false,
    }
}

fn of_multi(statement: &VariableSetStmt) -> Vec<Setting> {
    if statement.name() == Some("TRANSACTION SNAPSHOT") {
        return vec![named(Some("transaction_snapshot"), SettingValue::Unknown)];
    }
    of_options(statement.args())
}

fn named(name: Option<&str>, value: SettingValue) -> Setting {
    // Names of settings are compared without regard to case, even quoted ones.
    name.map_or(Setting::Unknown, |name| Setting::Named { name: name.to_ascii_lowercase().into(), value })
}

fn words(arguments: &NodeList) -> SettingValue {
    let words: Option<Box<[Box<str>]>> =
        arguments.iter().map(|argument| literal(argument).map(Into::into)).collect();
    words.map_or(SettingValue::Unknown, SettingValue::Words)
}

fn value_of_option(option: &DefElem) -> SettingValue {
    literal(option.arg()).map_or(SettingValue::Unknown, |word| SettingValue::Words([word.into()].into()))
}

/// The text of a literal, seen through casts to text types.
fn literal(node: Node<'_>) -> Option<String> {
    match node {
        Node::A_Const(constant) => match constant.val()? {
            ConstValue::String(text) | ConstValue::Float(text) => Some(text.to_owned()),
            ConstValue::Integer(number) => Some(number.to_string()),
            ConstValue::Boolean(truth) => Some(truth.to_string()),
            _ => None,
        },
        Node::TypeCast(cast) => {
            let last = cast.type_name()?.names().iter().next_back()?.sval()?;
            // A length cuts the text, and any other type may rewrite it.
            let plain = cast.type_name()?.typmods().is_empty() && last == "text";
            literal(cast.arg()).filter(|_| plain)
        }
        _ => None,
    }
}
