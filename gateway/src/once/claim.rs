//! Changes under a key at the gate: which key, whether it is the first, and what is said to those that are not. The relay
//! asks and obeys; nothing here touches a socket.

use super::{Answer, Claim, Held, Key, Print, Shape, Wish};
use crate::gate::{Gate, Ticket, Visitor, ascii, new_id};
use clyra_policy::{Breach, Charge, Duty, Once, TextClaims, is_key};
use clyra_spec::{KeyState, Verb, Verdict};
use clyra_wire::{End, Refusal, notice_response};
use std::{sync::Arc, time::Duration};

/// A change under a key that was let pass.
#[derive(Debug)]
pub(crate) struct Keyed {
    held: Held,
}

/// Where a change stands in what its client sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    /// As a simple query, or as a portal that runs.
    pub(crate) shape: Shape,
    /// It would be a part of something larger: a transaction block, or a segment that has changed something already.
    pub(crate) part: bool,
    /// Its segment has made a change under a key.
    pub(crate) beside: bool,
}

/// What is to become of a change under a key.
#[derive(Debug)]
pub(crate) enum Claimed {
    /// Send it on.
    Go,
    /// It was done before: say this to the client in its place.
    Say(Vec<u8>),
    /// Refuse it with this `ErrorResponse`.
    Refuse(Vec<u8>),
}

impl Ticket {
    /// It is a change that a key may be asked for.
    pub(crate) fn is_keyed(&self) -> bool {
        self.decision.duties().iter().any(|duty| matches!(duty.charge, Charge::Once(_)))
    }

    /// Its answer is to be kept.
    pub(crate) fn holds_key(&self) -> bool {
        self.keyed.is_some()
    }

    /// It has ended: what became of its key. `answer` is what the client was sent.
    pub(crate) fn settle_key(&mut self, end: &End, answer: Option<Answer>) {
        let Some(Keyed { held }) = self.keyed.take() else { return };
        if end.skipped || end.error.is_some() || end.completions.iter().any(|done| done.undone) {
            held.released();
        } else {
            held.done(answer);
        }
    }

    /// The duty that asks for a key; one that is carried out before one that looks on.
    fn once(&self) -> Option<(usize, Duty, Arc<Once>)> {
        let duties = self.decision.duties().iter().enumerate();
        let asks = |(at, duty): (usize, &Duty)| match &duty.charge {
            Charge::Once(once) => Some((at, duty.clone(), Arc::clone(once))),
            _ => None,
        };
        let mut asking: Vec<_> = duties.filter_map(asks).collect();
        asking.sort_by_key(|(_, duty, _)| !duty.enforced);
        asking.into_iter().next()
    }
}

impl Gate {
    /// Claims the key of a change; where it has none and needs one, or is not the first, says what becomes of it.
    pub(crate) async fn claim(&self, visitor: &mut Visitor, ticket: &mut Ticket, unit: Unit) -> Claimed {
        let Some((at, duty, once)) = ticket.once() else { return Claimed::Go };
        let said = ticket.known.facts.statements.first().and_then(|first| first.claims.as_deref());
        let said = said.and_then(|claims| claims.key.clone()).or_else(|| visitor.claims().take_key());
        let Some(key) = said else {
            if unit.beside {
                let hint = "send a Sync after a change with a key";
                let breach = of("key_on_part", "ZC005", "a change beside one with a key", hint);
                return self.speak(ticket, at, &duty, &breach);
            }
            if !once.required {
                return Claimed::Go;
            }
            let hint = "give it a key: `/*idempotency_key='…'*/` at the statement's end, or SET clyra.idempotency_key before it";
            return self.speak(
                ticket,
                at,
                &duty,
                &of("key_missing", "ZC001", "a change without a key", hint),
            );
        };
        if let Some(breach) = malformed(ticket, unit, &key) {
            return self.speak(ticket, at, &duty, &breach);
        }
        let Some(print) = ticket.known.print else {
            let hint = "send values of at most 4 MiB in all with a key";
            return self.speak(
                ticket,
                at,
                &duty,
                &of("key_unbound", "ZC005", "a change too long for its key", hint),
            );
        };
        let wish = Wish {
            key: self.key_of(visitor, &key),
            print,
            receipt: new_id(ticket.at_us),
            at_us: ticket.at_us,
            ttl_us: once.ttl_us,
        };
        let claimed = self.claimed(&wish, &once, ticket.decision.strict).await;
        if let Ok(claim) = &claimed {
            ticket.key = Some((wish.key, claim.state(unit.shape)));
        }
        match claimed {
            Ok(Claim::First(held)) => {
                ticket.keyed = Some(Keyed { held });
                ticket.named = Some(wish.receipt);
                Claimed::Go
            }
            Ok(Claim::Done { answer, receipt }) => match answer.filter(|one| one.suits(unit.shape)) {
                Some(answer) if duty.enforced => {
                    self.metrics.spoke(&duty.rule, Verdict::Replay, true);
                    ticket.decision.breach(&duty, &replayed());
                    Claimed::Say([told(&receipt.to_string()), answer.said.to_vec()].concat())
                }
                Some(_) => self.speak(ticket, at, &duty, &replayed()),
                None => {
                    let what = format!("a change that was made before under its key, with receipt {receipt}");
                    let hint = "it is not made again; what was answered then is not kept";
                    self.speak(ticket, at, &duty, &of("key_applied", "ZC004", &what, hint))
                }
            },
            Ok(other) => self.speak(ticket, at, &duty, &spoken(&other)),
            Err(error) => {
                let what = format!("a change whose key cannot be kept: {error}");
                self.speak(ticket, at, &duty, &of("key_not_kept", "ZC020", &what, "retry with the same key"))
            }
        }
    }

    /// Claims, and waits a while where the same is being done. In strict evidence a claim is on the disk before it counts.
    async fn claimed(&self, wish: &Wish, once: &Once, strict: bool) -> std::io::Result<Claim> {
        let wait = tokio::time::sleep(Duration::from_micros(once.wait_us));
        tokio::pin!(wait);
        loop {
            let ended = self.keys.ended();
            tokio::pin!(ended);
            // From here on no end is missed.
            ended.as_mut().enable();
            let claim = self.keys.claim(wish)?;
            match claim {
                Claim::First(held) if strict => {
                    return match self.keys.durable().await {
                        Ok(()) => Ok(Claim::First(held)),
                        Err(error) => {
                            held.released();
                            Err(error)
                        }
                    };
                }
                Claim::Open => {}
                other => return Ok(other),
            }
            tokio::select! {
                () = ended => {}
                () = &mut wait => return Ok(Claim::Open),
            }
        }
    }

    /// The rule speaks: a refusal where it is enforced, else a word in the receipt.
    fn speak(&self, ticket: &mut Ticket, at: usize, duty: &Duty, breach: &Breach) -> Claimed {
        if duty.enforced {
            return Claimed::Refuse(self.too_far(ticket, 0, at, breach));
        }
        self.metrics.spoke(&duty.rule, breach.verdict, false);
        ticket.decision.breach(duty, breach);
        Claimed::Go
    }

    /// A key is one for a tenant, a server, a database and a user; nobody meets that of another.
    fn key_of(&self, visitor: &Visitor, key: &str) -> Key {
        let tenant = visitor.caller.tenant.as_deref().unwrap_or_default();
        let whole = [&*self.upstream, visitor.database(), visitor.user(), key].join("\0");
        ascii(&self.secret.of("idempotency key", tenant, whole.as_bytes()))
    }
}

/// What is asked for under a key, from the text without its key.
pub(crate) fn print_of(visitor: &Visitor, sql: &[u8]) -> Print {
    let text = std::str::from_utf8(sql).map_or(sql, |text| TextClaims::unkeyed(text).as_bytes());
    let mut hasher = blake3::Hasher::new();
    for part in [b"1", visitor.database().as_bytes(), visitor.user().as_bytes()] {
        hasher.update(part).update(b"\0");
    }
    *hasher.update(text).finalize().as_bytes()
}

/// The same with values.
pub(crate) fn print_with(print: &Print, types: &[u32], bind: &[u8]) -> Option<Print> {
    let (_portal, rest) = clyra_wire::cstr(bind)?;
    let (_statement, rest) = clyra_wire::cstr(rest)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(print);
    for kind in types {
        hasher.update(&kind.to_be_bytes());
    }
    Some(*hasher.update(b"\0").update(rest).finalize().as_bytes())
}

impl Claim {
    /// What a receipt says of it.
    fn state(&self, shape: Shape) -> KeyState {
        match self {
            Self::First(_) => KeyState::First,
            Self::Done { answer: Some(answer), .. } if answer.suits(shape) => KeyState::Replayed,
            Self::Done { .. } => KeyState::Applied,
            Self::Other { .. } => KeyState::Mismatch,
            Self::Open => KeyState::InFlight,
            Self::Unknown { .. } => KeyState::Unknown,
        }
    }
}

impl Answer {
    /// Whether it can be said in this shape.
    fn suits(&self, shape: Shape) -> bool {
        self.rows.is_none_or(|rows| rows == shape)
    }
}

/// What speaks against the key itself, or against its place.
fn malformed(ticket: &Ticket, unit: Unit, key: &str) -> Option<Breach> {
    let statements = &ticket.known.facts.statements;
    let ends = |verb: Verb| matches!(verb, Verb::Begin | Verb::Commit | Verb::Rollback);
    let hint = "a key is for one message outside of a transaction block, or for all up to one Sync with one change in it";
    if !is_key(key) {
        let allowed = "allowed: 1 to 255 printable ASCII characters";
        return Some(of("key_malformed", "ZC001", "a key that is none", allowed));
    }
    if unit.part {
        return Some(of("key_on_part", "ZC005", "a key for a part of a transaction", hint));
    }
    if statements.len() > 1 && statements.iter().any(|one| ends(one.verb)) {
        return Some(of("key_on_part", "ZC005", "a key for more than one transaction", hint));
    }
    if statements.iter().any(|one| one.verbs.contains(Verb::CopyIn)) {
        let hint = "copy without a key, or insert with one";
        return Some(of("key_on_copy", "ZC005", "a key for COPY", hint));
    }
    None
}

fn spoken(claim: &Claim) -> Breach {
    match claim {
        Claim::Open => {
            let hint = "retry with the same key when the first has ended";
            of("key_in_flight", "55P03", "a change that is being made under its key", hint)
        }
        Claim::Unknown { receipt } => {
            let what = format!(
                "a change that was begun before under its key, and whose end is not known; receipt {receipt}"
            );
            let hint = "look whether it was made, then say so: clyra idempotency resolve";
            of("key_unknown", "ZC003", &what, hint)
        }
        Claim::Other { receipt } => {
            let what = format!("another change under a key that was used with receipt {receipt}");
            of("key_mismatch", "ZC002", &what, "a key is for one change with its values: take a new one")
        }
        Claim::First(_) | Claim::Done { .. } => replayed(),
    }
}

fn replayed() -> Breach {
    let what = "a change that was made before under its key";
    Breach { verdict: Verdict::Replay, ..of("key_replayed", "ZC004", what, "it is not made again") }
}

fn of(reason: &'static str, sqlstate: &'static str, what: &str, hint: &str) -> Breach {
    Breach { verdict: Verdict::Deny, reason, sqlstate, what: what.to_owned(), hint: hint.to_owned() }
}

/// What the client of a replay reads beside the answer.
fn told(receipt: &str) -> Vec<u8> {
    let message = format!("clyra: replayed, receipt {receipt}");
    notice_response(&Refusal { sqlstate: "00000", message: &message, detail: "", hint: "", position: None })
}
