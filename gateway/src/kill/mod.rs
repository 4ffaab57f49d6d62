//! The kill switch: what stands against whom, read by every statement through one number, journalled before a turn is
//! acknowledged. It never decides what a level covers; the judge does.
//!
//! Where gateways share their switch, a turn of another gateway comes in as a wish, too: its number and its journal are
//! this gateway's own.

mod bell;
mod breaker;
mod journal;
mod order;
mod set;
#[cfg(test)]
mod tests;
mod watch;

pub(crate) use bell::{Bell, Hearing};
pub(crate) use breaker::Breakers;
pub(crate) use order::{Operator, Signed, read as read_order};
pub(crate) use set::{Kill, KillSet, Of, Scope, View};
pub(crate) use watch::watch;

use crate::Error;
use arc_swap::ArcSwap;
use clyra_spec::{KillCause, KillClass, KillLevel};
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use uuid::Uuid;

/// A turn that somebody, or something, wants.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// Id of its entry.
    pub(crate) id: Uuid,
    pub(crate) scope: Scope,
    pub(crate) class: KillClass,
    pub(crate) level: KillLevel,
    pub(crate) reason: String,
    pub(crate) by: String,
    pub(crate) cause: KillCause,
    pub(crate) at_us: u64,
    pub(crate) expires_us: Option<u64>,
    pub(crate) signed: Option<Signed>,
}

/// Why the switch is not turned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The wish is none.
    #[error("{0}")]
    Malformed(String),
    /// Whoever wants it may not.
    #[error("{0}")]
    Forbidden(String),
    /// The journal, or the log, does not take it; what is raised is in effect all the same.
    #[error(transparent)]
    Kept(#[from] Error),
}

/// The switch of one gateway.
#[derive(Debug)]
pub(crate) struct KillSwitch {
    journal: PathBuf,
    /// Number of the last turn: read by every message, written after `set`.
    turn: AtomicU64,
    set: ArcSwap<KillSet>,
    /// Whoever turns the switch holds it.
    turning: Mutex<()>,
    pub(crate) bell: Arc<Bell>,
    /// A file that raises the switch while it stands, and what it says.
    held: Mutex<Option<Scope>>,
}

impl KillSwitch {
    /// The switch as the journal left it.
    pub(crate) fn open(journal: PathBuf) -> Result<Self, Error> {
        let set = journal::read(&journal)?;
        Ok(Self {
            journal,
            turn: AtomicU64::new(set.turn),
            set: ArcSwap::from_pointee(set),
            turning: Mutex::new(()),
            bell: Arc::default(),
            held: Mutex::default(),
        })
    }

    /// Number of the last turn.
    pub(crate) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Acquire)
    }

    /// What stands.
    pub(crate) fn stand(&self) -> Arc<KillSet> {
        self.set.load_full()
    }

    /// The level for everybody and everything.
    pub(crate) fn level(&self) -> KillLevel {
        self.set.load().of(&Scope::default(), KillClass::All).map_or(KillLevel::Observe, |kill| kill.level)
    }

    /// While a file stands for this scope, nobody releases it.
    pub(crate) fn hold(&self, scope: Option<Scope>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = scope;
    }

    /// Turns it. What raises is in effect at once, whatever the disk says; what lowers, once it is durable. True beside
    /// what stands then where the turn is new, and not one that was made before under the same id.
    pub(crate) fn set(&self, wish: &Wish, operators: &[Operator]) -> Result<(Kill, bool), Refused> {
        let _turning = self.turning.lock().unwrap_or_else(PoisonError::into_inner);
        let set = self.set.load_full();
        let entry = wish.id.to_string();
        if let Some(made) = set.recent.iter().find(|kill| kill.entry == entry) {
            let same = made.scope == wish.scope && made.class == wish.class && made.level == wish.level;
            return if same {
                Ok((made.clone(), false))
            } else {
                Err(Refused::Malformed(format!("another turn has the id `{entry}`")))
            };
        }
        wish.check().map_err(Refused::Malformed)?;
        let stands = set.of(&wish.scope, wish.class);
        let lowers = stands.is_some_and(|kill| wish.lowers(kill));
        if let Some(stands) = stands.filter(|_| lowers && wish.cause != KillCause::Expired) {
            if let Some(why) = order::why_not_lower(stands, wish, operators) {
                return Err(Refused::Forbidden(why));
            }
            if self.held.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(&wish.scope) {
                let why = "the kill file stands; remove it first".to_owned();
                return Err(Refused::Forbidden(why));
            }
        }
        if stands.is_none() && set.kills.len() >= KILLS_MAX && wish.level != KillLevel::Observe {
            let why = format!("{KILLS_MAX} kills stand already; raise one that covers more");
            return Err(Refused::Malformed(why));
        }
        let kill = wish.after(stands, set.turn + 1, entry, lowers);
        let next = set.with(&kill);
        if lowers {
            journal::write(&self.journal, &next)?;
            self.swap(next);
        } else {
            self.swap(next.clone());
            journal::write(&self.journal, &next)?;
        }
        Ok((kill, true))
    }

    fn swap(&self, next: KillSet) {
        let turn = next.turn;
        self.set.store(Arc::new(next));
        self.turn.store(turn, Ordering::Release);
        self.bell.ring();
    }
}

impl Wish {
    fn check(&self) -> Result<(), String> {
        let scope = self.scope.kind.as_str();
        let is_partial = self.scope.kind == clyra_spec::KillScope::Rule || !self.class.is_all();
        if self.level == KillLevel::Disconnect && is_partial {
            return Err(format!(
                "level disconnect is about connections, and this about some statements; allowed for scope {scope} and \
                 class {}: up to cancel_running",
                self.class.as_str()
            ));
        }
        if self.expires_us.is_some_and(|end| end <= self.at_us) {
            return Err("it would have ended already".to_owned());
        }
        Ok(())
    }

    /// It lets something pass that `kill` stops, or lets it pass earlier.
    fn lowers(&self, kill: &Kill) -> bool {
        let end = |expires: Option<u64>| expires.unwrap_or(u64::MAX);
        self.level < kill.level || end(self.expires_us) < end(kill.expires_us)
    }

    /// What stands once it is carried out.
    fn after(&self, before: Option<&Kill>, turn: u64, entry: String, lowers: bool) -> Kill {
        let signer = self.signed.as_ref().map(|signed| signed.key.clone());
        let (since_us, mut raisers) =
            before.map_or((self.at_us, Vec::new()), |kill| (kill.since_us, kill.raisers.clone()));
        // What raises itself is nobody's.
        let raiser = signer.clone().or_else(|| (self.cause == KillCause::Asked).then(|| self.by.clone()));
        if let Some(raiser) = raiser.filter(|one| !lowers && !raisers.contains(one)) {
            raisers.push(raiser);
        }
        Kill {
            scope: self.scope.clone(),
            class: self.class,
            level: self.level,
            before: before.map_or(KillLevel::Observe, |kill| kill.level),
            reason: self.reason.clone(),
            by: self.by.clone(),
            cause: self.cause,
            at_us: self.at_us,
            expires_us: self.expires_us.filter(|_| self.level != KillLevel::Observe),
            turn,
            entry,
            signer,
            since_us,
            raisers,
        }
    }
}

/// Kills that stand at once: every session looks at each of them after a turn.
const KILLS_MAX: usize = 1_000;
