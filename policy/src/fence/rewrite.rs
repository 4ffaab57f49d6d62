//! Adds a missing condition on the tenant to the text of a statement, at its place; it never prints a tree, and what it
//! makes proves nothing: the new text is read and proven like any other.

use super::pin::quoted;
use super::{Class, Fence, Proof};
use crate::blocks::{Block, Item, Reading};
use crate::facts::pieces;
use crate::{Caller, Facts, Policy};
use clyra_spec::Mode;
use std::sync::Arc;

impl Policy {
    /// Whether any enforced rule for this caller may add conditions.
    pub fn rewrites(&self, caller: &Caller) -> bool {
        self.rewriting(&self.known(caller)).next().is_some()
    }

    /// The text with the conditions that it lacks; nothing when it lacks none, or cannot be helped. `read` gives the
    /// facts of a text.
    pub fn rewrite(
        &self,
        caller: &Caller,
        facts: &Facts,
        text: &str,
        read: &dyn Fn(&str) -> Arc<Facts>,
    ) -> Option<String> {
        let caller = self.known(caller);
        let tenant = caller.tenant.as_deref()?;
        let [statement] = &*facts.statements else { return None };
        if facts.problem.is_some() {
            return None;
        }
        let reading = statement.blocks.reading()?;
        let chosen = |fence: &&Fence| !fence.rewrite.is_empty();
        let fence = self.rewriting(&caller).find(chosen)?;
        let splices = fence.splices(reading, tenant, &caller.user, text)?;
        if splices.is_empty() {
            return None;
        }
        let mut new = text.to_owned();
        for (at, part) in splices.iter().rev() {
            if !new.is_char_boundary(*at) {
                return None;
            }
            new.insert_str(*at, part);
        }
        let read = read(&new);
        let [after] = &*read.statements else { return None };
        let same = read.problem.is_none() && alike(reading, after.blocks.reading()?);
        (same && after.verbs == statement.verbs).then_some(new)
    }

    fn rewriting<'p>(&'p self, caller: &'p Caller) -> impl Iterator<Item = &'p Fence> {
        let enforced = |mode: Option<Mode>| mode.unwrap_or(self.mode_of(caller)) == Mode::Enforce;
        let rules = self.rules_of(caller).filter(move |rule| enforced(rule.mode));
        rules.filter_map(|rule| rule.guard.fence()).filter(|fence| !fence.rewrite.is_empty())
    }
}

/// Both have the same blocks of the same tables, and change the same.
fn alike(before: &Reading, after: &Reading) -> bool {
    let same = |one: &Item, other: &Item| {
        let table = |item: &Item| item.table.as_ref().map(super::Name::dotted);
        (table(one), &one.alias, one.nullable) == (table(other), &other.alias, other.nullable)
    };
    let mut pairs = before.blocks.iter().zip(&after.blocks);
    before.blocks.len() == after.blocks.len()
        && pairs.all(|(one, other)| {
            one.items.len() == other.items.len()
                && one.items.iter().zip(&other.items).all(|(one, other)| same(one, other))
        })
        && before.changes.len() == after.changes.len()
        && before.functions.len() == after.functions.len()
        && before.uses == after.uses
}

impl Fence {
    /// Where what is to be put in, from front to back; nothing when a block cannot be helped.
    fn splices(
        &self,
        reading: &Reading,
        tenant: &str,
        user: &str,
        text: &str,
    ) -> Option<Vec<(usize, String)>> {
        let mut proof =
            Proof { fence: self, tenant: Some(tenant), user, parameters: Vec::new(), anchored: Vec::new() };
        let tokens: Vec<Token<'_>> = leveled(text);
        let mut splices = Vec::new();
        for block in &reading.blocks {
            let open = proof.open(block)?;
            if open.is_empty() {
                continue;
            }
            let mut condition = String::new();
            for item in &open {
                let table = item.table.as_ref().map(super::Name::dotted)?;
                let chosen = self.rewrite.iter().any(|one| one.matches(&table, user));
                if !chosen || item.veiled || item.nullable || item.alias.is_empty() {
                    return None;
                }
                let (alias, column) = (named(&item.alias), named(&self.column));
                condition.push_str(&format!(" AND {alias}.{column} = {}", quoted(tenant)));
            }
            if block.leak.is_some() || block.fixed {
                return None;
            }
            splices.extend(put(&tokens, block, &condition)?);
        }
        splices.sort_by_key(|(at, _)| *at);
        Some(splices)
    }
}

impl Proof<'_> {
    /// The fenced items of a block that have no condition; nothing when the block names what nobody classified.
    fn open<'b>(&mut self, block: &'b Block) -> Option<Vec<&'b Item>> {
        let mut fenced = Vec::with_capacity(block.items.len());
        for item in &block.items {
            let class = item.table.as_ref().map(|table| self.class(table, item.at)).transpose().ok()?;
            fenced.push(class == Some(Class::Fenced));
        }
        let safe = self.safety(block, &fenced);
        let items = block.items.iter().zip(fenced.iter().zip(&safe));
        Some(items.filter(|(_, (fenced, safe))| **fenced && safe.is_none()).map(|(item, _)| item).collect())
    }
}

/// A token and how many brackets are open around it.
struct Token<'t> {
    start: usize,
    text: &'t [u8],
    depth: usize,
}

/// Brackets stand on the level around them.
fn leveled(text: &str) -> Vec<Token<'_>> {
    let mut open = 0usize;
    let mut tokens = Vec::new();
    for (start, text) in pieces(text) {
        if matches!(text, b")" | b"]") {
            open = open.saturating_sub(1);
        }
        tokens.push(Token { start, text, depth: open });
        if matches!(text, b"(" | b"[") {
            open += 1;
        }
    }
    tokens
}

/// Puts a condition, which begins with AND, behind a block's WHERE, or makes one.
fn put(tokens: &[Token<'_>], block: &Block, condition: &str) -> Option<Vec<(usize, String)>> {
    let anchors = block.items.iter().filter(|item| item.table.is_some() && item.at > 0);
    let anchors = anchors.filter_map(|item| tokens.iter().position(|one| one.start == item.at as usize));
    let anchors = anchors.filter_map(|place| outside(tokens, place));
    let anchor = anchors.min_by_key(|place| (tokens.get(*place).map(|one| one.depth), *place))?;
    let depth = tokens.get(anchor)?.depth;
    let (mut last, mut wheres) = (anchor, None);
    for place in anchor + 1..=tokens.len() {
        let word = |ahead: usize| tokens.get(place + ahead).map(|one| one.text.to_ascii_lowercase());
        let Some(token) = tokens.get(place) else { break };
        if token.depth < depth {
            break;
        }
        let plain = token.depth == depth && tokens.get(place - 1).is_none_or(|before| before.text != b".");
        let now = word(0).unwrap_or_default();
        if plain && ends(&now, word(1).as_deref(), word(2).as_deref()) {
            break;
        }
        if plain && now == b"where" && wheres.replace(place).is_some() {
            return None;
        }
        last = place;
    }
    let end = tokens.get(last).map(|one| one.start + one.text.len())?;
    Some(match wheres {
        None => vec![(end, format!(" WHERE{}", condition.strip_prefix(" AND")?))],
        Some(place) => {
            let behind = tokens.get(place).map(|one| one.start + one.text.len())?;
            vec![(behind, " (".to_owned()), (end, format!("){condition}"))]
        }
    })
}

/// Where the outermost brackets of joins around a table open; the table itself where there are none.
fn outside(tokens: &[Token<'_>], mut place: usize) -> Option<usize> {
    loop {
        let depth = tokens.get(place)?.depth;
        let mut before = tokens.get(..place)?.iter().enumerate().rev();
        // What begins a query stands between its bracket and its tables.
        let found = before.find_map(|(at, token)| match token.text.to_ascii_lowercase().as_slice() {
            b"(" if token.depth < depth => Some(Some(at)),
            b"from" | b"using" | b"update" | b"into" | b"table" if token.depth == depth => Some(None),
            _ => None,
        });
        match found.flatten() {
            Some(bracket) => place = bracket,
            None => return Some(place),
        }
    }
}

/// Whether a clause behind WHERE begins here.
fn ends(word: &[u8], next: Option<&[u8]>, third: Option<&[u8]>) -> bool {
    match word {
        b";" => true,
        b"on" => {
            next == Some(b"conflict".as_slice())
                && third.is_some_and(|word| matches!(word, b"do" | b"(" | b"on"))
        }
        word => CLAUSES.contains(&word),
    }
}

fn named(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Reserved words that begin a clause behind WHERE, or another arm.
const CLAUSES: [&[u8]; 12] = [
    b"group",
    b"having",
    b"window",
    b"union",
    b"intersect",
    b"except",
    b"order",
    b"limit",
    b"offset",
    b"fetch",
    b"for",
    b"returning",
];

#[cfg(test)]
mod tests {
    use crate::{Facts, Login, Policy};
    use clyra_spec::{KillLevel, Verdict};
    use std::sync::Arc;

    const POLICY: &str = "
name: t
version: 1
mode: enforce
callers: [{match: {user: shop}, tenant: it's}]
rules:
  - id: fence
    tenant_fence: {column: tenant_id, tables: [users, orders, secrets], shared: [products], rewrite: [users, orders]}
";

    fn rewritten(sql: &str) -> Option<String> {
        let policy = Policy::parse(POLICY, "t.yaml").unwrap();
        let caller = policy.caller(&Login { user: "shop", database: "", application: "", tenant: None });
        let read = |text: &str| Arc::new(Facts::of_postgres(text.as_bytes()));
        let new = policy.rewrite(&caller, &read(sql), sql, &read)?;
        let facts = Facts::of_postgres(new.as_bytes());
        let said = policy.decide(&caller, &facts, KillLevel::Observe, &|_| None);
        assert_eq!(said.verdict, Verdict::Allow, "{new}: {:?}", said.refusal);
        Some(new)
    }

    #[test]
    fn conditions_are_put_where_they_belong() {
        for (sql, expected) in [
            ("select * from users", "select * from users WHERE @u"),
            ("select * from users;", "select * from users WHERE @u;"),
            ("table users", ""),
            ("select * from users -- all\norder by id", "select * from users WHERE @u -- all\norder by id"),
            (
                "select * from users where id = 1 or true -- x\n limit 3",
                "select * from users where ( id = 1 or true) AND @u -- x\n limit 3",
            ),
            ("select u.where from users u", "select u.where from users u WHERE \"u\".@t"),
            (
                "select * from users U join orders o on o.id = u.id for update",
                "select * from users U join orders o on o.id = u.id WHERE \"u\".@t AND \"o\".@t for update",
            ),
            (
                "select (select count(*) from users) from products",
                "select (select count(*) from users WHERE @u) from products",
            ),
            (
                "select id from users union select id from users group by id",
                "select id from users WHERE @u union select id from users WHERE @u group by id",
            ),
            (
                "select * from users where id in (select id from orders where (id) = (1)) and (true)",
                "select * from users where ( id in (select id from orders where ( (id) = (1)) AND \"orders\".@t) \
                 and (true)) AND @u",
            ),
            (
                "update users set name = 'x' where id = 1 returning id",
                "update users set name = 'x' where ( id = 1) AND @u returning id",
            ),
            (
                "select 1 from products, ((users join products p using (id)) left join (products q join products r \
                 on true) on (true)) where true",
                "select 1 from products, ((users join products p using (id)) left join (products q join products r \
                 on true) on (true)) where ( true) AND @u",
            ),
            (
                "select * from (select 1 from (users join products on true)) s where false",
                "select * from (select 1 from (users join products on true) WHERE @u) s where false",
            ),
            ("delete from users", "delete from users WHERE @u"),
            (
                "insert into products (id) select id from users on conflict do nothing",
                "insert into products (id) select id from users WHERE @u on conflict do nothing",
            ),
        ] {
            let expected = expected.replace("@u", "\"users\".@t").replace("@t", "\"tenant_id\" = 'it''s'");
            assert_eq!(rewritten(sql).unwrap_or_default(), expected, "{sql}");
        }
    }

    #[test]
    fn what_is_in_doubt_stays_as_it_is() {
        for sql in [
            "select * from users where \"users\".tenant_id = 'it''s'",
            "select * from secrets",
            "select * from users left join orders o on o.id = users.id",
            "select * from users full join orders o on true",
            "select * from users where name::int = 1",
            "select * from users as u(a, b)",
            "select * from users where current of c",
            "insert into users (id) values (1)",
            "merge into users u using products p on p.id = u.id when matched then delete",
            "select * from users; select * from users",
            "select * from unknown, users",
        ] {
            assert_eq!(rewritten(sql), None, "{sql}");
        }
    }
}
