//! The client's direction: cuts messages, asks about those that act, keeps what the answers will need.

use super::{Ask, Asked, Expect, NAMES_MAX, OPEN_MAX, Refused, Session, Skipping, Step, What, own::Own};
use crate::{
    WireError, answer,
    frame::{self, HEAD_BYTES, Head},
    frontend,
};

impl<P: Clone, T> Session<P, T> {
    /// Looks at the client's bytes that are not yet dealt with.
    pub fn client<'b>(&mut self, bytes: &'b [u8]) -> Result<Step<'b, P>, WireError> {
        if let Some(step) = self.waits() {
            return Ok(step);
        }
        if self.client_left.0 > 0 {
            return Ok(self.rest(bytes));
        }
        let Some(head) = frame::head(bytes)? else { return Ok(Step::More(HEAD_BYTES)) };
        if self.login {
            return match head.tag {
                b'p' => Ok(self.pass(bytes, head)),
                b'X' => leave(head),
                _ => Ok(Step::Hold),
            };
        }
        if head.tag == b'X' {
            return leave(head);
        }
        if self.skipping != Skipping::No {
            return self.skip(bytes, head);
        }
        if self.expects.len() >= OPEN_MAX || self.holds(head.tag) {
            return Ok(Step::Hold);
        }
        match head.tag {
            b'Q' | b'P' => self.text(bytes, head),
            b'B' => self.bind(bytes, head),
            b'E' | b'F' | b'D' | b'C' => self.named(bytes, head),
            b'S' => self.sync(bytes, head),
            b'd' | b'c' | b'f' => {
                self.copy_data(head.tag != b'd');
                Ok(self.pass(bytes, head))
            }
            b'H' | b'p' => Ok(self.pass(bytes, head)),
            tag => Err(WireError::Unexpected { tag, place: "after login" }),
        }
    }

    /// What keeps the client waiting, or is said to it first.
    fn waits<'b>(&mut self) -> Option<Step<'b, P>> {
        if matches!(self.own, Own::Open(..)) || (self.held && !self.is_settled()) {
            return Some(Step::Hold);
        }
        self.held = false;
        if self.watching && self.client_left.0 == 0 {
            if std::mem::take(&mut self.flush_due) {
                return Some(Step::Tell(answer::message(b'H', &[])));
            }
            // Copy data and its end belong to the watched statement itself.
            if !self.copy_in && !self.expects.is_empty() {
                return Some(Step::Hold);
            }
            self.watching = self.copy_in;
        }
        self.say_unsaid().map(|error| Step::Answer(0, error))
    }

    /// The simple query that was asked about goes on.
    pub fn allow_query(&mut self, ticket: T) {
        self.open(Expect::Query { ticket, completions: Vec::new(), committed: 0, watch: None });
    }

    /// The statement that was asked about goes on to be prepared.
    pub fn allow_parse(&mut self, prepared: P) {
        if let Some(Asked { what: What::Parse(name, types), total }) = self.asked.take() {
            self.client_left = (total, false);
            self.learn(&prepared, types);
            self.extended(Expect::Parse { name, prepared });
        }
    }

    /// Remembers the types that a statement gives to its parameters, if it gives any.
    pub(super) fn learn(&mut self, prepared: &P, types: Box<[u32]>) {
        if types.iter().any(|kind| *kind != 0) {
            self.described.push_back((prepared.clone(), types));
        }
    }

    /// The values that were asked about are bound; the portal runs `prepared`.
    pub fn allow_bind(&mut self, prepared: P) {
        if self.renames {
            // It goes on when its name is known.
            self.asked = None;
            self.allowed_bind = Some(prepared);
        } else if let Some(Asked { what: What::Bind(portal), total }) = self.asked.take() {
            self.client_left = (total, false);
            self.extended(Expect::Bind { portal, prepared: Some(prepared) });
        }
    }

    /// The `Bind` is asked about again once it is whole.
    pub fn defer_bind(&mut self) {
        self.asked = None;
    }

    /// The portal that was asked about runs.
    pub fn allow_execute(&mut self, ticket: T) {
        if let Some(asked) = self.asked.take() {
            self.client_left = (asked.total, false);
            self.extended(Expect::Execute { ticket, watch: None });
        }
    }

    /// The function that was asked about is called.
    pub fn allow_function(&mut self, ticket: T) {
        self.open(Expect::Function { ticket });
    }

    /// What was asked about is refused; `error` is the `ErrorResponse` that the client shall read.
    pub fn refuse(&mut self, error: Vec<u8>) -> Refused {
        let Some(asked) = self.asked.take() else { return Refused::Answer(error) };
        self.client_left = (asked.total, true);
        let simple = matches!(asked.what, What::Query | What::Function);
        if self.server_skips {
            // The client is about to read an earlier error; the server reads over this message anyway.
            if self.unsaid.take().is_none() {
                return Refused::Silent;
            }
            self.skipping = Skipping::WithServer;
            return Refused::Answer(error);
        }
        if self.is_idle() {
            if !simple {
                self.skipping = Skipping::Alone;
            }
            return match self.say(error, simple) {
                Some(answer) => Refused::Answer(answer),
                None => Refused::Silent,
            };
        }
        if simple {
            let poison = answer::poison_query(&self.token);
            self.expects.push_back(Expect::PoisonQuery { answer: error });
            return Refused::Poison(poison);
        }
        self.skipping = Skipping::WithServer;
        self.extended(Expect::PoisonParse { answer: error });
        Refused::Poison(answer::poison_parse(&self.token))
    }

    /// A simple query, or a statement to prepare.
    fn text<'b>(&mut self, bytes: &'b [u8], head: Head) -> Result<Step<'b, P>, WireError> {
        let parse = head.tag == b'P';
        if head.total > TEXT_BYTES_MAX {
            let Some(name) = long_name(bytes, parse)? else { return Ok(Step::More(bytes.len() + 1)) };
            self.asked = Some(Asked { what: name, total: head.total });
            return Ok(Step::Ask(Ask::TooLong { bytes: head.total, parse }));
        }
        let Some(body) = frame::body(bytes, head) else { return Ok(Step::More(head.total)) };
        if !parse {
            self.asked = Some(Asked { what: What::Query, total: head.total });
            return Ok(Step::Ask(Ask::Query(frontend::query(body)?)));
        }
        let (name, sql, types) = frontend::parse(body)?;
        if self.statements.len() >= NAMES_MAX && !name.is_empty() {
            return Err(WireError::TooMany { what: "prepared statements", max: NAMES_MAX });
        }
        let types = if self.binds_asked { crate::bind::types(types) } else { Box::default() };
        self.asked = Some(Asked { what: What::Parse(name.into(), types), total: head.total });
        Ok(Step::Ask(Ask::Parse(sql)))
    }

    fn bind<'b>(&mut self, bytes: &'b [u8], head: Head) -> Result<Step<'b, P>, WireError> {
        // However much is there already: what is too long in pieces is too long at once.
        let body =
            bytes.get(HEAD_BYTES..head.total.min(bytes.len()).min(NAMES_BYTES_MAX)).unwrap_or_default();
        let Some((portal, statement)) = frontend::bind(body) else {
            if bytes.len() < head.total.min(NAMES_BYTES_MAX) {
                return Ok(Step::More(bytes.len() + 1));
            }
            return Err(WireError::Malformed { tag: b'B', what: "portal or statement without an end" });
        };
        let prepared = self.to_bind(statement);
        if let Some(prepared) = prepared.clone().filter(|_| self.binds_asked && self.allowed_bind.is_none()) {
            self.asked = Some(Asked { what: What::Bind(portal.into()), total: head.total });
            let body = frame::body(bytes, head);
            return Ok(Step::Ask(Ask::Bind { prepared, body, bytes: head.total }));
        }
        if self.renames {
            return Ok(self.to_refer(statement, false));
        }
        self.extended(Expect::Bind { portal: portal.into(), prepared });
        Ok(self.pass(bytes, head))
    }

    /// `Execute`, `FunctionCall`, `Describe` and `Close`.
    fn named<'b>(&mut self, bytes: &'b [u8], head: Head) -> Result<Step<'b, P>, WireError> {
        if head.tag == b'F' {
            let Some(oid) = bytes.get(HEAD_BYTES..HEAD_BYTES + 4) else {
                return Ok(Step::More(HEAD_BYTES + 4));
            };
            self.asked = Some(Asked { what: What::Function, total: head.total });
            return Ok(Step::Ask(Ask::Function(frontend::function(oid)?)));
        }
        if head.total > NAMES_BYTES_MAX {
            return Err(WireError::Malformed { tag: head.tag, what: "name too long" });
        }
        let Some(body) = frame::body(bytes, head) else { return Ok(Step::More(head.total)) };
        if head.tag == b'E' {
            let portal = self.to_run(frontend::execute(body)?);
            self.asked = Some(Asked { what: What::Execute, total: head.total });
            return Ok(Step::Ask(Ask::Execute(portal)));
        }
        let (statement, name) = frontend::named(head.tag, body)?;
        if statement && self.renames {
            return Ok(self.to_refer(name, head.tag == b'C'));
        }
        self.extended(match head.tag {
            b'C' => Expect::Close { statement, name: name.into() },
            _ => Expect::Describe { of: if statement { self.to_describe(name) } else { None } },
        });
        Ok(self.pass(bytes, head))
    }

    fn sync<'b>(&mut self, bytes: &'b [u8], head: Head) -> Result<Step<'b, P>, WireError> {
        bare(head)?;
        if self.copy_in {
            self.pass_over_sync();
        } else {
            self.copy_doubt = false;
            self.server_skips = false;
            self.segment = false;
            self.segments += 1;
            self.expects.push_back(Expect::Sync);
        }
        Ok(self.pass(bytes, head))
    }

    /// What comes after a refusal, up to `Sync`.
    fn skip<'b>(&mut self, bytes: &'b [u8], head: Head) -> Result<Step<'b, P>, WireError> {
        if head.tag != b'S' {
            self.client_left = (head.total, true);
            return Ok(self.rest(bytes));
        }
        bare(head)?;
        let alone = self.skipping == Skipping::Alone;
        self.skipping = Skipping::No;
        if alone {
            return Ok(match self.say(Vec::new(), true) {
                Some(ready) => Step::Answer(head.total, ready),
                None => Step::Drop(head.total),
            });
        }
        self.sync(bytes, head)
    }

    fn open(&mut self, expect: Expect<P, T>) {
        if let Some(asked) = self.asked.take() {
            self.client_left = (asked.total, false);
            self.sent(expect);
        }
    }

    pub(super) fn extended(&mut self, expect: Expect<P, T>) {
        self.segment = true;
        self.sent(expect);
    }

    /// A message that goes to the server. While it skips, it reads over everything, also over queries.
    pub(super) fn sent(&mut self, expect: Expect<P, T>) {
        match expect.into_ticket_if(self.server_skips) {
            Ok(expect) => self.expects.push_back(expect),
            Err(ticket) => self.ended.extend(ticket.map(|ticket| (ticket, skipped()))),
        }
    }

    /// What a `Bind` of this name would run: a statement still being prepared, or one that stands.
    pub fn to_bind(&self, name: &[u8]) -> Option<P> {
        let coming = self.expects.iter().rev().find_map(|expect| match expect {
            Expect::Parse { name: coming, prepared } if **coming == *name => Some(prepared.clone()),
            _ => None,
        });
        coming.or_else(|| self.statement(name).cloned())
    }

    /// The statement whose parameters' types are wanted.
    pub(super) fn to_describe(&self, name: &[u8]) -> Option<P> {
        self.to_bind(name).filter(|_| self.binds_asked)
    }

    /// What an `Execute` of this portal will run.
    pub fn to_run(&self, name: &[u8]) -> Option<P> {
        let coming = self.expects.iter().rev().find_map(|expect| match expect {
            Expect::Bind { portal, prepared } if **portal == *name => Some(prepared.clone()),
            _ => None,
        });
        coming.unwrap_or_else(|| {
            if name.is_empty() { self.unnamed.portal.clone() } else { self.portals.get(name).cloned() }
        })
    }

    fn pass<'b>(&mut self, bytes: &'b [u8], head: Head) -> Step<'b, P> {
        self.client_left = (head.total, false);
        self.rest(bytes)
    }

    /// Deals with as much of the current message as is there.
    fn rest<'b>(&mut self, bytes: &'b [u8]) -> Step<'b, P> {
        let (left, swallow) = self.client_left;
        let here = left.min(bytes.len());
        if here == 0 {
            return Step::More(1);
        }
        self.client_left.0 = left - here;
        if swallow { Step::Drop(here) } else { Step::Forward(here) }
    }
}

impl<P, T> Expect<P, T> {
    /// Itself, or the ticket of what a skipping server will never run.
    fn into_ticket_if(self, skipped: bool) -> Result<Self, Option<T>> {
        if skipped { Err(self.into_ticket()) } else { Ok(self) }
    }
}

fn skipped() -> super::End {
    super::End { skipped: true, ..super::End::default() }
}

/// `Sync` and `Terminate` are their heads; one that announces more is not acted upon as if it were there.
fn bare(head: Head) -> Result<(), WireError> {
    if head.total == HEAD_BYTES {
        return Ok(());
    }
    Err(WireError::Malformed { tag: head.tag, what: "a message without a body has one" })
}

fn leave<'b, P>(head: Head) -> Result<Step<'b, P>, WireError> {
    bare(head)?;
    Ok(Step::Leave(head.total))
}

/// What a message too long to be read is about; `None` while its name is not whole.
fn long_name(bytes: &[u8], parse: bool) -> Result<Option<What>, WireError> {
    if !parse {
        return Ok(Some(What::Query));
    }
    let body = bytes.get(HEAD_BYTES..bytes.len().min(NAMES_BYTES_MAX)).unwrap_or_default();
    match frame::cstr(body) {
        Some((name, _)) => Ok(Some(What::Parse(name.into(), Box::default()))),
        None if bytes.len() < NAMES_BYTES_MAX => Ok(None),
        None => Err(WireError::Malformed { tag: b'P', what: "name without an end" }),
    }
}

/// Longest statement that is held in memory to be read.
const TEXT_BYTES_MAX: usize = 4 << 20;
/// Within so many bytes the names of a message must end.
const NAMES_BYTES_MAX: usize = 16 << 10;
