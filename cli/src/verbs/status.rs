//! `clyra status`: how gateway and recorder stand right now. It asks; it changes nothing.

use super::{kill::Switch, say};
use crate::{
    error::Error,
    peer::{self, GATE, RECORDER, refused},
    standing::{Which, recorder_of},
    tell::counted,
};
use clap::Args;
use clyra_proto::{
    admin::{Catalog, GetKillRequest, GetPolicyRequest, Kill, PolicyInForce, StandReply, StandRequest},
    evidence,
};
use serde_json::{Value, json};
use std::{fmt::Write as _, net::SocketAddr};

/// How `clyra status` may be asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Exits with 0 when both answer and the gate is open, 1 when the gate is shut, 3 when one does not answer.

Example:
  clyra status --data clyra-data --json")]
pub struct StatusArgs {
    /// Which house.
    #[command(flatten)]
    which: Which,
    /// Address of the recorder [default: as in DIR/up.json, else 127.0.0.1:6435]
    #[arg(long, value_name = "ADDR", value_parser = crate::standing::address)]
    recorder: Option<SocketAddr>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Asks both and prints their answers.
pub(crate) async fn run(args: StatusArgs) -> Result<u8, Error> {
    let mut gate = peer::gate(args.which.admin()?).await?;
    let no = |status| refused(GATE, &status);
    let stand = gate.stand(StandRequest {}).await.map_err(no)?.into_inner();
    let policy = gate.get_policy(GetPolicyRequest {}).await.map_err(no)?.into_inner();
    let kill = gate.get_kill(GetKillRequest {}).await.map_err(no)?.into_inner();
    let mut recorder = peer::recorder(recorder_of(args.recorder, &args.which.data)?).await?;
    let log = recorder.stand(evidence::StandRequest {}).await;
    let log = log.map_err(|status| refused(RECORDER, &status))?.into_inner();
    say(args.json, &record(&stand, &policy, &kill, &log), || text(&stand, &policy, &kill, &log))?;
    Ok(u8::from(!stand.shut.is_empty()))
}

fn record(stand: &StandReply, policy: &PolicyInForce, kill: &Kill, log: &evidence::StandReply) -> Value {
    json!({
        "gateway": {
            "id": stand.gateway, "epoch": stand.epoch, "sessions": stand.sessions, "shut": stand.shut,
            "outbox_depth": stand.outbox_depth, "recorder_connected": stand.recorder_connected,
        },
        "catalogs": stand.catalogs.iter().map(|one| json!({
            "database": one.database, "snapshot": one.snapshot, "held": one.held, "age_ms": one.age_ms,
            "pending": one.pending, "failure": one.failure,
        })).collect::<Vec<_>>(),
        "about_names": stand.about_names,
        "policy": {
            "name": policy.name, "version": policy.version, "digest": policy.digest, "mode": policy.mode,
            "file": policy.file, "rules": policy.rules,
        },
        "kill": Switch::of(kill),
        "recorder": {
            "origin": log.origin, "log_key": log.log_key, "size": log.size, "published": log.published,
            "root": hex(&log.root),
        },
    })
}

fn text(stand: &StandReply, policy: &PolicyInForce, kill: &Kill, log: &evidence::StandReply) -> String {
    let mut text = String::new();
    let gate = if stand.shut.is_empty() { "open".to_owned() } else { format!("SHUT: {}", stand.shut) };
    let courier = if stand.recorder_connected { "connected" } else { "away" };
    let lines = [
        ("gateway", format!("{} ({gate})", stand.gateway)),
        ("sessions", stand.sessions.to_string()),
        (
            "outbox",
            format!(
                "{} waiting for the recorder, which is {courier}",
                counted(stand.outbox_depth, "receipt")
            ),
        ),
        ("policy", in_force(policy)),
        ("kill", Switch::of(kill).sentence()),
        ("log", format!("{}: {} entries, {} published", log.origin, log.size, log.published)),
    ];
    for (name, value) in lines {
        // Writing to a string cannot fail.
        let _written = writeln!(text, "{name:<10}{value}");
    }
    for catalog in &stand.catalogs {
        let _written = writeln!(text, "{:<10}{}", "catalog", of_catalog(catalog));
    }
    for sentence in &stand.about_names {
        let _written = writeln!(text, "{:<10}{sentence}", "names");
    }
    text.truncate(text.trim_end().len());
    text
}

/// One line about a catalog.
fn of_catalog(catalog: &Catalog) -> String {
    let Catalog { database, snapshot, held, age_ms, pending, failure } = catalog;
    let mut text = match (held, snapshot) {
        (true, _) => format!("{database}: snapshot {snapshot}, seen to hold {} s ago", age_ms / 1_000),
        (false, 0) => format!("{database}: MISSING"),
        (false, _) => format!("{database}: TOO OLD, {} s", age_ms / 1_000),
    };
    if *pending > 0 {
        text.push_str(&format!("; {} not in it yet", counted(*pending, "change")));
    }
    if !failure.is_empty() {
        text.push_str(&format!(" ({failure})"));
    }
    text
}

/// One line about a policy.
pub(crate) fn in_force(policy: &PolicyInForce) -> String {
    let rules = counted(policy.rules.into(), "rule");
    let file = if policy.file.is_empty() { "built in" } else { &policy.file };
    format!("{}, version {}, mode {}, {rules} ({file})", policy.name, policy.version, policy.mode)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _written = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shut_gate_is_told_first() {
        let stand = StandReply { gateway: "gw".into(), shut: "disk full".into(), ..StandReply::default() };
        let log =
            evidence::StandReply { origin: "log".into(), root: vec![0, 255].into(), ..Default::default() };
        let said = text(&stand, &PolicyInForce::default(), &Kill::default(), &log);
        assert!(said.starts_with("gateway   gw (SHUT: disk full)"), "{said}");
        let record = record(&stand, &PolicyInForce::default(), &Kill::default(), &log);
        assert_eq!(record.pointer("/recorder/root").unwrap(), "00ff");
    }
}
