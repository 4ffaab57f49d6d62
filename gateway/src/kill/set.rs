//! What stands of the kill switch: one immutable set of kills, and what of it covers one session. It never turns
//! anything.

use clyra_policy::{Caller, Stop};
use clyra_spec::{KillCause, KillClass, KillLevel, KillScope};
use serde::{Deserialize, Serialize};

/// Whom a kill covers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scope {
    pub(crate) kind: KillScope,
    /// Empty for everybody.
    pub(crate) name: String,
}

impl Scope {
    /// Reads `global`, or a kind with a name, like `actor:etl`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let words = KillScope::ALL.map(KillScope::as_str).join(", ");
        let (word, name) =
            text.split_once(':').unwrap_or((if text.is_empty() { "global" } else { text }, ""));
        let kind = KillScope::from_word(word).ok_or_else(|| {
            format!("scope `{word}` is not known; allowed: {words}, each but global with `:NAME`")
        })?;
        if (kind == KillScope::Global) != name.is_empty() {
            return Err(format!("scope `{text}` is none; allowed: global, or `{word}:NAME`"));
        }
        if name.len() > clyra_spec::limits::LABEL_BYTES_MAX || name.contains(char::is_control) {
            return Err(format!("the name in scope `{word}` is too long, or no text"));
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            KillScope::Global => f.write_str("global"),
            kind => write!(f, "{}:{}", kind.as_str(), self.name),
        }
    }
}

/// One kill that stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kill {
    pub(crate) scope: Scope,
    pub(crate) class: KillClass,
    pub(crate) level: KillLevel,
    /// What stood before that turn.
    pub(crate) before: KillLevel,
    pub(crate) reason: String,
    pub(crate) by: String,
    pub(crate) cause: KillCause,
    pub(crate) at_us: u64,
    pub(crate) expires_us: Option<u64>,
    /// The turn that made it as it is.
    pub(crate) turn: u64,
    /// Id of that turn's entry.
    pub(crate) entry: String,
    /// Id of the key that signed for it.
    pub(crate) signer: Option<String>,
    /// When it was raised from nothing.
    pub(crate) since_us: u64,
    /// Who has raised it since: ids of keys, or names where nothing was signed.
    pub(crate) raisers: Vec<String>,
}

/// Everything that stands, and the turns that were made of late.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KillSet {
    /// Number of the last turn.
    pub(crate) turn: u64,
    pub(crate) kills: Vec<Kill>,
    /// The last turns, so that one that is asked for twice is made once.
    pub(crate) recent: Vec<Kill>,
}

impl KillSet {
    /// What stands for a scope and a class.
    pub(crate) fn of(&self, scope: &Scope, class: KillClass) -> Option<&Kill> {
        self.kills.iter().find(|kill| kill.scope == *scope && kill.class == class)
    }

    /// The set after a turn.
    pub(crate) fn with(&self, kill: &Kill) -> Self {
        let others = self.kills.iter().filter(|one| one.scope != kill.scope || one.class != kill.class);
        let mut kills: Vec<Kill> = others.cloned().collect();
        if kill.level != KillLevel::Observe {
            kills.push(kill.clone());
        }
        let kept = self.recent.len().saturating_sub(RECENT_MAX - 1);
        let recent = self.recent.iter().skip(kept).chain([kill]).cloned().collect();
        Self { turn: kill.turn, kills, recent }
    }

    /// What of it covers a session.
    pub(crate) fn view(&self, of: &Of<'_>) -> View {
        let mut view = View { turn: self.turn, level: KillLevel::Observe, partial: Vec::new() };
        for kill in &self.kills {
            let name = &*kill.scope.name;
            let (covers, run, rule) = match kill.scope.kind {
                KillScope::Global => (true, None, None),
                KillScope::Source => (name == of.database, None, None),
                KillScope::Tenant => (of.caller.tenant.as_deref() == Some(name), None, None),
                KillScope::Actor => (name == &*of.caller.actor, None, None),
                KillScope::Policy => (name == of.policy, None, None),
                KillScope::Route => (name == of.route, None, None),
                KillScope::Run => (true, Some(name), None),
                KillScope::Rule => (true, None, Some(name)),
            };
            if covers && kill.class == KillClass::All && run.is_none() && rule.is_none() {
                view.level = view.level.max(kill.level);
            } else if covers {
                let (class, level) = (kill.class, kill.level);
                view.partial.push(Partial {
                    level,
                    class,
                    run: run.map(Into::into),
                    rule: rule.map(Into::into),
                });
            }
        }
        view
    }
}

/// What a kill may be about, of one session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Of<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) database: &'a str,
    pub(crate) policy: &'a str,
    pub(crate) route: &'a str,
}

/// What covers one session, as long as no turn is made and no other policy is in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) turn: u64,
    /// Of kills that cover all that it says.
    level: KillLevel,
    /// Those that cover some of it.
    partial: Vec<Partial>,
}

#[derive(Clone, Debug)]
struct Partial {
    level: KillLevel,
    class: KillClass,
    run: Option<Box<str>>,
    rule: Option<Box<str>>,
}

impl View {
    /// The level that covers everything that is said for this run.
    pub(crate) fn level(&self, run: Option<&str>) -> KillLevel {
        let of_run = |one: &&Partial| one.rule.is_none() && one.class.is_all() && one.run.as_deref() == run;
        self.partial.iter().filter(of_run).map(|one| one.level).fold(self.level, KillLevel::max)
    }

    /// The kills that cover some of what is said for this run. Nothing is allocated where there are none.
    pub(crate) fn stops(&self, run: Option<&str>) -> Vec<Stop<'_>> {
        let here = self.partial.iter().filter(|one| one.run.is_none() || one.run.as_deref() == run);
        here.map(|one| Stop { level: one.level, class: one.class, rule: one.rule.as_deref() }).collect()
    }

    /// Whether nothing at all stands.
    pub(crate) fn is_quiet(&self) -> bool {
        self.level == KillLevel::Observe && self.partial.is_empty()
    }
}

/// Turns that are remembered by their id.
const RECENT_MAX: usize = 64;
