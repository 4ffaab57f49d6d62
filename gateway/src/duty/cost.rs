//! Asks for a statement's plan before it runs, and reads what the planner expects it to cost. It runs nothing.

use clyra_policy::{Breach, StatementFacts};
use clyra_spec::Verdict;
use clyra_wire::{OwnAnswer, OwnQuestion};

/// The values of a portal, for the plan of what it runs; kept no longer than the portal.
#[derive(Clone, Default)]
pub(crate) struct PlanValues {
    /// Formats and values, as the client has sent them.
    pub(crate) values: Box<[u8]>,
    /// Count and types of the parameters, as a `Parse` has them.
    pub(crate) types: Box<[u8]>,
}

impl std::fmt::Debug for PlanValues {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("PlanValues(…)")
    }
}

impl PlanValues {
    /// From the whole body of a `Bind` and the types that are known.
    pub(crate) fn of(body: &[u8], types: &[u32]) -> Option<Self> {
        let mut bytes = u16::try_from(types.len()).ok()?.to_be_bytes().to_vec();
        bytes.extend(types.iter().flat_map(|kind| kind.to_be_bytes()));
        Some(Self { values: clyra_wire::bound_values(body)?.into(), types: bytes.into() })
    }

    /// The question to the server.
    pub(crate) fn question<'a>(&'a self, sql: &'a str) -> OwnQuestion<'a> {
        OwnQuestion { sql: sql.as_bytes(), types: &self.types, parameters: &self.values }
    }
}

/// What asks for the plan of a statement.
pub(crate) fn explain(statement: &StatementFacts) -> Option<String> {
    Some(format!("EXPLAIN (ANALYZE OFF, COSTS ON, VERBOSE OFF, FORMAT TEXT) {}", statement.text()?))
}

/// What speaks against a statement of which the planner says this.
pub(crate) fn too_costly(answer: &OwnAnswer, max: u64) -> Option<Breach> {
    let of = |reason, what, hint: String| {
        Some(Breach { verdict: Verdict::Deny, reason, sqlstate: "54000", what, hint })
    };
    match answer.value().and_then(cost) {
        Some(cost) if cost <= max => None,
        Some(cost) => {
            let what = format!("a statement that the planner expects to cost {cost}, more than {max}");
            of("too_costly", what, format!("narrow it until its plan costs at most {max}, as EXPLAIN shows"))
        }
        None => {
            let hint = "send a statement that EXPLAIN takes as it is".to_owned();
            of("plan_not_had", "a statement whose plan cannot be had".to_owned(), hint)
        }
    }
}

/// The total cost in the first line of a plan, rounded up. Names stand before it, so that the last mention counts.
fn cost(line: &[u8]) -> Option<u64> {
    let line = str::from_utf8(line).ok()?;
    let (_, behind) = line.rsplit_once("(cost=")?;
    let (_, total) = behind.split_once(' ')?.0.split_once("..")?;
    let (whole, part) = total.split_once('.').unwrap_or((total, "0"));
    let more = u64::from(part.bytes().any(|digit| digit != b'0'));
    whole.parse::<u64>().ok()?.checked_add(more)
}

#[cfg(test)]
mod tests {
    use super::cost;

    #[test]
    fn the_cost_is_the_last_one_of_the_line() {
        for (line, expected) in [
            ("Seq Scan on t  (cost=0.00..35.50 rows=2550 width=4)", Some(36)),
            ("Seq Scan on \"(cost=0.00..1.00 x\"  (cost=0.00..900.00 rows=1 width=4)", Some(900)),
            ("Result  (cost=0.00..0.01 rows=1 width=4)", Some(1)),
            ("Result  (cost=10000000000.00..10000000001.02 rows=1 width=4)", Some(10_000_000_002)),
            ("Utility statements have no plan structure", None),
            ("", None),
        ] {
            assert_eq!(cost(line.as_bytes()), expected, "{line}");
        }
    }
}
