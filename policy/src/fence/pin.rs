//! The tenant fence by row-level security: which setting a session is pinned to, and what must hold of the server's
//! role and tables so that the pin fences anything. It asks nothing itself.

use crate::policy::{Glob, TablePattern};
use crate::{Caller, Policy};
use clyra_spec::Mode;

/// Tables that the server itself fences by a setting of the session.
#[derive(Clone, Debug)]
pub(crate) struct Pinned {
    /// The setting that names the tenant.
    pub(crate) setting: Box<str>,
    /// Tables whose row-level security looks at it.
    pub(crate) tables: Box<[TablePattern]>,
}

/// A setting that a session must be pinned to before its first statement.
#[derive(Clone, Debug)]
pub struct Pin {
    /// Id of the rule.
    pub rule: Box<str>,
    setting: Box<str>,
    tenant: Option<Box<str>>,
    tables: Box<[TablePattern]>,
    user: Box<str>,
}

impl Policy {
    /// The pins that enforced rules want for this caller.
    pub fn pins(&self, caller: &Caller) -> Vec<Pin> {
        let caller = self.known(caller);
        let enforced = |mode: Option<Mode>| mode.unwrap_or(self.mode_of(&caller)) == Mode::Enforce;
        let rules = self.rules_of(&caller).filter(|rule| enforced(rule.mode));
        let pins = rules.filter_map(|rule| {
            let pinned = rule.guard.pinned()?;
            Some(Pin {
                rule: rule.id.clone(),
                setting: pinned.setting.clone(),
                tenant: caller.tenant.clone(),
                tables: pinned.tables.clone(),
                user: caller.user.clone(),
            })
        });
        pins.collect()
    }
}

impl Pin {
    /// Goes before the two questions, in a transaction of their own: names and operators must be the server's own.
    pub const BEGIN: [&str; 2] = ["BEGIN READ ONLY", "SET LOCAL search_path = pg_catalog"];
    /// Goes behind them.
    pub const END: &str = "COMMIT";
    /// Asks for the roles of the session: name, superuser, bypasses row-level security, both `t` or `f`.
    pub const ROLES: &str = "SELECT rolname, rolsuper, rolbypassrls FROM pg_catalog.pg_roles \
                             WHERE rolname IN (current_user, session_user)";

    /// What the session is pinned to: setting and tenant; nothing for a caller without a tenant.
    pub fn value(&self) -> Option<(&str, &str)> {
        Some((&self.setting, self.tenant.as_deref()?))
    }

    /// Pins the session.
    pub fn set(&self) -> Option<String> {
        let (setting, tenant) = self.value()?;
        Some(format!("SELECT pg_catalog.set_config({}, {}, false)", quoted(setting), quoted(tenant)))
    }

    /// Asks for the tables that row-level security does not hold for the session: schema and name of a table or of
    /// one that it inherits from, and what is wrong with it.
    pub fn tables(&self) -> String {
        let like =
            |pattern: &TablePattern| format!("lower(a.relname) LIKE {}", quoted(&pattern.table().like()));
        let any: Vec<String> = self.tables.iter().map(like).collect();
        format!("{OPEN_TABLES} AND ({}) ORDER BY 1, 2, 3", any.join(" OR "))
    }

    /// What speaks against the roles, as the end of a sentence.
    pub fn role_finding<'r>(mut rows: impl Iterator<Item = [&'r str; 3]>) -> Option<String> {
        rows.find_map(|row| match row {
            [role, "f", "f"] if !role.is_empty() => None,
            [role, "t", _] => Some(format!("role `{role}` is a superuser, whom no row-level security holds")),
            [role, ..] => Some(format!("role `{role}` may bypass row-level security")),
        })
    }

    /// What speaks against the tables, as the end of a sentence.
    pub fn table_finding<'r>(&self, mut rows: impl Iterator<Item = [&'r str; 3]>) -> Option<String> {
        rows.find_map(|[schema, name, what]| {
            let dotted = crate::facts::dotted(schema, name);
            self.tables.iter().any(|one| one.matches(&dotted, &self.user)).then(|| what.to_owned())
        })
    }
}

impl Glob {
    /// The glob, in small letters, as a pattern of LIKE.
    fn like(&self) -> String {
        let mut pattern = String::new();
        for letter in self.text().to_lowercase().chars() {
            match letter {
                '*' => pattern.push('%'),
                '%' | '_' | '\\' => pattern.extend(['\\', letter]),
                other => pattern.push(other),
            }
        }
        pattern
    }
}

/// A literal that reads the same with and without standard strings.
pub(super) fn quoted(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// Tables without row-level security, without its force, or of an owner that the session may act as. A child of a
/// fenced table is read by its own name as well, so that it counts as one.
const OPEN_TABLES: &str = "\
WITH RECURSIVE up (child, parent) AS (
  SELECT oid, oid FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'f')
  UNION SELECT up.child, i.inhparent FROM up JOIN pg_catalog.pg_inherits i ON i.inhrelid = up.parent)
SELECT s.nspname, a.relname, '`' || n.nspname || '.' || c.relname || '` ' || CASE
  WHEN NOT c.relrowsecurity THEN 'has no row-level security'
  WHEN NOT c.relforcerowsecurity THEN 'does not force row-level security'
  ELSE 'belongs to the session''s role, or to one that it is a member of' END
FROM up JOIN pg_catalog.pg_class c ON c.oid = up.child JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class a ON a.oid = up.parent JOIN pg_catalog.pg_namespace s ON s.oid = a.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
  AND (NOT c.relrowsecurity OR NOT c.relforcerowsecurity
    OR pg_catalog.pg_has_role(current_user, c.relowner, 'MEMBER')
    OR pg_catalog.pg_has_role(session_user, c.relowner, 'MEMBER'))";

#[cfg(test)]
mod tests {
    use super::{Pin, quoted};
    use crate::{Login, Policy};

    #[test]
    fn a_pin_says_what_it_asks_and_finds() {
        let yaml = "
name: t
version: 1
mode: enforce
callers:
  - match: {user: app}
    tenant: it's
rules:
  - id: rows
    tenant_fence: {style: session, setting: app.tenant_id, tables: [orders, 'shop.u_*']}
";
        let policy = Policy::parse(yaml, "t.yaml").unwrap();
        let login = |user| Login { user, database: "shop", application: "", tenant: None };
        let pins = policy.pins(&policy.caller(&login("app")));
        let [pin] = pins.as_slice() else { panic!("{pins:?}") };
        assert_eq!(pin.set().unwrap(), "SELECT pg_catalog.set_config('app.tenant_id', 'it''s', false)");
        let asked = pin.tables();
        assert!(asked.contains("LIKE 'orders' OR lower(a.relname) LIKE E'u\\\\_%')"), "{asked}");
        let found = |row| pin.table_finding([row].into_iter());
        assert_eq!(found(["a", "orders", "open"]).as_deref(), Some("open"));
        assert_eq!(found(["shop", "u_x", "open"]).as_deref(), Some("open"));
        assert_eq!(found(["other", "u_x", "open"]), None);
        let role = |row| Pin::role_finding([row].into_iter());
        assert_eq!(role(["app", "f", "f"]), None);
        assert!(role(["app", "t", "f"]).unwrap().contains("superuser"));
        assert!(role(["app", "f", "t"]).unwrap().contains("bypass"));
        assert!(role(["", "", ""]).is_some());
        assert!(policy.pins(&policy.caller(&login("bob")))[0].set().is_none(), "no tenant, no pin");
        assert_eq!(quoted("a\\'b"), "E'a\\\\''b'");
        let shadow = policy.with_mode(clyra_spec::Mode::Shadow);
        assert!(shadow.pins(&shadow.caller(&login("app"))).is_empty());
    }
}
