//! The kill switch as a policy knows it: what stands against a message, who may turn it, and when a rule turns it by
//! itself. It never turns anything.

use clyra_spec::{ActorKind, KillClass, KillLevel, KillScope};

/// One kill that covers the caller, and not all that it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop<'a> {
    /// How far it goes.
    pub level: KillLevel,
    /// Which statements it covers.
    pub class: KillClass,
    /// It covers only what this rule is about.
    pub rule: Option<&'a str>,
}

/// Somebody whose signature turns the kill switch, from the policy's `operators:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The name.
    pub name: Box<str>,
    /// The public key in text form, `name+hash+base64`.
    pub key: Box<str>,
    /// An agent may raise the switch, and never release it.
    pub kind: ActorKind,
}

/// When a rule raises the kill switch by itself: a rule's `on_denials`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// So many refusals …
    pub count: u64,
    /// … within so many microseconds.
    pub window_us: u64,
    /// For whom they are counted, and the switch is raised.
    pub scope: KillScope,
    /// How far.
    pub level: KillLevel,
}
