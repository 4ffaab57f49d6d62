//! The statements of the story, sent through the gateway, with a look past it after each that must not have run,
//! or must have. The expectations stand in one table.

use super::{
    NAME,
    client::{Heard, Talk},
    table::Row,
};
use crate::{
    error::Error,
    peer::{self, GATE, refused},
    standing::Standing,
    up::DEMO_RULES,
    verbs::kill::turned,
};
use clyra_policy::{Facts, Login, Policy};
use clyra_proto::admin::{GetKillRequest, GetPolicyRequest, PolicyInForce};
use clyra_spec::{KillLevel, Mode, Verdict};
use std::fs;

/// One statement and what must come of it.
struct Line {
    step: &'static str,
    sql: String,
    expect: Expect,
    /// A query past the gateway and the value it must give.
    look: Option<(String, &'static str)>,
}

/// What the client must hear, and what the policy must say where that alone decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    Pass,
    /// Passes, but a rule in shadow mode would refuse it.
    ShadowDeny,
    Deny,
    Kill,
}

/// Plays the statements before, under and after the kill switch.
pub(super) async fn play(standing: &Standing, run_id: &str, rows: &mut Vec<Row>) -> Result<(), Error> {
    let direct = Talk::direct(standing).await?;
    let through = Talk::through(standing, run_id).await?;
    let mut gate = peer::gate(standing.admin).await?;
    for line in before(run_id) {
        rows.push(line.tell(&through, &direct).await);
    }
    rows.push(turn(&mut gate, KillLevel::BlockWrites).await?);
    for line in killed(run_id) {
        rows.push(line.tell(&through, &direct).await);
    }
    rows.push(turn(&mut gate, KillLevel::Observe).await?);
    for line in released(run_id) {
        rows.push(line.tell(&through, &direct).await);
    }
    through.end().await;
    direct.end().await;
    Ok(())
}

/// What each statement's receipt must say, in the order in which they are sent.
pub(super) fn expectations() -> Vec<Expect> {
    [before(""), killed(""), released("")].into_iter().flatten().map(|line| line.expect).collect()
}

/// Looks whether the policy in force says what the story needs; it is not the demo's to change.
pub(super) async fn check_policy(standing: &Standing) -> Result<(), Error> {
    let mut gate = peer::gate(standing.admin).await?;
    let no = |status| refused(GATE, &status);
    let in_force = gate.get_policy(GetPolicyRequest {}).await.map_err(no)?.into_inner();
    let kill = gate.get_kill(GetKillRequest {}).await.map_err(no)?.into_inner();
    if kill.level != 0 {
        return Err(Error::Usage(
            "the kill switch is on; release it first: clyra kill release --reason …".into(),
        ));
    }
    let policy = read(&in_force)?;
    let login = Login { user: "app", database: "shop", application: NAME, tenant: None };
    let caller = policy.caller(&login);
    for line in before("") {
        let decision =
            policy.decide(&caller, &Facts::of_postgres(line.sql.as_bytes()), KillLevel::Observe, &|_| None);
        let holds = match line.expect {
            Expect::Pass => decision.refusal.is_none(),
            Expect::ShadowDeny => decision.refusal.is_none() && decision.verdict == Verdict::Deny,
            Expect::Deny | Expect::Kill => decision.refusal.is_some(),
        };
        if !holds {
            return Err(Error::Usage(format!(
                "policy `{}` ({}) does not let the demo play `{}` as it must; put these rules first:\n{DEMO_RULES}",
                in_force.name,
                if in_force.file.is_empty() { "built in" } else { &in_force.file },
                line.sql
            )));
        }
    }
    Ok(())
}

/// The policy in force, compiled here once more from its file.
fn read(in_force: &PolicyInForce) -> Result<Policy, Error> {
    let policy = if in_force.file.is_empty() {
        Policy::starter()
    } else {
        let text = fs::read_to_string(&in_force.file);
        let text =
            text.map_err(|error| Error::Usage(format!("cannot read policy `{}`: {error}", in_force.file)))?;
        Policy::parse(&text, &in_force.file).map_err(|error| Error::Usage(error.to_string()))?
    };
    let mode = if in_force.mode == Mode::Enforce.as_str() { Mode::Enforce } else { Mode::Shadow };
    Ok(policy.with_mode(mode))
}

impl Line {
    async fn tell(self, through: &Talk, direct: &Talk) -> Row {
        let heard = through.send(&self.sql).await;
        let mut ok = self.expect.holds(&heard);
        let (mut expected, mut got) = (self.expect.words().to_owned(), heard.to_string());
        if let Some((query, wanted)) = self.look {
            let seen = match direct.send(&query).await {
                Heard::Ran { value, .. } => value.unwrap_or_else(|| "nothing".into()),
                other => other.to_string(),
            };
            ok &= seen == wanted;
            expected.push_str(&format!("; directly {wanted}"));
            got.push_str(&format!("; directly {seen}"));
        }
        Row { step: self.step, sent: self.sql, expected, got, ok }
    }
}

impl Expect {
    fn holds(self, heard: &Heard) -> bool {
        match (self, heard) {
            (Self::Pass | Self::ShadowDeny, Heard::Ran { .. }) => true,
            (Self::Deny, Heard::Refused { sqlstate, .. }) => sqlstate == "42501",
            (Self::Kill, Heard::Refused { sqlstate, .. }) => sqlstate == "ZC100",
            _ => false,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Pass | Self::ShadowDeny => "passes",
            Self::Deny => "refused 42501",
            Self::Kill => "refused ZC100",
        }
    }
}

fn before(run_id: &str) -> Vec<Line> {
    vec![
        Line {
            step: "allowed read",
            sql: "SELECT count(*) FROM orders".into(),
            expect: Expect::Pass,
            look: None,
        },
        note("allowed write", 7, run_id, Expect::Pass, "1"),
        Line {
            step: "shadow-denied read",
            sql: "SELECT name FROM secrets WHERE tenant_id = 1".into(),
            expect: Expect::ShadowDeny,
            look: None,
        },
        Line {
            step: "denied drop",
            sql: "DROP TABLE payments".into(),
            expect: Expect::Deny,
            look: Some(("SELECT count(*) FROM pg_tables WHERE tablename = 'payments'".into(), "1")),
        },
        Line {
            step: "denied write",
            sql: "UPDATE products SET stock = 0".into(),
            expect: Expect::Deny,
            look: Some(("SELECT count(*) FROM products WHERE stock = 0".into(), "0")),
        },
    ]
}

fn killed(run_id: &str) -> Vec<Line> {
    vec![
        note("killed write", 8, run_id, Expect::Kill, "0"),
        Line {
            step: "read under kill",
            sql: "SELECT count(*) FROM customers".into(),
            expect: Expect::Pass,
            look: None,
        },
    ]
}

fn released(run_id: &str) -> Vec<Line> {
    vec![note("released write", 8, run_id, Expect::Pass, "1")]
}

/// A harmless write that can be told from every earlier one by its run.
fn note(step: &'static str, order: u32, run_id: &str, expect: Expect, seen: &'static str) -> Line {
    Line {
        step,
        sql: format!("UPDATE orders SET note = '{run_id}' WHERE id = {order}"),
        expect,
        look: Some((format!("SELECT count(*) FROM orders WHERE id = {order} AND note = '{run_id}'"), seen)),
    }
}

async fn turn(gate: &mut peer::Gate, level: KillLevel) -> Result<Row, Error> {
    let answer = turned(gate, level, "the demo shows the switch", NAME).await?;
    let stands =
        gate.get_kill(GetKillRequest {}).await.map_err(|status| refused(GATE, &status))?.into_inner();
    let seen = KillLevel::from_number(stands.level);
    Ok(Row {
        step: if level == KillLevel::Observe { "kill released" } else { "kill set" },
        sent: format!("SetKill level {}", level.number()),
        expected: format!("stands at {}", level.as_str()),
        got: format!("stands at {}, turn {}", seen.map_or("unknown", KillLevel::as_str), stands.turn),
        ok: seen == Some(level) && stands.turn == answer.turn,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_wanted_answer_holds() {
        let refused = |code: &str| Heard::Refused { sqlstate: code.into(), message: String::new() };
        assert!(Expect::Deny.holds(&refused("42501")));
        assert!(!Expect::Deny.holds(&refused("42P01")));
        assert!(!Expect::Kill.holds(&refused("42501")));
        assert!(!Expect::Pass.holds(&Heard::Lost("gone".into())));
        assert!(!Expect::Deny.holds(&Heard::Ran { rows: 0, value: None }));
        assert_eq!(expectations().len(), 8);
    }
}
