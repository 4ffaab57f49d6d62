//! `clyra kill`: the kill switch, turned and shown. The gateway carries it out and says who may; here is only the hand.

use super::say;
use crate::{
    error::Error,
    peer::{self, GATE, refused},
    sign::{order, span},
    standing::Which,
};
use clap::{Args, Subcommand};
use clyra_proto::admin::{GetKillRequest, Kill, SetKillRequest};
use clyra_spec::{KillClass, KillLevel};
use serde::Serialize;
use std::{path::PathBuf, time::Duration};

/// The verbs of the kill switch.
#[derive(Debug, Subcommand)]
pub enum KillVerb {
    /// Stop statements, now and until released
    #[command(after_help = "\
Levels, each more than the one before:
  block_writes (1)      writes are refused
  block_statements (2)  everything but ROLLBACK is refused
  cancel_running (3)    what runs is cancelled, too, and open transactions are rolled back
  disconnect (4)        connections are ended, too, and new ones refused

Examples:
  clyra kill set --level block_writes --reason \"wrong numbers in the morning load\"
  clyra kill set --scope actor:etl --level cancel_running --reason \"it runs away\"
  clyra kill set --scope source:shop --class ddl --level block_statements --ttl 2h --reason \"sale\"")]
    Set {
        /// How far, by name or number
        #[arg(long, value_name = "LEVEL", default_value = "block_writes", value_parser = level)]
        level: KillLevel,
        /// End by itself: a number and s, m, h or d [default: a person releases it]
        #[arg(long, value_name = "TIME", value_parser = span)]
        ttl: Option<Duration>,
        #[command(flatten)]
        turn: Turn,
    },
    /// Let statements pass again
    #[command(after_help = "\
Where the policy has `operators`, releasing takes the signature of another one than who raised it, or of the same within
60 seconds.

Examples:
  clyra kill release --reason \"load repaired\"
  clyra kill release --scope actor:etl --reason \"it was stopped\" --key bob.key")]
    Release {
        #[command(flatten)]
        turn: Turn,
    },
    /// Show what stands: whom it stops, how far, by whom and until when
    #[command(after_help = "Example:\n  clyra kill status --json")]
    Status {
        /// Which gateway.
        #[command(flatten)]
        which: Which,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// A turn of the switch is always somebody's and has a reason: both go into the log.
#[derive(Debug, Args)]
pub struct Turn {
    /// Whom: global, or source, tenant, actor, run, rule, policy or route with a name, like `actor:etl`
    #[arg(long, value_name = "SCOPE", default_value = "global")]
    scope: String,
    /// Which statements: all, writes or ddl
    #[arg(long, value_name = "CLASS", default_value = "all", value_parser = class)]
    class: KillClass,
    /// Why; stands in the log for ever
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// Who [default: the system's user name]
    #[arg(long, value_name = "NAME", conflicts_with = "key")]
    by: Option<String>,
    /// An operator's private key, from `clyra keygen`: the turn is signed
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// With --key: the operator's name in the policy [default: the name in the key]
    #[arg(long = "as", value_name = "NAME", requires = "key")]
    name: Option<String>,
    /// Which gateway.
    #[command(flatten)]
    which: Which,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Turns or shows the switch.
pub(crate) async fn run(verb: KillVerb) -> Result<u8, Error> {
    let (kill, json) = match verb {
        KillVerb::Set { level, ttl, turn } => (turn.make(level, ttl).await?, turn.json),
        KillVerb::Release { turn } => (turn.make(KillLevel::Observe, None).await?, turn.json),
        KillVerb::Status { which, json } => {
            let mut gate = peer::gate(which.admin()?).await?;
            let kill = gate.get_kill(GetKillRequest {}).await.map_err(|status| refused(GATE, &status))?;
            (kill.into_inner(), json)
        }
    };
    let switch = Switch::of(&kill);
    say(json, &switch, || switch.sentences())?;
    Ok(0)
}

impl Turn {
    async fn make(&self, level: KillLevel, ttl: Option<Duration>) -> Result<Kill, Error> {
        let mut gate = peer::gate(self.which.admin()?).await?;
        let asked = match &self.key {
            None => SetKillRequest {
                scope: self.scope.clone(),
                level: level.number(),
                reason: self.reason.clone(),
                by: self.by.clone().unwrap_or_else(user_name),
                class: self.class.as_str().to_owned(),
                ttl_s: ttl.map_or(0, |ttl| ttl.as_secs()),
                id: uuid::Uuid::now_v7().to_string(),
                order: Vec::new(),
            },
            Some(key) => {
                let said =
                    order::Said { level, class: self.class, ttl, scope: &self.scope, reason: &self.reason };
                let order = said.signed(&mut gate, key, self.name.as_deref()).await?;
                SetKillRequest { scope: self.scope.clone(), order, ..SetKillRequest::default() }
            }
        };
        Ok(gate.set_kill(asked).await.map_err(|status| refused(GATE, &status))?.into_inner())
    }
}

/// Turns the switch for everybody; answers once the turn is in effect and in the log.
pub(crate) async fn turned(
    gate: &mut peer::Gate,
    level: KillLevel,
    reason: &str,
    by: &str,
) -> Result<Kill, Error> {
    let asked = SetKillRequest {
        scope: "global".into(),
        level: level.number(),
        reason: reason.to_owned(),
        by: by.to_owned(),
        ..SetKillRequest::default()
    };
    Ok(gate.set_kill(asked).await.map_err(|status| refused(GATE, &status))?.into_inner())
}

/// The switch as `--json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct Switch<'a> {
    scope: &'a str,
    class: &'a str,
    level: &'static str,
    number: u32,
    reason: &'a str,
    by: &'a str,
    at: &'a str,
    turn: u64,
    entry: &'a str,
    cause: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    expires: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    signer: &'a str,
    /// Of a turn: gateways in which it is in effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<String>,
    /// Every kill that stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    standing: Vec<Switch<'a>>,
}

impl<'a> Switch<'a> {
    pub(super) fn of(kill: &'a Kill) -> Self {
        // A level that this program does not know is newer, and not weaker, than those it knows.
        let level = KillLevel::from_number(kill.level).map_or("unknown", KillLevel::as_str);
        Self {
            scope: &kill.scope,
            class: if kill.class.is_empty() { "all" } else { &kill.class },
            level,
            number: kill.level,
            reason: &kill.reason,
            by: &kill.by,
            at: &kill.at,
            turn: kill.turn,
            entry: &kill.entry,
            cause: &kill.cause,
            expires: &kill.expires,
            signer: &kill.signer,
            applied: (kill.gateways > 0).then(|| format!("{}/{}", kill.applied, kill.gateways)),
            standing: kill.standing.iter().map(Self::of).collect(),
        }
    }

    /// How it stands for everybody, or for whom it was turned.
    pub(super) fn sentence(&self) -> String {
        let mut said = match self.number {
            0 => "off: statements pass as the policy says".to_owned(),
            1..=4 => format!("ON ({}): {}", self.level, stops(self.number)),
            _ => "ON, at a level that this program does not know".to_owned(),
        };
        if !matches!(self.scope, "" | "global") {
            said = format!("{said}, for {}", self.scope);
        }
        if self.class != "all" {
            said = format!("{said} ({} only)", self.class);
        }
        if !self.expires.is_empty() {
            said = format!("{said}, until {}", self.expires);
        }
        if let Some(applied) = &self.applied {
            said = format!("{said}; in effect at {applied} gateways");
        }
        if self.at.is_empty() {
            return format!("kill switch {said}; never turned");
        }
        format!("kill switch {said}; turned by {} at {}: {}", self.who(), self.at, self.reason)
    }

    fn who(&self) -> String {
        if self.signer.is_empty() { self.by.to_owned() } else { format!("{} (signed)", self.by) }
    }

    /// As [`Switch::sentence`], and a table of everything that stands.
    fn sentences(&self) -> String {
        let mut said = self.sentence();
        if self.standing.iter().any(|kill| kill.scope != "global" || kill.class != "all") {
            said.push_str(&format!(
                "\n\n{:<24} {:<7} {:<17} {:<21} WHO, WHEN AND WHY",
                "SCOPE", "CLASS", "LEVEL", "UNTIL"
            ));
            for kill in &self.standing {
                let Switch { scope, class, level, reason, at, .. } = kill;
                let until = if kill.expires.is_empty() { "released" } else { kill.expires };
                let line = format!(
                    "\n{scope:<24} {class:<7} {level:<17} {until:<21} {} at {at}: {reason}",
                    kill.who()
                );
                said.push_str(&line);
            }
        }
        said
    }
}

fn stops(number: u32) -> &'static str {
    match number {
        1 => "writes are refused",
        2 => "everything but ROLLBACK is refused",
        3 => "everything but ROLLBACK is refused, what runs is cancelled",
        _ => "connections are ended and refused",
    }
}

fn level(text: &str) -> Result<KillLevel, String> {
    let found = text.parse().ok().and_then(KillLevel::from_number).or_else(|| KillLevel::from_word(text));
    match found {
        Some(KillLevel::Observe) => Err("level 0 lets everything pass; use `clyra kill release`".into()),
        Some(level) => Ok(level),
        None => {
            let allowed =
                KillLevel::ALL.iter().skip(1).map(|one| format!("{} ({})", one.as_str(), one.number()));
            Err(format!("allowed: {}", allowed.collect::<Vec<_>>().join(", ")))
        }
    }
}

fn class(text: &str) -> Result<KillClass, String> {
    KillClass::from_word(text).ok_or_else(|| "allowed: all, writes, ddl".to_owned())
}

fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why; it stands in the log".into()),
        said => Ok(said.to_owned()),
    }
}

pub(crate) fn user_name() -> String {
    let said = std::process::Command::new("id").arg("-un").output().ok();
    let name = said.and_then(|said| String::from_utf8(said.stdout).ok()).unwrap_or_default();
    match name.trim() {
        "" => "unknown".into(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_by_word_and_number() {
        assert_eq!(level("1").unwrap(), KillLevel::BlockWrites);
        assert_eq!(level("disconnect").unwrap(), KillLevel::Disconnect);
        assert!(level("0").unwrap_err().contains("release"));
        assert!(level("all").unwrap_err().contains("cancel_running (3)"));
        assert!(reason("  ").is_err());
        assert!(class("reads").unwrap_err().contains("ddl"));
    }

    #[test]
    fn a_sentence_says_who_and_why() {
        let at = "2026-01-01T00:00:00Z".to_owned();
        let kill = Kill { level: 1, by: "ann".into(), reason: "late".into(), turn: 3, at, ..Kill::default() };
        let said = Switch::of(&kill).sentence();
        assert!(said.contains("block_writes") && said.contains("ann") && said.contains("late"), "{said}");
        assert!(Switch::of(&Kill::default()).sentence().contains("never turned"));
        let newer = Kill { level: 9, turn: 1, ..Kill::default() };
        assert!(Switch::of(&newer).sentence().starts_with("kill switch ON"));
        let one = Kill { scope: "actor:etl".into(), level: 3, ..kill.clone() };
        let table = Kill { standing: vec![one], ..kill };
        let said = Switch::of(&table).sentences();
        assert!(said.contains("\nactor:etl ") && said.contains("cancel_running"), "{said}");
    }
}
