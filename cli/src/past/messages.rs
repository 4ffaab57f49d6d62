//! Puts the receipts of one message together again: one a statement, and intents with their outcomes. It holds no more than
//! so many that wait.

use clyra_policy::tools::Receipt;
use clyra_spec::Phase;
use std::collections::BTreeMap;

/// Receipts that wait for others of their message.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// By the id of the intent: what has not ended yet.
    intents: BTreeMap<Box<str>, Receipt>,
    open: BTreeMap<Key, Vec<Receipt>>,
}

/// What the receipts of one message share.
type Key = (Box<str>, u64, Box<str>, Box<str>, u32);

impl Messages {
    /// Takes a receipt; the messages that are whole by it, or that have waited too long.
    pub(super) fn add(&mut self, mut receipt: Receipt) -> Vec<Vec<Receipt>> {
        match receipt.phase {
            Phase::Intent => {
                self.intents.insert(receipt.id.clone(), receipt);
                return self.overdue().into_iter().collect();
            }
            Phase::Outcome => {
                let intent = receipt.intent.as_deref().and_then(|id| self.intents.remove(id));
                if let Some(intent) = intent {
                    // The message was judged when its intent was written.
                    receipt.at = intent.at;
                }
            }
            Phase::Whole => {}
        }
        let mut whole: Vec<Vec<Receipt>> = self.gather(receipt).into_iter().collect();
        whole.extend(self.overdue());
        whole
    }

    /// What is left at the end: messages of which a part is not there, and statements whose end nobody has told.
    pub(super) fn rest(mut self) -> Vec<Vec<Receipt>> {
        let intents = std::mem::take(&mut self.intents);
        let mut rest: Vec<Vec<Receipt>> =
            intents.into_values().filter_map(|intent| self.gather(intent)).collect();
        rest.extend(self.open.into_values());
        rest
    }

    fn gather(&mut self, receipt: Receipt) -> Option<Vec<Receipt>> {
        let count = receipt.action.statement_count.unwrap_or(1);
        if count < 2 {
            return Some(vec![receipt]);
        }
        let stream = &receipt.stream;
        let key =
            (stream.gateway.clone(), stream.epoch, receipt.at.clone(), receipt.caller.actor.clone(), count);
        let waiting = self.open.entry(key.clone()).or_default();
        waiting.push(receipt);
        if u32::try_from(waiting.len()).ok() != Some(count) {
            return None;
        }
        let mut whole = self.open.remove(&key)?;
        whole.sort_by_key(|one| one.action.statement_index);
        Some(whole)
    }

    fn overdue(&mut self) -> Option<Vec<Receipt>> {
        if self.intents.len() > WAITING_MAX {
            // Ids are in the order of time.
            let (_, oldest) = self.intents.pop_first()?;
            return self.gather(oldest);
        }
        if self.open.len() > WAITING_MAX {
            return self.open.pop_first().map(|(_, message)| message);
        }
        None
    }
}

const WAITING_MAX: usize = 100_000;
