//! What a judgement knows of the moment: the time, and what the session has said before; it never reads a clock.

use super::{Approvals, Stop};
use crate::Binds;

/// The moment at which a message is judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment<'a> {
    /// Microseconds since 1970-01-01 UTC; without it, rules about time refuse what they are about.
    pub now_us: Option<u64>,
    /// Why the change is made, as the session claims.
    pub change_intent: Option<&'a str>,
    /// An earlier message has changed the search path, so that bare names may lead elsewhere.
    pub path_changed: bool,
    /// What is known of approvals of the message.
    pub approvals: Approvals<'a>,
    /// Kills that cover some of what the caller says, beside the level that covers all of it.
    pub stops: &'a [Stop<'a>],
    /// What is known of values that come at Bind.
    pub binds: Binds<'a>,
    /// The settings, with their tenants, that the session is pinned to; nothing where pins are not looked at.
    pub pinned: Option<&'a [(Box<str>, Box<str>)]>,
}

impl Moment<'_> {
    /// A moment of which nothing is known but the time.
    pub fn at(now_us: u64) -> Self {
        Self { now_us: Some(now_us), ..Self::default() }
    }
}
