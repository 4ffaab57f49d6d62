//! `clyra kill`: the kill switch, turned and shown. The gateway carries it out; here is only the hand.

use super::say;
use crate::{
    error::Error,
    peer::{self, GATE, refused},
    standing::Which,
};
use clap::{Args, Subcommand};
use clyra_proto::admin::{GetKillRequest, Kill, SetKillRequest};
use clyra_spec::KillLevel;
use serde::Serialize;

/// The verbs of the kill switch.
#[derive(Debug, Subcommand)]
pub enum KillVerb {
    /// Stop statements, now and until released
    #[command(after_help = "\
Example:
  clyra kill set --level block_writes --reason \"wrong numbers in the morning load\"")]
    Set {
        /// block_writes (1): writes are refused; block_statements (2): everything but ROLLBACK is
        #[arg(long, value_name = "LEVEL", default_value = "block_writes", value_parser = level)]
        level: KillLevel,
        /// Why and by whom
        #[command(flatten)]
        turn: Turn,
    },
    /// Let statements pass again
    #[command(after_help = "Example:\n  clyra kill release --reason \"load repaired\"")]
    Release(Turn),
    /// Show how the switch stands
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
    /// Why; stands in the log for ever
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// Who [default: the system's user name]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
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
        KillVerb::Set { level, turn } => (set(level, &turn).await?, turn.json),
        KillVerb::Release(turn) => (set(KillLevel::Observe, &turn).await?, turn.json),
        KillVerb::Status { which, json } => {
            let mut gate = peer::gate(which.admin()?).await?;
            let kill = gate.get_kill(GetKillRequest {}).await.map_err(|status| refused(GATE, &status))?;
            (kill.into_inner(), json)
        }
    };
    let switch = Switch::of(&kill);
    say(json, &switch, || switch.sentence())?;
    Ok(0)
}

async fn set(level: KillLevel, turn: &Turn) -> Result<Kill, Error> {
    let by = turn.by.clone().unwrap_or_else(user_name);
    let mut gate = peer::gate(turn.which.admin()?).await?;
    turned(&mut gate, level, &turn.reason, &by).await
}

/// Turns the switch; answers once the turn is in effect and in the log.
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
    level: &'static str,
    number: u32,
    reason: &'a str,
    by: &'a str,
    at: &'a str,
    turn: u64,
    entry: &'a str,
}

impl<'a> Switch<'a> {
    pub(super) fn of(kill: &'a Kill) -> Self {
        // A level that this program does not know is newer, and not weaker, than those it knows.
        let level = KillLevel::from_number(kill.level).map_or("unknown", KillLevel::as_str);
        Self {
            scope: &kill.scope,
            level,
            number: kill.level,
            reason: &kill.reason,
            by: &kill.by,
            at: &kill.at,
            turn: kill.turn,
            entry: &kill.entry,
        }
    }

    pub(super) fn sentence(&self) -> String {
        let what = match self.number {
            0 => "off: statements pass as the policy says",
            1 => "ON (block_writes): writes are refused",
            2 => "ON (block_statements): everything but ROLLBACK is refused",
            _ => "ON, at a level that this program does not know",
        };
        if self.turn == 0 {
            return format!("kill switch {what}; never turned");
        }
        format!("kill switch {what}; turned by {} at {}: {}", self.by, self.at, self.reason)
    }
}

fn level(text: &str) -> Result<KillLevel, String> {
    match text {
        "1" | "block_writes" => Ok(KillLevel::BlockWrites),
        "2" | "block_statements" => Ok(KillLevel::BlockStatements),
        "0" | "observe" => Err("level 0 lets everything pass; use `clyra kill release`".into()),
        _ => Err("allowed: block_writes (1), block_statements (2)".into()),
    }
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
        assert_eq!(level("block_statements").unwrap(), KillLevel::BlockStatements);
        assert!(level("0").unwrap_err().contains("release"));
        assert!(level("all").unwrap_err().contains("block_writes"));
        assert!(reason("  ").is_err());
    }

    #[test]
    fn a_sentence_says_who_and_why() {
        let kill = Kill { level: 1, by: "ann".into(), reason: "late".into(), turn: 3, ..Kill::default() };
        let said = Switch::of(&kill).sentence();
        assert!(said.contains("block_writes") && said.contains("ann") && said.contains("late"), "{said}");
        assert!(Switch::of(&Kill::default()).sentence().contains("never turned"));
        let newer = Kill { level: 9, turn: 1, ..Kill::default() };
        assert!(Switch::of(&newer).sentence().starts_with("kill switch ON"));
    }
}
