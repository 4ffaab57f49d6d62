//! Makes queries for the property: right ones, wild ones, and ones without any condition on the tenant.

use fastrand::Rng;

/// How a statement treats the tenant's condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Every fenced table has it, where it counts: a fence that refuses this is of no use.
    Right,
    /// Most have it, and much of it may be wrong.
    Wild,
    /// None has it, in shapes to which it can be added.
    Bare,
}

/// A value that is bound.
pub(super) type Value = Option<i32>;

/// An item of FROM that conditions may name.
#[derive(Clone)]
pub(super) struct Alias {
    pub(super) name: String,
    /// It has rows of tenants.
    pub(super) fenced: bool,
    /// Its condition belongs into the WHERE.
    open: bool,
}

impl Alias {
    pub(super) fn of(name: &str, fenced: bool) -> Self {
        Self { name: name.to_owned(), fenced, open: true }
    }
}

/// Makes statements out of one seed.
pub(super) struct Maker {
    pub(super) rng: Rng,
    pub(super) manner: Manner,
    /// Values of `$1`, `$2` …, where tenants are bound.
    pub(super) values: Option<Vec<Value>>,
    names: usize,
}

impl Maker {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), manner: Manner::Wild, values: None, names: 0 }
    }

    pub(super) fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(0..100) < percent
    }

    pub(super) fn pick<'t>(&mut self, all: &[&'t str]) -> &'t str {
        self.rng.choice(all).copied().unwrap_or_default()
    }

    pub(super) fn is(&self, manner: Manner) -> bool {
        self.manner == manner
    }

    pub(super) fn name(&mut self) -> String {
        self.names += 1;
        format!("a{}", self.names)
    }

    pub(super) fn table(&mut self) -> (&'static str, bool) {
        let all =
            [("users", true), ("orders", true), ("notes", true), ("v_orders", true), ("products", false)];
        if self.is(Manner::Wild) && self.chance(4) {
            return ("v_all", true);
        }
        let place = self.rng.usize(0..if self.is(Manner::Bare) { 3 } else { 5 });
        all.get(place).copied().unwrap_or(("users", true))
    }

    /// The tenant, as a literal or as a parameter.
    pub(super) fn tenant(&mut self) -> String {
        let value = match (self.manner, self.rng.u8(0..20)) {
            (Manner::Wild, 0 | 1) => Some(2),
            (Manner::Wild, 2) => None,
            _ => Some(1),
        };
        let written = value.map_or("null".to_owned(), |value| value.to_string());
        match &mut self.values {
            Some(values) if self.rng.u8(0..4) > 0 => {
                values.push(value);
                format!("${}", values.len())
            }
            _ if value == Some(1) => self.pick(&["1", "1", "'1'", "1::int"]).to_owned(),
            _ => written,
        }
    }

    /// `alias.tenant_id = <tenant>`, in one of its forms.
    pub(super) fn fence(&mut self, name: &str) -> String {
        let tenant = self.tenant();
        match self.rng.u8(0..8) {
            0 => format!("{tenant} = {name}.tenant_id"),
            1 => format!("{name}.tenant_id in ({tenant})"),
            _ => format!("{name}.tenant_id = {tenant}"),
        }
    }

    /// A condition that says nothing about the tenant and never fails.
    fn harmless(&mut self, names: &[Alias], depth: u8) -> String {
        let one = self.rng.choice(names).map_or("a0".to_owned(), |one| one.name.clone());
        let other = self.rng.choice(names).map_or("a0".to_owned(), |other| other.name.clone());
        match self.rng.u8(0..8) {
            0 | 1 => format!("{one}.ref = {other}.ref"),
            2 => format!("({one}.id > 1 or {other}.mark like '%1')"),
            3 if depth > 0 => format!("{one}.ref in (select s.ref from ({}) s)", self.query(depth - 1)),
            4 if depth > 0 => format!("exists ({})", self.query(depth - 1)),
            5 => format!("not ({one}.mark = 'x')"),
            _ => format!("{one}.mark {}", self.pick(&["is not null", "like '%1'", "<> 'T12'"])),
        }
    }

    /// Any condition at all.
    fn wild(&mut self, names: &[Alias], depth: u8) -> String {
        let one = self.rng.choice(names).map_or("a0".to_owned(), |one| one.name.clone());
        let other = self.rng.choice(names).map_or("a0".to_owned(), |other| other.name.clone());
        match self.rng.u8(0..12) {
            0 | 1 => self.fence(&one),
            2 => format!("{one}.tenant_id = {other}.tenant_id"),
            3 => format!("{one}.tenant_id in ({}, 2)", self.tenant()),
            4 => format!("{one}.tenant_id {} 2", self.pick(&["=", "<", "<>", "is distinct from"])),
            5 => format!("tenant_id = {}", self.tenant()),
            6 => format!("{one}.ref = {other}.id"),
            7 => format!("({one}.id > 3 or {})", self.wild(names, depth)),
            8 => format!("not ({})", self.wild(names, depth)),
            9 => format!("1 / ({one}.id - 6) < 1 and {one}.mark::text <> 'y'"),
            _ => self.harmless(names, depth),
        }
    }

    /// The WHERE: conditions joined by AND, so that each alias has its own, or wild ones.
    pub(super) fn conditions(&mut self, names: &[Alias], depth: u8) -> String {
        let mut all: Vec<String> = Vec::new();
        let mut first: Option<String> = None;
        for alias in names.iter().filter(|alias| alias.fenced) {
            let wanted = match self.manner {
                Manner::Right => alias.open,
                Manner::Wild => self.chance(60),
                Manner::Bare => false,
            };
            match &first {
                _ if !wanted => {}
                Some(first) if self.rng.bool() => {
                    all.push(format!("{}.tenant_id = {first}.tenant_id", alias.name))
                }
                _ => {
                    all.push(self.fence(&alias.name));
                    first = Some(alias.name.clone());
                }
            }
        }
        for _ in 0..self.rng.u8(0..3) {
            all.push(if self.is(Manner::Wild) {
                self.wild(names, depth)
            } else {
                self.harmless(names, depth)
            });
        }
        self.rng.shuffle(&mut all);
        let by =
            if self.is(Manner::Wild) { self.pick(&[" and ", " and ", " and ", " or "]) } else { " and " };
        if all.is_empty() { "true".into() } else { all.join(by) }
    }

    /// An item of FROM; its aliases are added to `names`.
    pub(super) fn item(&mut self, names: &mut Vec<Alias>, depth: u8) -> String {
        let kind = self.rng.u8(0..10);
        if kind < 3 && depth > 0 {
            let join = self.pick(&["join", "left join", "right join", "full join"]);
            return self.join(names, if self.is(Manner::Bare) { "join" } else { join }, depth - 1);
        }
        if kind == 3 && depth > 0 {
            return self.derived(names, depth - 1);
        }
        let name = self.name();
        let (table, fenced) = self.table();
        names.push(Alias::of(&name, fenced));
        let renamed = if self.is(Manner::Wild) && self.chance(4) { "(tenant_id, id)" } else { "" };
        format!("{table} as {name}{renamed}")
    }

    fn derived(&mut self, names: &mut Vec<Alias>, depth: u8) -> String {
        let name = self.name();
        let lateral = self.pick(&["", "lateral"]);
        let query = self.query(depth);
        names.push(Alias::of(&name, false));
        format!("{lateral} ({query}) {name}")
    }

    /// A join whose ON has the conditions that an outer join needs there.
    pub(super) fn join(&mut self, names: &mut Vec<Alias>, join: &str, depth: u8) -> String {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let full = join == "full join" && self.is(Manner::Right);
        let (one, other) = if full {
            (self.derived(&mut left, 0), self.derived(&mut right, 0))
        } else {
            (self.item(&mut left, depth), self.item(&mut right, depth))
        };
        let both: Vec<Alias> = left.iter().chain(&right).cloned().collect();
        let on = match (self.manner, join) {
            (Manner::Right, "left join") => self.ends_on(&mut right, &both),
            (Manner::Right, "right join") => self.ends_on(&mut left, &both),
            (Manner::Wild, _) => self.conditions(&both, 0),
            // PostgreSQL wants full joins over equalities.
            _ => self.ends_on(&mut [], &both),
        };
        names.extend(left);
        names.extend(right);
        let other = other.trim_start().trim_start_matches("lateral");
        format!("({one} {join} {other} on {on})")
    }

    /// The ON of a join that fences one side of it.
    fn ends_on(&mut self, side: &mut [Alias], both: &[Alias]) -> String {
        let ends = (both.first(), both.last());
        let (Some(one), Some(other)) = ends else { return "true".into() };
        let mut all = vec![format!("{}.ref = {}.ref", one.name, other.name)];
        for alias in side.iter_mut().filter(|alias| alias.fenced && alias.open) {
            all.push(self.fence(&alias.name));
            alias.open = false;
        }
        all.join(" and ")
    }

    /// A query with the columns id, tenant_id, ref and mark.
    pub(super) fn query(&mut self, depth: u8) -> String {
        let kinds: &[&str] = if depth == 0 {
            &["select", "select", "aggregate", "window"]
        } else {
            &["select", "select", "aggregate", "window", "set", "cte", "scalar"]
        };
        let kind = self.pick(kinds);
        self.query_of(kind, depth)
    }

    /// One query block, or more, of a kind.
    pub(super) fn query_of(&mut self, kind: &str, depth: u8) -> String {
        let mut names = Vec::new();
        let below = depth.saturating_sub(1);
        let from = match kind {
            "join" => self.join(&mut names, "join", below),
            "outer" => {
                let join = self.pick(&["left join", "right join", "full join"]);
                self.join(&mut names, join, below)
            }
            "lateral" => {
                let first = self.item(&mut names, 0);
                let outer = names.first().map_or("a0".to_owned(), |one| one.name.clone());
                let (query, name) = (self.query(below), self.name());
                names.push(Alias::of(&name, false));
                format!("{first}, lateral (select q.* from ({query}) q where q.ref = {outer}.ref) {name}")
            }
            _ if self.chance(25) => {
                format!("{}, {}", self.item(&mut names, depth), self.item(&mut names, depth))
            }
            _ => self.item(&mut names, depth),
        };
        let filter = self.conditions(&names, depth);
        let one = self.rng.choice(&names).map_or("a0".to_owned(), |one| one.name.clone());
        let tenant =
            if names.iter().any(|alias| alias.name == one && alias.fenced) { "tenant_id" } else { "ref" };
        let plain = format!("{one}.id, {one}.{tenant} as tenant_id, {one}.ref, {one}.mark");
        let block = |columns: &str, rest: &str| format!("select {columns} from {from} where {filter}{rest}");
        match kind {
            "aggregate" => block(
                &format!("count(*) as id, min({one}.id) as tenant_id, {one}.ref, max({one}.mark) as mark"),
                &format!(" group by {one}.ref having count(*) > 0"),
            ),
            "window" => block(
                &format!(
                    "count(*) over (partition by {one}.ref) as id, {one}.id as tenant_id, {one}.ref, \
                     max({one}.mark) over () as mark"
                ),
                "",
            ),
            "set" => {
                let by = self.pick(&["union all", "union", "except", "intersect"]);
                format!("{} {by} ({})", block(&plain, ""), self.query(below))
            }
            "cte" => {
                let cte = self.pick(&["c", "c", "users", "orders"]);
                let (inner, rest) =
                    (block(&plain, ""), self.pick(&["", " where id > 0", " order by 1, 2, 3, 4 limit 3"]));
                format!("with {cte} as ({inner}) select id, tenant_id, ref, mark from {cte}{rest}")
            }
            "scalar" => {
                let inner = self.query(below);
                block(
                    &format!(
                        "{one}.id, (select count(*) from ({inner}) s) as tenant_id, {one}.ref, {one}.mark"
                    ),
                    "",
                )
            }
            _ if self.chance(20) => {
                let rest = self.pick(&["", " order by 1, 2, 3, 4 limit 2"]);
                format!("select id, tenant_id, ref, mark from ({}{rest}) s", block(&plain, ""))
            }
            _ => block(&plain, ""),
        }
    }
}
