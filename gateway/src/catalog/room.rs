//! The catalogs as the gate has them: who of its visitors needs one, and what people are told. It judges nothing.

use super::Sight;
use crate::{force::Force, gate::Gate};
use clyra_policy::Caller;
use std::time::{Duration, Instant};

impl Gate {
    /// What a session of this caller sees of names; nothing where no rule is about names, or no catalog can be had.
    pub(crate) fn sight(&self, force: &Force, caller: &Caller, database: &str) -> Option<Box<Sight>> {
        let catalogs = self.catalogs.as_ref()?;
        let policy = &force.policy;
        // Whoever is under no such rule may still change what others see.
        policy.rules_about_names().next()?;
        let (looks, guarded) = (policy.looks_at_names(caller), policy.guards(caller));
        Some(Box::new(Sight::new(catalogs.place(database), looks, guarded, policy.doubts_unknown_names())))
    }

    /// Has the first database looked at before anybody is let in, if a rule needs that; it waits a moment for it.
    pub(crate) async fn look_around(&self, database: Option<&str>) {
        let (force, _) = self.in_force();
        let needed = force.policy.rules_about_names().next().is_some();
        if let (Some(catalogs), Some(database)) = (self.catalogs.as_ref().filter(|_| needed), database) {
            catalogs.place(database).look(Instant::now() + FIRST_LOOK_MAX).await;
        }
    }

    /// What people should know about how rules about names are judged.
    pub(crate) fn about_names(&self) -> Vec<String> {
        let (force, _) = self.in_force();
        let rules: Vec<&str> = force.policy.rules_about_names().collect();
        if rules.is_empty() {
            return Vec::new();
        }
        let Some(catalogs) = &self.catalogs else {
            return vec![format!(
                "judged by the text alone, without a catalog: {}; views, functions and inheritance are not seen through \
                 (--catalog-url or --catalog gives one)",
                rules.join(", ")
            )];
        };
        let missing = catalogs.stands().into_iter().filter(|stand| !stand.is_held);
        missing
            .map(|stand| {
                let why = if stand.failure.is_empty() { "it is still being read" } else { &stand.failure };
                format!(
                    "the catalog of database `{}` is missing ({why}); until it is there, these refuse what they enforce \
                     about names: {}",
                    stand.database,
                    rules.join(", ")
                )
            })
            .collect()
    }
}

/// How long a gateway waits for its first look at a database before it opens.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(10);
