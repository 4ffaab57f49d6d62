//! Duties: carries out what a rule leaves with a message that passes. It decides nothing beyond what its duty says.

mod approvals;
mod caps;
mod cost;
mod journal;
mod ledger;
mod meter;
#[cfg(test)]
mod tests;

pub(crate) use approvals::{Approval, Approvals, Refused, Signer, State};
pub(crate) use caps::{Caps, Grant, Sharers};
pub(crate) use cost::{PlanValues, explain, too_costly};
