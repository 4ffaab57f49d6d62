//! Carries a replication connection, whose commands and streams have a grammar of their own: one receipt stands for all of
//! it. Nothing in it is read.

use super::{Broken, Relay};
use crate::gate::{Arrival, Passage};
use clyra_policy::Facts;
use clyra_wire::{Completion, End};
use std::{future::poll_fn, sync::Arc};

impl Relay {
    /// Puts the whole connection before the gate once, and carries it to its end.
    pub(super) async fn carry_unread(&mut self) -> Result<(), Broken> {
        let Some(visitor) = self.visitor.as_mut() else { return Ok(()) };
        let known = self.house.gate.know(visitor, Arc::new(Facts::of_replication()));
        let arrival = Arrival { began: self.began, bytes: 0, portal: false };
        let ticket = match self.house.gate.pass(visitor, known, arrival, &|_| None).await {
            Passage::Go(ticket) => ticket,
            Passage::Shut(error) => {
                self.client.outbox.extend_from_slice(&error);
                self.client.flush().await;
                return Ok(());
            }
        };
        let mut bytes = 0;
        let carried = self.carry(&mut bytes).await;
        if let Some(visitor) = &self.visitor {
            let completion = Completion { rows: None, returned: 0, bytes, undone: false };
            let end = End { completions: vec![completion], ..End::default() };
            self.house.gate.settle(visitor, &ticket, Some(&end));
        }
        carried
    }

    async fn carry(&mut self, bytes: &mut u64) -> Result<(), Broken> {
        let mut shutdown = self.house.shutdown.clone();
        let down = async move { drop(shutdown.wait_for(|down| *down).await) };
        tokio::pin!(down);
        self.needed = 1;
        loop {
            *bytes += self.server.inbox.len() as u64;
            self.server.hand(self.server.inbox.len(), &mut self.client);
            self.client.hand(self.client.inbox.len(), &mut self.server);
            if self.server.ended && self.client.outbox.is_empty() {
                return Ok(());
            }
            tokio::select! {
                biased;
                turned = poll_fn(|cx| self.poll_turn(cx)) => turned.map_err(|_| Broken::Io)?,
                // A receiver of a replication stream comes again on its own.
                () = &mut down => return Err(Broken::Shutdown),
            }
        }
    }
}
