//! What turns the kill switch without anybody asking: time that is over, and a file that appears. It never releases what
//! a person has raised before its time.

use super::{Kill, Scope, Wish};
use crate::gate::{Gate, new_id, now_us};
use clyra_spec::{KillCause, KillClass, KillLevel, KillScope};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

/// Looks at the time and at the file until the gateway ends.
pub(crate) async fn watch(gate: Arc<Gate>, file: Option<PathBuf>, shutdown: watch::Receiver<bool>) {
    let mut every = tokio::time::interval(EVERY);
    let closing = crate::admin::closing(shutdown);
    tokio::pin!(closing);
    let mut said = None;
    loop {
        tokio::select! {
            _ = every.tick() => {
                expire(&gate).await;
                if let Some(file) = &file {
                    said = look(&gate, file, said).await;
                }
            }
            () = &mut closing => return,
        }
    }
}

async fn expire(gate: &Gate) {
    let now_us = now_us();
    let set = gate.kill.stand();
    for kill in set.kills.iter().filter(|kill| kill.expires_us.is_some_and(|end| end <= now_us)) {
        // What cannot be written down now stands on, and is tried again.
        let _ = gate.turn(over(kill, now_us)).await;
    }
}

fn over(kill: &Kill, now_us: u64) -> Wish {
    Wish {
        id: new_id(now_us),
        scope: kill.scope.clone(),
        class: kill.class,
        level: KillLevel::Observe,
        reason: format!("its time was over: {}", kill.reason),
        by: kill.by.clone(),
        cause: KillCause::Expired,
        at_us: now_us,
        expires_us: None,
        signed: None,
    }
}

/// Raises the switch when the file has appeared, or says something else than before; what it says now.
async fn look(gate: &Gate, file: &Path, before: Option<Vec<u8>>) -> Option<Vec<u8>> {
    let now = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            gate.kill.hold(None);
            return None;
        }
        // It is there, whatever it says.
        Err(_) => Vec::new(),
    };
    let (scope, level) = read(&now);
    gate.kill.hold(Some(scope.clone()));
    if before.as_ref() == Some(&now) {
        return before;
    }
    let stands = gate.kill.stand();
    if stands.of(&scope, KillClass::All).is_some_and(|kill| kill.level >= level && kill.expires_us.is_none())
    {
        return Some(now);
    }
    let at_us = now_us();
    let wish = Wish {
        id: new_id(at_us),
        scope,
        class: KillClass::All,
        level,
        reason: format!("the kill file `{}` stands", file.display()),
        by: "file".to_owned(),
        cause: KillCause::File,
        at_us,
        expires_us: None,
        signed: None,
    };
    match gate.turn(wish).await {
        Ok(_) => Some(now),
        // Raised it is; only its entry is tried again.
        Err(_) => before,
    }
}

/// A scope and a level, each in a word; what says nothing, or cannot be read, blocks all statements of everybody.
fn read(bytes: &[u8]) -> (Scope, KillLevel) {
    let everything = (Scope::default(), KillLevel::BlockStatements);
    let Ok(text) = std::str::from_utf8(bytes) else { return everything };
    let (mut scope, mut level) = everything.clone();
    for word in text.split_whitespace() {
        if let Some(said) = KillLevel::from_word(word).filter(|level| *level != KillLevel::Observe) {
            level = said;
        } else if let Ok(said) = Scope::parse(word) {
            scope = said;
        } else {
            return everything;
        }
    }
    // Connections are not about one rule.
    if scope.kind == KillScope::Rule { (scope, level.min(KillLevel::CancelRunning)) } else { (scope, level) }
}

/// How often time and file are looked at.
const EVERY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says() {
        let said = |text: &str| {
            let (scope, level) = read(text.as_bytes());
            format!("{scope} {}", level.as_str())
        };
        assert_eq!(said(""), "global block_statements");
        assert_eq!(said("actor:etl cancel_running\n"), "actor:etl cancel_running");
        assert_eq!(said("disconnect"), "global disconnect");
        assert_eq!(said("rule:r disconnect"), "rule:r cancel_running");
        for bad in ["observe", "actor", "please stop", "actor:etl observe"] {
            assert_eq!(said(bad), "global block_statements", "{bad}");
        }
    }
}
