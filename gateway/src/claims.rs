//! What a session claims about its run: from the settings of its start-up packet, and from `SET clyra.*` since then, with
//! the life that settings have in PostgreSQL's transactions. Claims are recorded, never believed.
//!
//! Known hole: `ROLLBACK TO` a savepoint does not bring back what was claimed before it.

use crate::draft::RunClaims;
use clyra_policy::{Claims, TextClaims};
use std::sync::Arc;

/// What a session claims.
#[derive(Debug, Default)]
pub(crate) struct SessionClaims {
    /// What it began with, and what RESET leads back to.
    begun: Claims,
    /// What counts now.
    now: Claims,
    /// What counts when the transaction has committed.
    kept: Claims,
    /// What counts when it has not; there while a transaction has changed anything.
    before: Option<Claims>,
    /// The transaction has failed, and its COMMIT will undo it.
    failed: bool,
    /// A COMMIT has been done without an error.
    committed: bool,
    /// An idempotency key for the next change.
    key: Option<Box<str>>,
}

/// One change of a claim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    /// Which, without the `clyra.`.
    pub(crate) name: &'a str,
    /// To what; without it, back to what the session began with.
    pub(crate) value: Option<&'a str>,
    /// Until the transaction ends.
    pub(crate) local: bool,
    /// A transaction block is open.
    pub(crate) in_transaction: bool,
}

impl SessionClaims {
    /// The claims in the `clyra.*` settings of a start-up packet.
    pub(crate) fn of_settings(settings: &[(String, String)]) -> Self {
        let mut begun = Claims::default();
        for (name, value) in settings {
            if let Some(name) = name.to_ascii_lowercase().strip_prefix("clyra.") {
                begun.set(name, Some(value));
            }
        }
        Self {
            now: begun.clone(),
            kept: begun.clone(),
            begun,
            before: None,
            failed: false,
            committed: false,
            key: None,
        }
    }

    /// What counts now.
    pub(crate) fn now(&self) -> &Claims {
        &self.now
    }

    /// Takes a change; false when there is no such claim.
    pub(crate) fn change(&mut self, change: Change<'_>) -> bool {
        let Some(begun) = self.begun.shown(change.name) else { return false };
        if change.local && !change.in_transaction {
            // As in PostgreSQL: it would end with the statement that set it.
            return true;
        }
        if change.in_transaction && self.before.is_none() {
            self.before = Some(self.kept.clone());
            self.failed = false;
        }
        let value = change.value.unwrap_or(&begun);
        self.now.set(change.name, Some(value));
        if !change.local {
            self.kept.set(change.name, Some(value));
        }
        true
    }

    /// RESET ALL, or DISCARD ALL.
    pub(crate) fn reset(&mut self) {
        (self.now, self.kept) = (self.begun.clone(), self.begun.clone());
        self.key = None;
    }

    /// Takes an idempotency key for the next change, or the one back that was given.
    pub(crate) fn set_key(&mut self, key: Option<&str>) {
        self.key = key.filter(|key| !key.is_empty()).map(Into::into);
    }

    /// The key for the next change, as it stands.
    pub(crate) fn key(&self) -> &str {
        self.key.as_deref().unwrap_or_default()
    }

    /// The key for this change; the next one has none.
    pub(crate) fn take_key(&mut self) -> Option<Box<str>> {
        self.key.take()
    }

    /// Whether the end of the transaction changes anything.
    pub(crate) fn is_held(&self) -> bool {
        self.before.is_some()
    }

    /// The server was asked to end the transaction, and has said how that went.
    pub(crate) fn ending(&mut self, committed: bool) {
        self.committed = committed;
    }

    /// The transaction status that the server has reported: `I`, `T` or `E`.
    pub(crate) fn standing(&mut self, status: u8) {
        if status != b'I' {
            self.failed = status == b'E';
            return;
        }
        if let Some(before) = self.before.take() {
            if self.failed || !self.committed {
                self.kept = before;
            }
            self.now = self.kept.clone();
        }
        (self.failed, self.committed) = (false, false);
    }
}

/// What is claimed of a run by claims that name one.
pub(crate) fn run(claims: &Claims) -> Option<RunClaims> {
    let run_id = claims.run_id.clone()?;
    let list = |list: &Option<Box<[Box<str>]>>| list.as_deref().unwrap_or_default().to_vec();
    Some(RunClaims {
        run_id,
        change_intent: claims.change_intent.clone(),
        asset_ids: list(&claims.asset_ids),
        business_metric_refs: list(&claims.business_metric_refs),
        payout_ref: claims.payout_ref.clone(),
        currency: claims.currency.clone(),
    })
}

/// The run of a message whose comments claim something: what they say, then the session, then what they imply.
pub(crate) fn run_of_text(text: &TextClaims, session: &Claims) -> Option<Arc<RunClaims>> {
    run(&text.said.before(session).before(&text.implied)).map(Arc::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> SessionClaims {
        let owned = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        SessionClaims::of_settings(&owned.collect::<Vec<_>>())
    }

    #[test]
    fn settings_name_a_run() {
        assert_eq!(run(settings(&[("clyra.payout_ref", "p")]).now()), None);
        let claims = settings(&[
            ("clyra.run_id", "old"),
            ("Clyra.Run_Id", "r\n1"),
            ("clyra.asset_ids", "a, b,"),
            ("clyra.other", "x"),
        ]);
        let run = run(claims.now()).unwrap();
        assert_eq!(&*run.run_id, "r1");
        assert_eq!(run.asset_ids, ["a".into(), "b".into()]);
    }

    #[test]
    fn changes_live_as_settings_do() {
        let mut claims = settings(&[("clyra.run_id", "0")]);
        let now = |claims: &SessionClaims| claims.now().shown("run_id").unwrap();
        let change = |value: &'static str, local, in_transaction| Change {
            name: "run_id",
            value: (!value.is_empty()).then_some(value),
            local,
            in_transaction,
        };
        assert!(claims.change(change("x", true, false)));
        assert_eq!(now(&claims), "0", "local, and no transaction");
        for (asked, failed, after) in [(true, false, "2"), (false, false, "0"), (true, true, "0")] {
            claims.change(change("", false, false));
            claims.change(change("1", true, true));
            claims.change(change("2", false, true));
            claims.change(change("3", true, true));
            assert_eq!(now(&claims), "3");
            claims.standing(if failed { b'E' } else { b'T' });
            claims.ending(asked);
            claims.standing(b'I');
            assert_eq!(now(&claims), after, "{asked} {failed}");
        }
        claims.change(change("4", false, false));
        claims.reset();
        assert_eq!(now(&claims), "0");
        assert!(!claims.change(Change { name: "x", ..change("1", false, false) }));
    }

    #[test]
    fn comments_count_first_and_what_they_imply_last() {
        let text =
            TextClaims::of("/* {\"app\":\"dbt\",\"invocation_id\":\"i\",\"node_id\":\"n\"} */ select 1")
                .unwrap();
        let run = run_of_text(&text, settings(&[("clyra.run_id", "s")]).now()).unwrap();
        assert_eq!((&*run.run_id, &run.asset_ids[..]), ("s", &["n".into()][..]));
        assert_eq!(&*run_of_text(&text, &Claims::default()).unwrap().run_id, "i");
        let said = TextClaims::of("select 1 /*clyra.run_id='c'*/").unwrap();
        assert_eq!(&*run_of_text(&said, settings(&[("clyra.run_id", "s")]).now()).unwrap().run_id, "c");
    }
}
