//! Turns of the kill switch: none is missing in between, operators signed what they are said to have signed, and who
//! raised it did not release it alone. Whether a turn was wise nobody asks.

use super::{Evidence, count, wide};
use crate::SwitchSummary;
use crate::error::{Doubt, Finding};
use crate::json::text::{seconds, short};
use crate::read::entry::{Entry, Kind};
use crate::read::switch::Switch;
use crate::trust::{Role, Trust};
use clyra_spec::{KillCause, KillClass, KillLevel, KillScope};
use std::collections::BTreeMap;

/// `switches`: the turns that are shown follow on one another, under the signatures that they need.
pub(super) fn turns(evidence: &Evidence<'_>) -> Finding {
    let mut books: BTreeMap<&str, Book<'_>> = BTreeMap::new();
    let (mut shown, mut signed, mut unable) = (0, 0_u64, None);
    for (gateway, epoch, switch) in switches(evidence.entries()?) {
        shown += 1;
        signed += u64::from(switch.order.is_some());
        let told = |what: String| format!("turn {} of gateway `{}`: {what}", switch.turn, short(gateway));
        let book = books.entry(gateway).or_default();
        let hole = book.follows(epoch, switch.turn).map_err(|what| Doubt::Fail(told(what)))?;
        if hole {
            unable = unable.or(Some(told("an earlier turn is not shown".to_owned())));
        }
        match signature(switch, evidence.trust) {
            Ok(()) => {}
            Err(Doubt::Fail(what)) => return Err(Doubt::Fail(told(what))),
            Err(Doubt::Unable(what)) => unable = unable.or(Some(told(what))),
        }
        book.note(switch).map_err(|what| Doubt::Fail(told(what)))?;
    }
    match unable {
        Some(why) => Err(Doubt::Unable(why)),
        None if shown == 0 => Ok("the kill switch was not turned meanwhile".to_owned()),
        None => Ok(format!("{}, {signed} of them signed by operators", count(wide(shown), "turn", "turns"))),
    }
}

/// The turns, for people.
pub(super) fn summary(entries: &[Entry], trust: &Trust) -> Vec<SwitchSummary> {
    let summary = |(gateway, _, switch): (&str, u64, &Switch)| SwitchSummary {
        gateway: gateway.to_owned(),
        turn: switch.turn,
        at: switch.at.to_string(),
        scope: match &switch.told.name {
            None => switch.told.scope.as_str().to_owned(),
            Some(name) => format!("{}:{name}", switch.told.scope.as_str()),
        },
        class: switch.told.class.as_str().to_owned(),
        level: switch.told.level.as_str().to_owned(),
        cause: switch.cause.as_str().to_owned(),
        by: switch.told.by.to_string(),
        reason: switch.told.reason.to_string(),
        signer: switch.order.as_ref().map(|order| order.keyid.clone()),
        checked: switch.order.as_ref().is_some_and(|order| order.signer(trust, Role::Operator).is_ok()),
    };
    switches(entries).map(summary).collect()
}

fn switches(entries: &[Entry]) -> impl Iterator<Item = (&str, u64, &Switch)> {
    entries.iter().filter_map(|entry| match (&entry.kind, &entry.stream) {
        (Kind::Switch(switch), Some(stream)) => Some((&*stream.gateway, stream.epoch, &**switch)),
        _ => None,
    })
}

/// A reader who names operators wants each signature checked.
fn signature(switch: &Switch, trust: &Trust) -> Result<(), Doubt> {
    let Some(order) = switch.order.as_ref().filter(|_| trust.keys(Role::Operator).next().is_some()) else {
        return Ok(());
    };
    if !trust.keys(Role::Operator).any(|key| key.id == order.keyid) {
        let key = short(&order.keyid);
        return Err(Doubt::Unable(format!("the key `{key}` is no operator's in the trust file")));
    }
    order.signer(trust, Role::Operator).map(drop).map_err(|flaw| Doubt::Fail(flaw.0))
}

/// What is known of one gateway's switch.
#[derive(Default)]
struct Book<'e> {
    /// Epoch and number of its last turn.
    last: Option<(u64, u64)>,
    stories: BTreeMap<(KillScope, Option<&'e str>, KillClass), Story<'e>>,
}

/// Who has raised it since it was off.
struct Story<'e> {
    since: i64,
    raisers: Vec<&'e str>,
}

impl<'e> Book<'e> {
    /// Whether turns are missing before this one.
    fn follows(&mut self, epoch: u64, turn: u64) -> Result<bool, String> {
        let hole = match self.last.replace((epoch, turn)) {
            Some((of, last)) if of == epoch && turn <= last => {
                return Err(format!("it comes after turn {last}"));
            }
            Some((of, last)) if turn != last + 1 => {
                self.stories.clear();
                of == epoch
            }
            _ => false,
        };
        Ok(hole)
    }

    fn note(&mut self, switch: &'e Switch) -> Result<(), String> {
        let told = &switch.told;
        let key = (told.scope, told.name.as_deref(), told.class);
        let at = seconds(&switch.at);
        if switch.before.is_none() {
            self.stories.insert(key, Story { since: at, raisers: Vec::new() });
        }
        let lowers = switch.before.is_some_and(|before| told.level < before);
        if let Some(story) = self.stories.get_mut(&key) {
            match &switch.order {
                Some(order) if lowers => story.released(at, &order.keyid, &told.by)?,
                Some(order) => story.raisers.push(&order.keyid),
                None if !lowers && switch.cause == KillCause::Asked => story.raisers.push(&told.by),
                None => {}
            }
        }
        if told.level == KillLevel::Observe {
            self.stories.remove(&key);
        }
        Ok(())
    }
}

impl Story<'_> {
    fn released(&self, at: i64, key: &str, by: &str) -> Result<(), String> {
        let own = |raiser: &&str| *raiser == key || *raiser == by;
        let alone = !self.raisers.is_empty() && self.raisers.iter().all(own);
        if alone && at - self.since > OWN_RELEASE_S {
            return Err(format!("`{}` releases what it has raised alone", short(key)));
        }
        Ok(())
    }
}

/// So long a mistake may be taken back by the one who made it.
const OWN_RELEASE_S: i64 = 60;
