//! Pins a session to its tenant before the client's first statement, where the policy fences by row-level security: looks
//! whether the server's role and tables hold that fence, then sets the setting. It judges no statement.
//!
//! Whoever gives a client another session of the server must pin that one, too, before anything of the client goes to
//! it: the pin stands in the server's session.

use super::{Broken, Relay};
use clyra_policy::Pin;
use clyra_wire::{OwnAnswer, ready_for_query};

impl Relay {
    /// Pins the session, or breaks it off with what does not hold. The client is not told that the server is ready
    /// before it is.
    pub(super) async fn pin(&mut self) -> Result<(), Broken> {
        let pins = self.visitor.as_ref().map(|visitor| self.house.gate.pins(visitor)).unwrap_or_default();
        if pins.is_empty() {
            return Ok(());
        }
        // The pin would stay in the server's session, which the next client gets.
        if let Some(pin) = pins.first().filter(|_| self.pooled.is_some()) {
            return Err(unfenced(
                pin,
                "sessions of a pool are not pinned; give this caller a session of its own",
            ));
        }
        let ready = ready_for_query(b'I');
        let told = self.client.outbox.len();
        let held = self.client.outbox.ends_with(&ready);
        if held {
            self.client.outbox.truncate(told - ready.len());
        }
        for pin in &pins {
            self.fence_holds(pin).await?;
            let set = pin.set().ok_or_else(|| unfenced(pin, "the caller has no tenant"))?;
            self.asked(pin, &set).await?;
            if let (Some(visitor), Some((setting, tenant))) = (&mut self.visitor, pin.value()) {
                visitor.pinned.push((setting.into(), tenant.into()));
            }
        }
        if held {
            self.client.outbox.extend_from_slice(&ready);
        }
        Ok(())
    }

    async fn fence_holds(&mut self, pin: &Pin) -> Result<(), Broken> {
        for step in Pin::BEGIN {
            self.asked(pin, step).await?;
        }
        let roles = self.asked(pin, Pin::ROLES).await?;
        let tables = self.asked(pin, &pin.tables()).await?;
        self.asked(pin, Pin::END).await?;
        if roles.rows.is_empty() {
            return Err(unfenced(pin, "the server does not tell the role of the session"));
        }
        let finding = Pin::role_finding(texts(&roles)).or_else(|| pin.table_finding(texts(&tables)));
        match finding {
            Some(finding) => Err(unfenced(pin, &finding)),
            // What was cut off could be the one that matters.
            None if tables.truncated => {
                Err(unfenced(pin, "more tables without row-level security than are looked at"))
            }
            None => Ok(()),
        }
    }

    async fn asked(&mut self, pin: &Pin, sql: &str) -> Result<OwnAnswer, Broken> {
        let answer = self.ask_server(sql).await?;
        if answer.completed() {
            return Ok(answer);
        }
        let why = answer.error.map_or_else(|| "it does not answer".to_owned(), |error| error.message);
        Err(unfenced(pin, &format!("the server cannot be asked: {why}")))
    }
}

/// The first three columns of each row; empty for what is not there.
fn texts(answer: &OwnAnswer) -> impl Iterator<Item = [&str; 3]> {
    answer.rows.iter().map(|row| {
        let text =
            |at: usize| row.get(at).and_then(Option::as_deref).and_then(|one| std::str::from_utf8(one).ok());
        [0, 1, 2].map(|at| text(at).unwrap_or_default())
    })
}

fn unfenced(pin: &Pin, what: &str) -> Broken {
    Broken::Unfenced(format!("clyra: rule `{}` refuses the connection: {what}", pin.rule))
}
