//! Makes changes of rows for the property, and queries about what they return.

use super::maker::{Alias, Maker, Manner};

impl Maker {
    /// A statement of a kind.
    pub(super) fn statement(&mut self, kind: &str) -> String {
        match kind {
            "update" => self.update(),
            "delete" => self.delete(),
            "insert" => self.insert(false),
            "insert_select" => self.insert(true),
            "conflict" => self.conflict(),
            "merge" => self.merge(),
            "written_cte" => {
                let inner = if self.rng.bool() { self.update() } else { self.delete() };
                format!("with w as ({inner}) select count(*), max(mark) from w")
            }
            "function" => self.call(),
            query => self.query_of(query, 2),
        }
    }

    fn target(&mut self) -> (&'static str, Vec<Alias>, String) {
        let name = self.name();
        let (table, fenced) = match self.table() {
            (_, false) if !self.is(Manner::Wild) => ("users", true),
            // A view cannot be the target of everything.
            ("v_orders", _) => ("orders", true),
            table => table,
        };
        (table, vec![Alias::of(&name, fenced)], name)
    }

    fn update(&mut self) -> String {
        let (table, mut names, target) = self.target();
        let from =
            if self.chance(40) { format!(" from {}", self.item(&mut names, 1)) } else { String::new() };
        let set = match self.rng.u8(0..6) {
            0 => format!("tenant_id = {}", self.tenant()),
            1 if self.is(Manner::Wild) => "tenant_id = tenant_id + 1".into(),
            2 => format!("mark = {target}.mark || 'z'"),
            _ => "mark = 'x'".into(),
        };
        let filter = self.conditions(&names, 1);
        format!("update {table} {target} set {set}{from} where {filter} returning {target}.id, {target}.mark")
    }

    fn delete(&mut self) -> String {
        let (table, mut names, target) = self.target();
        let using =
            if self.chance(40) { format!(" using {}", self.item(&mut names, 1)) } else { String::new() };
        let filter = self.conditions(&names, 1);
        format!("delete from {table} {target}{using} where {filter} returning {target}.mark")
    }

    /// The columns of new rows, and the place of the tenant among them.
    fn columns(&mut self) -> &'static str {
        if self.is(Manner::Wild) {
            self.pick(&["id, tenant_id, ref, mark", "tenant_id, id, ref, mark", "ref, id", "mark, tenant_id"])
        } else {
            "id, tenant_id, ref, mark"
        }
    }

    fn insert(&mut self, select: bool) -> String {
        let (table, _, _) = self.target();
        let columns = self.columns();
        let number = self.rng.i32(100..200);
        let rows = if select {
            let value =
                if self.is(Manner::Wild) && self.chance(40) { "s.tenant_id".into() } else { self.tenant() };
            let query = self.query(1);
            format!(
                "select row_number() over (order by s.id, s.tenant_id, s.ref, s.mark) + {number}, {value}, s.ref, \
                 s.mark from ({query}) s"
            )
        } else {
            let (one, other) = (self.tenant(), self.tenant());
            let wrong = if self.is(Manner::Wild) {
                self.pick(&["", ", (3, 1 + 1, 0, 'w')", ", (3, default, 0, 'w')"])
            } else {
                ""
            };
            format!("values ({number}, {one}, 1, 'n'), ({number} + 1, {other}, 2, 'n'){wrong}")
        };
        format!("insert into {table} ({columns}) {rows} on conflict do nothing returning id, mark")
    }

    fn conflict(&mut self) -> String {
        let (value, tenant, number) = (self.tenant(), self.tenant(), self.rng.i32(1..8));
        let guard = match self.rng.u8(0..6) {
            0 if self.is(Manner::Wild) => String::new(),
            1 if self.is(Manner::Wild) => format!("where excluded.tenant_id = {tenant}"),
            2 if self.is(Manner::Wild) => format!("where k.tenant_id = {tenant} or k.id > 0"),
            _ => format!("where k.tenant_id = {tenant}"),
        };
        let set = self.pick(&["mark = excluded.mark", "mark = k.mark || 'c', ref = 0"]);
        let columns = if self.is(Manner::Wild) && self.chance(15) {
            "tenant_id, id, ref, mark"
        } else {
            "id, tenant_id, ref, mark"
        };
        format!(
            "insert into notes as k ({columns}) values ({number}, {value}, 1, 'new') on conflict (id, tenant_id) \
             do update set {set} {guard} returning k.mark"
        )
    }

    fn merge(&mut self) -> String {
        let (table, mut names, target) = self.target();
        let source = self.name();
        let query = self.query(1);
        names.push(Alias::of(&source, false));
        let on = match self.manner {
            Manner::Wild => self.conditions(&names, 0),
            _ => self.fence(&target),
        };
        let change = match self.rng.u8(0..4) {
            0 => "delete".to_owned(),
            1 => format!("update set tenant_id = {}", self.tenant()),
            _ => "update set mark = 'm'".to_owned(),
        };
        let value = self.tenant();
        let number = self.rng.i32(200..300);
        format!(
            "merge into {table} {target} using (select distinct id from ({query}) q) {source} \
             on {target}.id = {source}.id and {on} when matched then {change} \
             when not matched then insert (id, tenant_id, mark) values ({number} + {source}.id, {value}, 'm')"
        )
    }

    /// A query that calls a function of the database.
    fn call(&mut self) -> String {
        let mut names = Vec::new();
        let from = self.item(&mut names, 0);
        let filter = self.conditions(&names, 0);
        let call = if self.is(Manner::Wild) {
            self.pick(&["rate(2)", "peek()", "public.rate(1)"])
        } else {
            "rate(2)"
        };
        let one = names.first().map_or("a0", |one| &one.name);
        format!("select {one}.id, {call} from {from} where {filter}")
    }
}
