//! Says why a policy decides as it does, for people and for programs; it never decides otherwise than the gate.

use super::StatementView;
use crate::engine::Scene;
use crate::{Binds, Caller, Dialect, Facts, Login, Moment, Policy, Proof};
use clyra_spec::{ActorKind, KillLevel, Mode, Verdict};
use serde::Serialize;
use std::{fmt, sync::Arc};

/// Why a policy says what it says of one message.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The policy's name.
    pub policy: Box<str>,
    /// The policy's version.
    pub version: u64,
    /// The mode that counts for this caller.
    pub mode: Mode,
    /// Who acts.
    pub actor: Box<str>,
    /// What it is.
    pub kind: ActorKind,
    /// For whom.
    pub tenant: Option<Box<str>>,
    /// The verdict, whether or not it is carried out.
    pub verdict: Verdict,
    /// Whether it is carried out.
    pub enforced: bool,
    /// Why the message was not understood.
    pub problem: Option<String>,
    /// What its statements do.
    pub statements: Vec<StatementView>,
    /// What each rule says, the built-in ones when they speak.
    pub rules: Vec<RuleExplanation>,
    /// The text that would go to the server instead, with the tenant's condition added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<String>,
    /// What the caller would be told.
    pub message: Option<String>,
}

/// What one rule says, and why.
#[derive(Clone, Debug, Serialize)]
pub struct RuleExplanation {
    /// Its id.
    pub id: Box<str>,
    /// `allow` or `deny`.
    pub verdict: Verdict,
    /// Whether its verdict would be carried out.
    pub enforced: bool,
    /// Why, in a few words.
    pub why: String,
    /// What would be allowed.
    pub hint: Option<String>,
    /// For a tenant fence: the steps of its proof.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proof: Vec<ProofStep>,
}

/// One step of a tenant fence's proof.
#[derive(Clone, Debug, Serialize)]
pub struct ProofStep {
    /// Which statement of the message, from 1.
    pub statement: usize,
    /// The table or function; empty for a condition, or the statement as a whole.
    pub name: String,
    /// Where it stands: a character of the message, from 1.
    pub position: u32,
    /// Whether it holds.
    pub proven: bool,
    /// By what it is fenced, or which doubt refuses it.
    pub why: String,
}

/// Explains what `policy` says of `sql` from `login`, who has proved `proof` as well.
pub fn explain(
    policy: &Policy,
    login: &Login<'_>,
    proof: &Arc<Proof>,
    dialect: Dialect,
    sql: &str,
) -> Explanation {
    let caller = policy.caller_with(login, proof);
    let mut facts = Facts::of(dialect, sql.as_bytes());
    let read = |text: &str| Arc::new(Facts::of(dialect, text.as_bytes()));
    let sent = policy.rewrite(&caller, &facts, sql, &read);
    if let Some(text) = &sent {
        facts = Facts::of(dialect, text.as_bytes());
    }
    let moment = Moment { binds: Binds::Later, ..Moment::default() };
    let scene = Scene::new(&facts, &|_| None).at(moment);
    let decision = policy.decide_at(&caller, &facts, KillLevel::Observe, &moment, &|_| None);
    let mut rules: Vec<RuleExplanation> = policy
        .voices(&caller, &scene)
        .into_iter()
        .map(|voice| RuleExplanation {
            id: voice.id.into(),
            verdict: Verdict::Deny,
            enforced: voice.enforced,
            why: format!("{}: {}", voice.finding.reason, voice.finding.what),
            hint: Some(voice.finding.hint),
            proof: steps(policy, voice.id, &caller, &facts),
        })
        .collect();
    for rule in &policy.rules {
        if rules.iter().any(|one| one.id == rule.id) {
            continue;
        }
        let why = if !rule.when.selects_caller(&caller) {
            "not about this caller"
        } else if !scene.is_selected(rule, login.user) {
            "not about this statement"
        } else {
            FOUND_NOTHING
        };
        let enforced = rule.mode.unwrap_or(policy.mode_of(&caller)) == Mode::Enforce;
        let id = rule.id.clone();
        rules.push(RuleExplanation {
            id,
            verdict: Verdict::Allow,
            enforced,
            why: why.to_owned(),
            hint: None,
            proof: if why == FOUND_NOTHING { steps(policy, &rule.id, &caller, &facts) } else { Vec::new() },
        });
    }
    Explanation {
        policy: policy.name().into(),
        version: policy.version(),
        mode: policy.mode_of(&caller),
        actor: caller.actor,
        kind: caller.kind,
        tenant: caller.tenant,
        verdict: decision.verdict,
        enforced: decision.enforced,
        problem: facts.problem.as_ref().map(|problem| problem.message.clone()),
        statements: facts.statements.iter().map(StatementView::of).collect(),
        rules,
        sent,
        message: decision.refusal.map(|refusal| refusal.message.clone()),
    }
}

/// The steps of a fence's proof, where the rule is one.
fn steps(policy: &Policy, rule: &str, caller: &Caller, facts: &Facts) -> Vec<ProofStep> {
    let Some(fence) = policy.rules.iter().find(|one| &*one.id == rule).and_then(|one| one.guard.fence())
    else {
        return Vec::new();
    };
    let statements = facts.statements.iter().enumerate();
    let readings = statements.filter_map(|(place, one)| Some((place, one, one.blocks.reading()?)));
    readings
        .flat_map(|(place, one, reading)| {
            let found = fence.steps(reading, caller.tenant.as_deref(), &caller.user);
            found.into_iter().map(move |step| ProofStep {
                statement: place + 1,
                name: step.name,
                position: if step.at > 0 { one.blocks.character(step.at) } else { one.position },
                proven: step.proven,
                why: step.why,
            })
        })
        .collect()
}

impl fmt::Display for Explanation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let carried = if self.enforced { "carried out" } else { "recorded only" };
        let verdict = match self.verdict {
            Verdict::Allow => "allow".to_owned(),
            other => format!("{} ({carried})", other.as_str()),
        };
        let (policy, version, mode) = (&self.policy, self.version, self.mode.as_str());
        writeln!(out, "{verdict}, by policy {policy} version {version} in {mode} mode")?;
        write!(out, "caller: {} ({})", self.actor, self.kind.as_str())?;
        match &self.tenant {
            Some(tenant) => writeln!(out, " for {tenant}")?,
            None => writeln!(out)?,
        }
        for (place, statement) in self.statements.iter().enumerate() {
            write!(out, "statement {}: {}", place + 1, statement.verb)?;
            for (what, names) in [
                ("reads", &statement.reads),
                ("writes", &statement.writes),
                ("calls", &statement.functions),
                ("tags", &statement.tags),
            ] {
                if !names.is_empty() {
                    write!(out, "; {what} {}", names.join(", "))?;
                }
            }
            writeln!(out)?;
        }
        if let Some(sent) = &self.sent {
            writeln!(out, "sent instead, places are of it: {sent}")?;
        }
        if let Some(problem) = &self.problem {
            writeln!(out, "not understood: {problem}")?;
        }
        for rule in &self.rules {
            let mode = if rule.enforced { "enforce" } else { "shadow" };
            writeln!(out, "rule {} [{mode}]: {}, {}", rule.id, rule.verdict.as_str(), rule.why)?;
            if let Some(hint) = &rule.hint {
                writeln!(out, "  {hint}")?;
            }
            for step in &rule.proof {
                let (mark, name) = (if step.proven { "holds" } else { "doubt" }, &step.name);
                let name = if name.is_empty() { String::new() } else { format!(" `{name}`") };
                writeln!(out, "  {mark} at {}:{name} {}", step.position, step.why)?;
            }
        }
        Ok(())
    }
}

const FOUND_NOTHING: &str = "nothing found";

#[cfg(test)]
mod tests {
    use super::explain;
    use crate::{Dialect, Login, Policy, Proof};
    use std::sync::Arc;

    #[test]
    fn tells_facts_and_every_rule() {
        let login = Login { user: "ann", database: "shop", application: "psql", tenant: None };
        let explanation = explain(
            &Policy::starter(),
            &login,
            &Arc::default(),
            Dialect::Postgres,
            "DELETE FROM orders WHERE true",
        );
        let text = explanation.to_string();
        for line in [
            "deny (recorded only), by policy starter version 1 in shadow mode",
            "caller: ann (service)",
            "statement 1: delete; writes orders; tags no_where",
            "rule where [shadow]: deny, where_chooses_nothing: DELETE of `orders` with a WHERE that leaves no row out",
            "rule one [shadow]: allow, nothing found",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert_eq!(serde_json::to_value(&explanation).unwrap()["verdict"], "deny");
    }

    #[test]
    fn fences_show_each_step() {
        let yaml = "name: a\nversion: 1\nmode: enforce\ncallers: [{match: {user: ann}, tenant: '42'}]\nrules:\n  - id: fence\n    \
                    tenant_fence: {column: tenant_id, tables: [users, orders, notes], shared: [products], rewrite: [notes]}\n";
        let policy = Policy::parse(yaml, "a.yaml").unwrap();
        let login = Login { user: "ann", database: "shop", application: "psql", tenant: None };
        let said = |sql: &str| explain(&policy, &login, &Arc::default(), Dialect::Postgres, sql);
        let text = said(
            "select * from users u join orders o on o.tenant_id = u.tenant_id, products where u.tenant_id = $1",
        )
        .to_string();
        for line in [
            "rule fence [enforce]: allow, nothing found",
            "  holds at 15: `users` fenced by `u.tenant_id = $1`, where $1 is bound to the tenant",
            "  holds at 28: `orders` fenced by `o.tenant_id = u.tenant_id`",
            "  holds at 67: `products` shared: holds nobody's rows",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let refused = said("update users set tenant_id = 7 where tenant_id = 42 and 1 / id > 0").to_string();
        for line in [
            "  doubt at 8: `users` fence_write: a row of `users` for another tenant",
            "  holds at 8: `users` fenced by `tenant_id = '42'`",
            "  doubt at 59: fence_leak: operator `/` over a column in a condition",
        ] {
            assert!(refused.contains(line), "{line}\n{refused}");
        }
        let changed = said("select * from notes where id = 1 or true");
        let sent = "select * from notes where ( id = 1 or true) AND \"notes\".\"tenant_id\" = '42'";
        assert_eq!((changed.sent.as_deref(), changed.verdict.as_str()), (Some(sent), "allow"));
        assert_eq!(serde_json::to_value(&changed).unwrap()["rules"][0]["proof"][0]["proven"], true);
    }

    #[test]
    fn proofs_name_callers() {
        let yaml = "name: a\nversion: 1\nmode: enforce\ncallers:\n  - match: {cert_san: 'spiffe://corp/{tenant}/{actor}'}\n    \
                    kind: agent\n  - match: {jwt: {iss: idp, claim: {team: data}}}\n    tenant: '{claim.tenant}'\n";
        let policy = Policy::parse(yaml, "a.yaml").unwrap();
        let login = Login { user: "ann", database: "shop", application: "psql", tenant: None };
        let said = |proof: Proof| {
            explain(&policy, &login, &Arc::new(proof), Dialect::Postgres, "SELECT 1").to_string()
        };
        let uris = vec!["spiffe://corp/acme/seven".to_owned()];
        assert!(said(Proof { uris, ..Proof::default() }).contains("caller: seven (agent) for acme\n"));
        let claims = |pairs: &[(&str, &str)]| {
            let owned = pairs.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]));
            Proof { claims: owned.collect(), ..Proof::default() }
        };
        let whole = said(claims(&[("iss", "idp"), ("team", "data"), ("tenant", "acme")]));
        assert!(whole.contains("caller: ann (service) for acme\n"), "{whole}");
        let other = said(claims(&[("iss", "other"), ("team", "data")]));
        assert!(other.contains("caller: ann (service)\n"), "{other}");
        let lacking = said(claims(&[("iss", "idp"), ("team", "data")]));
        let line = "rule caller [enforce]: deny, caller_unnamed: a caller whom nobody can name: the token has no claim `tenant`";
        assert!(lacking.starts_with("deny (carried out)") && lacking.contains(line), "{lacking}");
    }
}
