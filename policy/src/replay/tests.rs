//! Receipts judged again against the judge himself: whatever is told for certain must be what he says of the statement.

use super::{Backtest, Receipt};
use crate::tools::PACKS;
use crate::{Approvals, Binds, Dialect, Facts, Login, Moment, Policy};
use clyra_spec::{KillLevel, Mode, Verdict};
use serde_json::{Value, json};

const ALL_KEYS: &str = include_str!("../../tests/all_keys.yaml");
const AT: &str = "2026-11-24T12:00:00Z";

/// The receipts of a message as a gateway writes them, judged by a policy that nobody knows.
fn receipts(facts: &Facts, application: &str) -> Vec<Receipt> {
    let count = facts.statements.len();
    let of = |(place, one): (usize, &crate::StatementFacts)| {
        let mut action = json!({"shape": "0", "verb": one.verb, "tags": one.receipt_tags()});
        action["reads"] = json!(one.reads);
        action["writes"] = json!(one.writes);
        action["functions"] = json!(one.functions);
        if count > 1 {
            action["statement_count"] = json!(count);
            action["statement_index"] = json!(place + 1);
        }
        let receipt = json!({
            "id": "i", "at": AT, "phase": "whole", "action": action,
            "caller": {"actor": "a", "actor_kind": "service", "auth": "none", "via": application},
            "decision": {"enforced": false, "policy": "sha256:other", "verdict": "allow"},
            "outcome": {"bytes_out": 1, "status": "ok", "rows": 1},
            "stream": {"gateway": "g", "epoch": 1, "seq": 1}, "target": {"database": "shop"},
        });
        serde_json::from_value(receipt).unwrap()
    };
    facts.statements.iter().enumerate().map(of).collect()
}

/// Every message in the packs' cases, with its user and application.
fn corpus() -> Vec<(String, String, String)> {
    let mut corpus = Vec::new();
    for (_, _, cases) in PACKS {
        let cases: Value = serde_saphyr::from_str(cases).unwrap();
        for case in cases["cases"].as_array().unwrap() {
            let of = |name: &str, without: &str| case[name].as_str().unwrap_or(without).to_owned();
            let messages = case["sql"].as_array().cloned().unwrap_or_else(|| vec![case["sql"].clone()]);
            for message in messages {
                let sql = message.as_str().unwrap().to_owned();
                corpus.push((sql, of("user", "app"), of("application", "")));
            }
        }
    }
    let more = [
        "WITH gone AS (DELETE FROM orders WHERE id = 1 RETURNING *) SELECT * FROM gone",
        "WITH a AS (INSERT INTO log VALUES (1)) UPDATE orders SET a = 1",
        "COPY (DELETE FROM orders RETURNING id) TO STDOUT",
        "PREPARE p AS DELETE FROM orders",
        "EXPLAIN ANALYZE UPDATE orders SET a = 1 WHERE id = 2",
        "SELECT * FROM users WHERE name === 'x' LIMIT 3",
        "SELECT a::my_type FROM users LIMIT 50",
        "SELECT string_agg(name, ',') FROM users",
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
        "CREATE FUNCTION g() RETURNS void LANGUAGE sql AS 'DELETE FROM orders'",
        "CREATE TABLE t AS SELECT * FROM users",
        "SET search_path = evil; SELECT 1",
        "SET client_encoding = 'SQL_ASCII'",
        "DISCARD ALL",
        "RESET ROLE",
        "SELECT set_config('role', 'boss', true)",
        "LOCK TABLE orders",
        "MERGE INTO orders o USING users u ON o.id = u.id WHEN MATCHED THEN DELETE",
        "SELECT * FROM pg_stats LIMIT 1",
        "EXECUTE p(1)",
        "BEGIN; COMMIT",
        "FETCH 100 FROM c",
        "CALL work()",
        "VACUUM orders",
        "SELEC",
    ];
    corpus.extend(more.map(|sql| (sql.to_owned(), "agent1".to_owned(), String::new())));
    corpus.push((format!("SELECT '{}'", "x".repeat(5_000)), "agent1".to_owned(), String::new()));
    corpus
}

#[test]
fn what_is_told_for_certain_is_what_the_judge_says() {
    let (mut told, mut asked, mut wrong) = (0_u32, 0_u32, Vec::new());
    let texts = PACKS.iter().map(|(_, text, _)| *text).chain([ALL_KEYS]).map(str::to_owned);
    // Each rule by itself, since in a policy of many rules one that speaks hides what another cannot tell.
    for text in texts {
        let whole = Policy::parse(&text, "whole").unwrap();
        for place in 0..whole.rules.len() {
            let rule = whole.rules[place].clone();
            let policy = Policy { rules: Box::new([rule]), ..whole.clone() }.with_mode(Mode::Enforce);
            let backtest = Backtest::new(policy.clone(), &[]);
            for (sql, user, application) in corpus() {
                let facts = Facts::of(Dialect::Postgres, sql.as_bytes());
                let login = Login { user: &user, database: "shop", application: &application, tenant: None };
                let approvals = Approvals::Of { digest: "", given: &[] };
                let now_us = receipts(&facts, "").first().and_then(Receipt::at_us);
                let moment = Moment { now_us, approvals, binds: Binds::Later, ..Moment::default() };
                let decision =
                    policy.decide_at(&policy.caller(&login), &facts, KillLevel::Observe, &moment, &|_| None);
                let retold = backtest.retell(&receipts(&facts, &application), Some(&user));
                asked += 1;
                told += u32::from(retold.refused.is_some());
                let said = (decision.refusal.is_some(), decision.verdict != Verdict::Allow);
                let same = retold.refused.is_none_or(|refused| refused == said.0)
                    && retold.spoken.is_none_or(|spoken| spoken == said.1);
                // A name that was never prepared is refused by the judge here, and was known to the gateway.
                if !same && !sql.starts_with("EXECUTE") {
                    let id = &whole.rules[place].id;
                    wrong.push(format!("{}/{id}: {sql}: {said:?}, told {retold:?}", whole.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(told * 10 > asked * 8, "only {told} of {asked} can be told");
}

const AGENTS: &str = "name: a\nversion: 1\nmode: enforce\ncallers:\n  - match: {user: 'agent*'}\n    kind: agent\nrules:\n  \
                      - id: drops\n    when: {kind: agent}\n    deny_verbs: [drop]\n";

/// The receipt of `DROP TABLE t`, judged by `policy`, with what was said.
fn dropped(policy: &Policy, kind: &str, said: &[&str], enforced: bool) -> Receipt {
    let rules: Vec<Value> = said
        .iter()
        .map(|id| json!({"enforced": enforced, "id": id, "reason": "then", "verdict": "deny"}))
        .collect();
    let verdict = if said.is_empty() { "allow" } else { "deny" };
    serde_json::from_value(json!({
        "id": "i", "at": AT, "phase": "whole", "action": {"shape": "0", "verb": "drop", "writes": ["t"]},
        "caller": {"actor": "a", "actor_kind": kind, "auth": "scram"},
        "decision": {"enforced": enforced, "policy": policy.digest(), "verdict": verdict, "rules": rules},
        "stream": {"gateway": "g", "epoch": 1, "seq": 1}, "target": {"database": "shop"},
    }))
    .unwrap()
}

fn policy(text: &str) -> Policy {
    Policy::parse(text, "test").unwrap()
}

#[test]
fn who_a_caller_is_holds_while_callers_are_named_alike() {
    let was = policy(AGENTS);
    let next = policy(&AGENTS.replace("[drop]", "[drop, truncate]"));
    let refused = |before: &[Policy], kind: &str, user: Option<&str>| {
        let receipt = dropped(&was, kind, &[], false);
        Backtest::new(next.clone(), before).retell(&[receipt], user).refused
    };
    assert_eq!(refused(std::slice::from_ref(&was), "agent", None), Some(true));
    assert_eq!(refused(std::slice::from_ref(&was), "service", None), Some(false));
    // Without the policy that judged then, nobody knows whom its fingerprints mean, unless somebody says so.
    assert_eq!(refused(&[], "agent", None), None);
    assert_eq!(refused(&[], "agent", Some("agent7")), Some(true));
    assert_eq!(refused(&[], "agent", Some("ann")), Some(false));
    let told = Backtest::new(next.clone(), &[]).retell(&[dropped(&was, "agent", &[], false)], None);
    assert!(told.rules.iter().any(|rule| rule.id == "callers".into() && rule.unknown.is_some()), "{told:?}");
}

#[test]
fn a_rule_that_stands_unchanged_says_what_it_said() {
    let of = |mode: &str, id: &str| {
        let guard = "velocity: {per: actor, of: statements, budget: 5 per 1h}";
        policy(&format!("name: a\nversion: 1\nmode: {mode}\nrules:\n  - id: {id}\n    {guard}\n"))
    };
    let (was, next) = (of("shadow", "pace"), of("enforce", "speed"));
    let backtest = Backtest::new(next.clone(), std::slice::from_ref(&was));
    let silent = backtest.retell(&[dropped(&was, "service", &[], false)], None);
    assert_eq!((silent.refused, silent.rules.len()), (Some(false), 0));
    let spoke = backtest.retell(&[dropped(&was, "service", &["pace"], false)], None);
    assert_eq!((spoke.was_refused, spoke.refused), (false, Some(true)));
    assert_eq!((&*spoke.rules[0].id, spoke.rules[0].reason.as_deref()), ("speed", Some("then")));
    // What was refused had used nothing of a cap: whether the cap would have spoken is not known.
    let refused = backtest.retell(&[dropped(&was, "service", &["other"], true)], None);
    assert_eq!((refused.was_refused, refused.refused), (true, None));
    // And what another policy said is no word of this one.
    let strange = Backtest::new(next, &[]).retell(&[dropped(&was, "service", &["pace"], false)], None);
    assert_eq!(strange.refused, None);
    assert_eq!(strange.rules[0].unknown, Some("what was used before is not counted again"));
}

#[test]
fn what_only_shadow_rules_leave_open_passes_for_certain() {
    let text = "name: a\nversion: 1\nmode: shadow\nrules:\n  - id: cost\n    max_cost: 5\n";
    let mut receipt = dropped(&policy(text), "service", &[], false);
    receipt.action.verb = clyra_spec::Verb::Select;
    receipt.decision.policy = "sha256:other".into();
    let told = Backtest::new(policy(text), &[]).retell(&[receipt.clone()], None);
    assert_eq!((told.refused, told.spoken), (Some(false), None));
    receipt.decision.verdict = Verdict::Kill;
    receipt.decision.enforced = true;
    let told = Backtest::new(policy(text), &[]).retell(&[receipt], None);
    assert_eq!((told.killed, told.refused), (true, Some(true)));
}
