//! Approvals as the admin service tells of them; it never decides which counts.

use crate::{
    duty::{Approval, Refused, State},
    gate::{Gate, now_us, time_text},
};
use clyra_proto::admin;
use tonic::Status;

/// One approval, for people.
pub(super) fn told(one: &Approval) -> admin::Approval {
    let state = match one.state {
        State::Given if one.expires_us <= now_us() => "expired",
        State::Given => "given",
        State::Used => "used",
        State::Revoked => "revoked",
    };
    admin::Approval {
        id: one.id.clone(),
        approver: one.approver.clone(),
        digest: one.digest.clone(),
        reason: one.reason.clone(),
        given: time_text(one.given_us),
        expires: time_text(one.expires_us),
        state: state.to_owned(),
    }
}

/// All of them, and what waits for one.
pub(super) fn list(gate: &Gate) -> admin::ApprovalList {
    let wanted = gate.waiting.all().into_iter().map(|one| admin::WantedApproval {
        digest: one.digest,
        at: time_text(one.at_us),
        actor: one.actor,
        database: one.database,
        what: one.what,
    });
    admin::ApprovalList {
        approvals: gate.approvals.all().iter().map(told).collect(),
        wanted: wanted.collect(),
    }
}

/// Whose fault it is that an approval was not taken.
pub(super) fn status(why: &Refused) -> Status {
    match why {
        Refused::Malformed(_) => Status::invalid_argument(why.to_string()),
        Refused::Unknown(_) => Status::not_found(why.to_string()),
        Refused::Journal(_) => Status::internal(why.to_string()),
    }
}
