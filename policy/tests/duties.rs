//! What passes with a duty, and what is refused since its duty could not be carried out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use clyra_policy::{ByName, Charge, Decision, Duty, Facts, Login, Policy};
use clyra_spec::{KillLevel, Verdict};
use std::sync::Arc;

#[test]
fn rows_written_are_a_duty_where_the_server_counts_them() {
    let counted: [(&str, &[usize]); 12] = [
        ("INSERT INTO t VALUES (1)", &[0]),
        ("INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET v = 1", &[0]),
        ("MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DELETE", &[0]),
        ("COPY t FROM STDIN", &[0]),
        ("CREATE TABLE n AS SELECT 1", &[0]),
        ("SELECT * INTO n FROM t", &[0]),
        ("SELECT 1; DELETE FROM t; SELECT 2; UPDATE t SET v = 1", &[1, 3]),
        ("SELECT * FROM t", &[]),
        ("PREPARE p AS DELETE FROM t", &[]),
        ("PREPARE p AS DELETE FROM t; EXECUTE p", &[]),
        ("EXPLAIN DELETE FROM t", &[]),
        ("VACUUM t", &[]),
    ];
    for (sql, places) in counted {
        let decision = judged("max_rows_written: 10", sql);
        assert_eq!(decision.verdict, Verdict::Allow, "{sql}");
        assert_eq!(places_of(decision.duties()), places, "{sql}");
    }
    let unseen = [
        "WITH d AS (DELETE FROM t RETURNING *) SELECT count(*) FROM d",
        "WITH d AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM d",
        "EXPLAIN ANALYZE DELETE FROM t",
        "COPY (DELETE FROM t RETURNING *) TO STDOUT",
        "TRUNCATE t",
        "CALL p()",
        "DO 'begin end'",
    ];
    for sql in unseen {
        let decision = judged("max_rows_written: 10", sql);
        assert_eq!(decision.verdict, Verdict::Deny, "{sql}");
        assert_eq!(decision.refusal.as_deref().unwrap().reason, "rows_not_counted", "{sql}");
        assert_eq!(decision.duties(), [], "{sql}");
    }
}

#[test]
fn a_prepared_body_counts_where_it_runs() {
    let body = Arc::new(Facts::of_postgres(b"PREPARE p AS DELETE FROM t"));
    let policy = policy("max_rows_written: 10", "enforce");
    let facts = Facts::of_postgres(b"SELECT 1; EXECUTE p");
    let prepared = |name: ByName<'_>| (name == ByName::Statement("p")).then(|| Arc::clone(&body));
    let decision = policy.decide(&policy.caller(&LOGIN), &facts, KillLevel::Observe, &prepared);
    assert_eq!(places_of(decision.duties()), [1]);
}

#[test]
fn answers_and_plans() {
    for (guard, sql, places) in [
        ("max_rows_returned: 5", "SELECT * FROM t", &[0][..]),
        ("max_rows_returned: 5", "DELETE FROM t RETURNING *", &[0]),
        ("max_rows_returned: 5", "COPY t TO STDOUT", &[0]),
        ("max_rows_returned: 5", "FETCH ALL FROM c", &[0]),
        ("max_rows_returned: 5", "BEGIN; UPDATE t SET v = 1; COMMIT", &[]),
        ("max_rows_written: 5", "BEGIN; SELECT * FROM t; COMMIT", &[]),
        ("max_cost: 1000", "BEGIN; SELECT * FROM t; COMMIT", &[1]),
        ("max_cost: 1000", "SET x.y = 1", &[]),
        ("max_cost: {max: 1000, unexplained: allow}", "DO 'begin end'", &[]),
        ("velocity: {per: actor, of: statements, budget: 5 per 1h}", "BEGIN; SELECT 1", &[0, 1]),
        ("velocity: {per: rule, of: bytes_out, budget: 5 per 1h}", "SET a.b = 1; SELECT 1", &[1]),
    ] {
        let decision = judged(guard, sql);
        assert_eq!(decision.verdict, Verdict::Allow, "{guard} {sql}");
        assert_eq!(places_of(decision.duties()), places, "{guard} {sql}");
    }
    for (guard, sql) in [
        ("max_rows_written: 5", "DELETE FROM t; COMMIT"),
        ("max_rows_returned: 5", "BEGIN; SELECT * FROM t"),
        ("velocity: {per: actor, of: rows_written, budget: 5 per 1h}", "SAVEPOINT s; DELETE FROM t"),
    ] {
        assert_eq!(judged(guard, sql).refusal.unwrap().reason, "transaction_control", "{sql}");
    }
    for sql in ["CALL p()", "COPY t TO STDOUT", "EXPLAIN ANALYZE SELECT 1", "DO 'begin end'"] {
        let decision = judged("max_cost: 1000", sql);
        assert_eq!(decision.refusal.unwrap().reason, "plan_not_seen", "{sql}");
    }
}

#[test]
fn shadow_gives_duties_that_look_on_and_others_none() {
    let policy = policy("max_rows_written: 10", "shadow");
    let facts = Facts::of_postgres(b"DELETE FROM t");
    let decision = policy.decide(&policy.caller(&LOGIN), &facts, KillLevel::Observe, &|_| None);
    let [duty] = decision.duties() else { panic!("{decision:?}") };
    assert!(!duty.enforced);
    assert_eq!((&*duty.rule, &duty.charge), ("bound", &Charge::RowsWritten(10)));
    let killed = policy.decide(&policy.caller(&LOGIN), &facts, KillLevel::BlockWrites, &|_| None);
    assert!(killed.duties.is_none());
}

fn places_of(duties: &[Duty]) -> Vec<usize> {
    duties.iter().flat_map(|duty| (0..8).filter(|place| duty.statements.contains(*place))).collect()
}

fn judged(guard: &str, sql: &str) -> Decision {
    let policy = policy(guard, "enforce");
    let facts = Facts::of_postgres(sql.as_bytes());
    assert_eq!(facts.problem, None, "{sql}");
    policy.decide(&policy.caller(&LOGIN), &facts, KillLevel::Observe, &|_| None)
}

fn policy(guard: &str, mode: &str) -> Policy {
    let yaml = format!("name: t\nversion: 1\nmode: {mode}\nrules:\n  - id: bound\n    {guard}\n");
    Policy::parse(&yaml, "t.yaml").unwrap()
}

const LOGIN: Login<'_> = Login { user: "ann", database: "shop", application: "psql", tenant: None };
