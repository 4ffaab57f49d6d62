//! What a session may begin with: the settings of its start-up packet, which are changes like those of a SET; it never
//! looks at a statement.

use super::{Refusal, Voice, core_setting, refusal};
use crate::{Caller, Policy, Setting, SettingValue, StatementFacts};
use clyra_spec::Mode;

impl Policy {
    /// Why a session of this caller may not begin with these settings, each a name and a value; an empty name stands
    /// for what cannot be read. What a rule would not let it set, it does not come in with.
    pub fn refuses_to_begin(&self, caller: &Caller, settings: &[(String, String)]) -> Option<Refusal> {
        let mut begun = StatementFacts::empty("");
        begun.settings = settings.iter().filter_map(|(name, value)| change(name, value)).collect();
        if begun.settings.is_empty() || caller.rules.is_empty() {
            return None;
        }
        let core = core_setting(&begun).filter(|_| self.is_guarded(caller));
        let (id, mut finding) = core.map(|finding| ("core", finding)).or_else(|| {
            self.rules_of(caller).find_map(|rule| {
                let enforced = rule.mode.unwrap_or(self.mode_of(caller)) == Mode::Enforce;
                let finding = rule.guard.begins(&begun).filter(|_| enforced)?;
                Some((&*rule.id, finding))
            })
        })?;
        // There is no statement in which it could stand.
        finding.position = None;
        finding.hint =
            format!("connect without it in the start-up parameters or `options`; {}", finding.hint);
        Some(refusal(&Voice { id, enforced: true, sqlstate: super::DENIED, finding }))
    }
}

fn change(name: &str, value: &str) -> Option<Setting> {
    let name = name.to_ascii_lowercase();
    // Psql asks for it where its terminal names no encoding. The server converts nothing then, and statements of other
    // letters than ASCII are not read.
    let plain = name == "client_encoding" && value.eq_ignore_ascii_case("sql_ascii");
    if plain || name.starts_with("clyra.") {
        return None;
    }
    if name.is_empty() {
        return Some(Setting::Unknown);
    }
    let words = value.split(',').map(|word| word.trim().trim_matches(['"', '\'']).into()).collect();
    Some(Setting::Named { name: name.into(), value: SettingValue::Words(words) })
}

#[cfg(test)]
mod tests {
    use crate::{Login, Policy};

    /// The rule and reason of the refusal.
    fn refused(rule: &str, name: &str, value: &str) -> Option<(String, &'static str)> {
        let yaml = format!("name: t\nversion: 1\nmode: enforce\nrules:\n  - id: r\n    {rule}\n");
        let policy = Policy::parse(&yaml, "t.yaml").unwrap();
        let login = Login { user: "ann", database: "shop", application: "psql", tenant: None };
        let refusal = policy.refuses_to_begin(&policy.caller(&login), &[(name.into(), value.into())]);
        refusal.map(|refusal| (refusal.rule.to_string(), refusal.reason))
    }

    #[test]
    fn a_session_begins_as_it_must_stay() {
        for rule in ["session_lock: true", "read_only: true"] {
            for (name, value) in [("role", "boss"), ("Search_Path", "evil"), ("app.tenant", "7"), ("", "-ec")]
            {
                assert!(refused(rule, name, value).is_some_and(|(id, _)| id == "r"), "{rule}: {name}");
            }
            for (name, value) in [
                ("DateStyle", "ISO, MDY"),
                ("statement_timeout", "5s"),
                ("clyra.run_id", "x"),
                ("search_path", "\"pg_catalog\""),
            ] {
                assert_eq!(refused(rule, name, value), None, "{rule}: {name}");
            }
        }
        assert_eq!(refused("session_lock: {allow: [search_path]}", "search_path", "evil"), None);
    }

    #[test]
    fn encodings_and_strings_are_the_core() {
        let rule = "deny_verbs: [drop]";
        assert_eq!(refused(rule, "client_encoding", "SJIS"), Some(("core".to_owned(), "core_setting")));
        assert_eq!(
            refused(rule, "standard_conforming_strings", "off"),
            Some(("core".to_owned(), "core_setting"))
        );
        for value in ["UTF8", "'utf-8'", "sql_ascii"] {
            assert_eq!(refused(rule, "client_encoding", value), None, "{value}");
        }
        assert_eq!(refused(rule, "role", "boss"), None);
    }
}
