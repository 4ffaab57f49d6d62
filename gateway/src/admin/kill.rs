//! The kill switch as the admin service tells of it and is asked for it; it never decides who may turn it.

use super::grpc::said;
use crate::{
    gate::{Gate, new_id, now_us, time_text},
    kill::{Kill, KillSet, Refused, Scope, Wish},
};
use clyra_proto::admin;
use clyra_spec::{KillCause, KillClass, KillLevel};
use std::time::Instant;
use tonic::Status;

/// What is wanted: the words of the request, or those that an operator has signed.
pub(super) fn wish(gate: &Gate, asked: admin::SetKillRequest) -> Result<Wish, Status> {
    let scope = Scope::parse(&asked.scope).map_err(Status::invalid_argument)?;
    if !asked.order.is_empty() {
        return gate.ordered(&asked.order, &scope).map_err(|why| status(&why));
    }
    let level = KillLevel::from_number(asked.level).ok_or_else(|| {
        let allowed: Vec<String> =
            KillLevel::ALL.iter().map(|level| format!("{} {}", level.number(), level.as_str())).collect();
        let allowed = allowed.join(", ");
        Status::invalid_argument(format!("level `{}` is not known; allowed: {allowed}", asked.level))
    })?;
    let class = KillClass::from_word(&asked.class).ok_or_else(|| {
        let class = asked.class.escape_debug();
        Status::invalid_argument(format!("class `{class}` is not known; allowed: all, writes, ddl"))
    })?;
    said(&[("reason", &asked.reason), ("by", &asked.by)])?;
    if asked.ttl_s > TTL_S_MAX {
        return Err(Status::invalid_argument(format!("`ttl_s` is more than {TTL_S_MAX}, a year")));
    }
    let at_us = now_us();
    let id = match &*asked.id {
        "" => new_id(at_us),
        id => uuid::Uuid::parse_str(id)
            .ok()
            .filter(|id| id.get_version_num() == 7)
            .ok_or_else(|| Status::invalid_argument("`id` is no UUIDv7; leave it empty, or give one"))?,
    };
    Ok(Wish {
        id,
        scope,
        class,
        level,
        reason: asked.reason,
        by: asked.by,
        cause: KillCause::Asked,
        at_us,
        expires_us: (asked.ttl_s > 0).then(|| at_us + asked.ttl_s * 1_000_000),
        signed: None,
    })
}

/// How it stands for everybody, and every kill that stands.
pub(super) fn stand(set: &KillSet) -> admin::Kill {
    let last = set.recent.iter().rev().find(|kill| kill.scope == Scope::default() && kill.class.is_all());
    let global = set.of(&Scope::default(), KillClass::All).or(last);
    let global =
        global.map(told).unwrap_or_else(|| admin::Kill { scope: "global".into(), ..Default::default() });
    admin::Kill { turn: set.turn, standing: set.kills.iter().map(told).collect(), ..global }
}

/// What came of a turn.
pub(super) fn turned(kill: &Kill, began: Instant) -> admin::Kill {
    let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    // One process has one gateway; those that share a switch would all answer here.
    admin::Kill { applied: 1, gateways: 1, took_us, ..told(kill) }
}

/// Whose fault it is that the switch was not turned.
pub(super) fn status(why: &Refused) -> Status {
    match why {
        Refused::Malformed(_) => Status::invalid_argument(why.to_string()),
        Refused::Forbidden(_) => Status::permission_denied(why.to_string()),
        Refused::Kept(_) => Status::internal(why.to_string()),
    }
}

fn told(kill: &Kill) -> admin::Kill {
    admin::Kill {
        scope: kill.scope.to_string(),
        level: kill.level.number(),
        reason: kill.reason.clone(),
        by: kill.by.clone(),
        at: time_text(kill.at_us),
        turn: kill.turn,
        entry: kill.entry.clone(),
        class: if kill.class.is_all() { String::new() } else { kill.class.as_str().to_owned() },
        expires: kill.expires_us.map(time_text).unwrap_or_default(),
        signer: kill.signer.clone().unwrap_or_default(),
        cause: kill.cause.as_str().to_owned(),
        ..Default::default()
    }
}

const TTL_S_MAX: u64 = 366 * 86_400;
