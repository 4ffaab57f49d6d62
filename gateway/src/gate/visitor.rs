//! Who stands before the gate: a login after the policy's `callers:`, with the card that its receipts bear. It is
//! fixed for the connection; only a new policy may see it anew.

use super::{Gate, Known};
use crate::{
    catalog::Sight,
    claims::{self, SessionClaims},
    draft::{Draft, RunClaims, SessionCard},
    duty::Sharers,
    force::Force,
    kill::{Of, View},
    once::{Print, print_of},
};
use clyra_policy::{Approvals, Binds, ByName, Caller, Decision, Facts, Login, Moment, Pin, Proof, Refusal};
use clyra_spec::Auth;
use std::sync::{Arc, atomic::Ordering};

/// Who stands before the gate: one per session.
#[derive(Debug)]
pub(crate) struct Visitor {
    user: String,
    database: String,
    application: String,
    auth: Auth,
    proof: Arc<Proof>,
    pub(super) force: Arc<Force>,
    pub(crate) caller: Caller,
    pub(super) card: Arc<SessionCard>,
    /// What of the kill switch covers it.
    pub(super) kills: View,
    /// What the session claims, and the run that follows from it.
    claims: SessionClaims,
    run: Option<Arc<RunClaims>>,
    /// A message has changed where bare names lead.
    path_changed: bool,
    /// What the session sees of names, where the database's catalog is known.
    pub(crate) sight: Option<Box<Sight>>,
    /// The policy looks at values that come at Bind.
    pub(super) binds_asked: bool,
    /// The policy may ask for keys.
    asks_keys: bool,
    /// The policy adds conditions on the tenant.
    pub(super) rewrites: bool,
    /// The policy wants the session to be pinned, and what it is pinned to.
    to_pin: bool,
    pub(crate) pinned: Vec<(Box<str>, Box<str>)>,
}

/// The moment at which a message is asked about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// Its values are bound, or are being bound.
    pub(super) portal: bool,
    /// The run that it belongs to.
    pub(super) run: Option<&'a RunClaims>,
    pub(super) at_us: u64,
}

impl Visitor {
    /// What the policy says of a message of this visitor.
    pub(super) fn judge(
        &self,
        known: &Known,
        asked: &Asked<'_>,
        approvals: Approvals<'_>,
        prepared: &dyn Fn(ByName<'_>) -> Option<Arc<Facts>>,
    ) -> Decision {
        let binds = match &known.bound {
            Some(bound) => Binds::Are(bound),
            None if asked.portal => Binds::Unknown,
            None => Binds::Later,
        };
        let sight = self.sight.as_deref().filter(|sight| sight.looks);
        let run = asked.run.map(|run| &*run.run_id);
        let stops = self.kills.stops(run);
        let moment = Moment {
            now_us: Some(asked.at_us),
            change_intent: asked.run.and_then(|run| run.change_intent.as_deref()),
            path_changed: self.path_changed && sight.is_none(),
            binds,
            pinned: self.to_pin.then_some(&*self.pinned),
            approvals,
            stops: &stops,
        };
        let policy = &self.force.policy;
        let level = self.kills.level(run);
        match sight {
            None => policy.decide_at(&self.caller, &known.facts, level, &moment, prepared),
            Some(sight) => {
                let prepared = |name: ByName<'_>| prepared(name).map(|body| sight.wide(&body));
                let facts = sight.wide(&known.facts);
                policy.decide_at(&self.caller, &facts, level, &moment, &prepared)
            }
        }
    }

    fn login(&self) -> Login<'_> {
        Login { user: &self.user, database: &self.database, application: &self.application, tenant: None }
    }

    /// The database that it asked for.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// The user that it logged in as.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// What is asked for under a key, where the policy may ask for one.
    pub(super) fn print_of(&self, sql: &[u8]) -> Option<Print> {
        self.asks_keys.then(|| print_of(self, sql))
    }

    /// Whom its use of caps is counted for.
    pub(super) fn sharers<'s>(&'s self, run: Option<&'s RunClaims>) -> Sharers<'s> {
        Sharers {
            actor: &self.caller.actor,
            tenant: self.caller.tenant.as_deref().unwrap_or_default(),
            user: &self.user,
            run: run.map_or("", |run| &run.run_id),
        }
    }

    /// The run that a message belongs to.
    pub(super) fn run_of(&self, facts: &Facts) -> Option<Arc<RunClaims>> {
        match facts.statements.first().and_then(|first| first.claims.as_deref()) {
            None => self.run.clone(),
            Some(text) => claims::run_of_text(text, self.claims.now()),
        }
    }

    /// The run that the session claims now.
    pub(super) fn run_id(&self) -> Option<&str> {
        self.run.as_deref().map(|run| &*run.run_id)
    }

    /// What the session claims.
    pub(crate) fn claims(&mut self) -> &mut SessionClaims {
        &mut self.claims
    }

    /// A message went on to the server.
    pub(super) fn went(&mut self, facts: &Facts) {
        self.path_changed = facts.path_changed(self.path_changed);
    }
}

/// What a visitor has shown: to the gateway, or to the server.
#[derive(Debug)]
pub(crate) struct Shown {
    /// How it proved its name.
    pub(crate) auth: Auth,
    /// What it has proved beside it.
    pub(crate) proof: Arc<Proof>,
}

impl Gate {
    /// Why the policy turns this login away before anything is asked.
    pub(crate) fn turns_away(&self, login: &Login<'_>, proof: &Arc<Proof>) -> Option<String> {
        let policy = &self.force.load().policy;
        policy.turns_away(&policy.caller_with(login, proof)).map(str::to_owned)
    }

    /// Why the policy does not let a session of this login begin with these settings.
    pub(crate) fn refuses_to_begin(
        &self,
        login: &Login<'_>,
        proof: &Arc<Proof>,
        settings: &[(String, String)],
    ) -> Option<Refusal> {
        let policy = &self.force.load().policy;
        policy.refuses_to_begin(&policy.caller_with(login, proof), settings)
    }

    /// Whether this login may open replication connections.
    pub(crate) fn lets_replicate(&self, login: &Login<'_>, proof: &Arc<Proof>) -> bool {
        self.force.load().policy.caller_with(login, proof).may_replicate()
    }

    /// A visitor, once the server has let it in.
    pub(crate) fn visitor(
        &self,
        login: &Login<'_>,
        Shown { auth, proof }: Shown,
        claims: SessionClaims,
    ) -> Visitor {
        self.open.fetch_add(1, Ordering::Relaxed);
        let force = self.force.load_full();
        let caller = force.policy.caller_with(login, &proof);
        let card = Arc::new(self.card(login, &caller, auth));
        let run = claims::run(claims.now()).map(Arc::new);
        let binds_asked = force.policy.looks_at_binds(&caller);
        let asks_keys = force.policy.asks_keys(&caller);
        let rewrites = force.policy.rewrites(&caller);
        let to_pin = !force.policy.pins(&caller).is_empty();
        let sight = self.sight(&force, &caller, login.database);
        let kills = self.kills_of(login, &caller, force.policy.name());
        if let Some(run) = &run {
            self.outbox.put(Draft::RunJoin(Arc::clone(run)));
        }
        Visitor {
            user: login.user.to_owned(),
            database: login.database.to_owned(),
            application: login.application.to_owned(),
            auth,
            proof,
            force,
            caller,
            card,
            kills,
            claims,
            run,
            path_changed: false,
            sight,
            binds_asked,
            asks_keys,
            rewrites,
            to_pin,
            pinned: Vec::new(),
        }
    }

    /// The session claims something else than before: it leaves a run, or joins one.
    pub(crate) fn claims_changed(&self, visitor: &mut Visitor) {
        let run = claims::run(visitor.claims.now());
        if run.as_ref() == visitor.run.as_deref() {
            return;
        }
        let before = std::mem::replace(&mut visitor.run, run.map(Arc::new));
        let id = |run: &Option<Arc<RunClaims>>| run.as_ref().map(|run| run.run_id.clone());
        if id(&before) != id(&visitor.run) {
            let (joined, left) = (visitor.run.clone().map(Draft::RunJoin), before.map(Draft::RunLeave));
            joined.into_iter().chain(left).for_each(|draft| self.outbox.put(draft));
        }
    }

    /// What the visitor's session must be pinned to before its first statement.
    pub(crate) fn pins(&self, visitor: &Visitor) -> Vec<Pin> {
        visitor.force.policy.pins(&visitor.caller)
    }

    /// A visitor leaves.
    pub(crate) fn leave(&self, visitor: &Visitor) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(run) = &visitor.run {
            self.outbox.put(Draft::RunLeave(Arc::clone(run)));
        }
    }

    /// Follows a policy that was taken into use since the visitor's last message.
    pub(super) fn refresh(&self, visitor: &mut Visitor) {
        let force = self.force.load();
        if Arc::ptr_eq(&force, &visitor.force) {
            if self.kill.turn() != visitor.kills.turn {
                visitor.kills = self.kills_of(&visitor.login(), &visitor.caller, force.policy.name());
            }
            return;
        }
        visitor.force = Arc::clone(&force);
        let login = visitor.login();
        visitor.caller = force.policy.caller_with(&login, &visitor.proof);
        visitor.rewrites = force.policy.rewrites(&visitor.caller);
        visitor.to_pin = !force.policy.pins(&visitor.caller).is_empty();
        visitor.binds_asked = force.policy.looks_at_binds(&visitor.caller);
        let policy = &force.policy;
        match &mut visitor.sight {
            Some(sight) => sight.follow(
                policy.looks_at_names(&visitor.caller),
                policy.guards(&visitor.caller),
                policy.doubts_unknown_names(),
            ),
            None => visitor.sight = self.sight(&force, &visitor.caller, &visitor.database),
        }
        visitor.asks_keys = force.policy.asks_keys(&visitor.caller);
        visitor.kills = self.kills_of(&visitor.login(), &visitor.caller, force.policy.name());
        visitor.card = Arc::new(self.card(&visitor.login(), &visitor.caller, visitor.auth));
    }

    /// What of the kill switch covers a session.
    pub(super) fn kills_of(&self, login: &Login<'_>, caller: &Caller, policy: &str) -> View {
        let of = Of { caller, database: login.database, policy, route: &self.upstream };
        self.kill.stand().view(&of)
    }

    fn card(&self, login: &Login<'_>, caller: &Caller, auth: Auth) -> SessionCard {
        let tenant = caller.tenant.as_deref().unwrap_or_default();
        SessionCard {
            actor: self.secret.of("actor", tenant, caller.actor.as_bytes()),
            actor_kind: caller.kind,
            auth,
            tenant: caller.tenant.as_deref().map(|tenant| self.secret.of("tenant", "", tenant.as_bytes())),
            via: (!login.application.is_empty()).then(|| login.application.to_owned()),
            database: login.database.to_owned(),
            upstream: self.upstream.clone(),
        }
    }
}
