//! Reads the FROM of a block: its items, and what the conditions of its joins hold; it never reads subqueries.

use super::term::{DEPTH_MAX, byte, conditions, name_of};
use super::walk::{Scope, Walk};
use super::{Block, Item, leak};
use pg_raw_parse::Node;
use pg_raw_parse::nodes::{Alias, JoinExpr, RangeVar};
use pg_raw_parse::raw::JoinType;

/// Adds an item, or a join with all of its items, to the block.
pub(super) fn item<'a>(walk: &mut Walk<'a>, block: &mut Block, node: Node<'a>, scope: Scope, depth: u32) {
    let Some(depth) = depth.checked_sub(1) else {
        return walk.refuse("joins nested too deep to read", 0);
    };
    match node {
        Node::RangeVar(table) => {
            let hidden = table.schemaname().is_none() && walk.hides(table.relname(), scope);
            block.items.push(of_table(table, !hidden));
        }
        Node::JoinExpr(join) => self::join(walk, block, join, scope, depth),
        Node::RangeSubselect(query) => {
            block.items.push(derived(query.alias()));
            walk.visit(query.subquery(), scope);
            // A lateral query may become a part of the condition around it.
            if query.lateral {
                note_leak(walk, block, query.subquery());
            }
        }
        Node::RangeFunction(function) => {
            block.items.push(derived(function.alias()));
            for part in function.functions() {
                walk.visit(part, scope);
            }
        }
        Node::RangeTableFunc(table) => {
            block.items.push(derived(table.alias()));
            walk.children(node, scope);
        }
        Node::JsonTable(table) => {
            block.items.push(derived(table.alias()));
            walk.children(node, scope);
        }
        Node::RangeTableSample(sample) => {
            let first = block.items.len();
            item(walk, block, sample.relation(), scope, depth);
            block.items.iter_mut().skip(first).for_each(|one| one.veiled = true);
            for part in sample.args() {
                walk.visit(part, scope);
            }
            walk.visit(sample.repeatable(), scope);
        }
        Node::None => {}
        _ => walk.refuse("an item of FROM that has no reading", 0),
    }
}

/// The item of a table.
pub(super) fn of_table(table: &RangeVar, is_table: bool) -> Item {
    let alias = table.alias().and_then(Alias::aliasname).or_else(|| table.relname());
    Item {
        table: is_table.then(|| name_of(table)),
        alias: alias.unwrap_or_default().into(),
        veiled: renames(table.alias()),
        nullable: false,
        at: byte(table.location),
    }
}

fn renames(alias: Option<&Alias>) -> bool {
    alias.is_some_and(|alias| !alias.colnames().is_empty())
}

fn derived(alias: Option<&Alias>) -> Item {
    let alias = alias.and_then(Alias::aliasname).unwrap_or_default().into();
    Item { table: None, alias, veiled: true, nullable: false, at: 0 }
}

fn join<'a>(walk: &mut Walk<'a>, block: &mut Block, join: &'a JoinExpr, scope: Scope, depth: u32) {
    let first = block.items.len();
    item(walk, block, join.larg(), scope, depth);
    let middle = block.items.len();
    item(walk, block, join.rarg(), scope, depth);
    let end = block.items.len();
    block.merges |= join.is_natural || !join.using_clause().is_empty();
    let missing = match join.jointype {
        JoinType::JOIN_INNER => end..end,
        JoinType::JOIN_LEFT => middle..end,
        JoinType::JOIN_RIGHT => first..middle,
        _ => first..end,
    };
    block.items.get_mut(missing).into_iter().flatten().for_each(|item| item.nullable = true);
    // The ON of an outer join filters only the side that may be missing; that of a full join filters none.
    let holds = match join.jointype {
        JoinType::JOIN_INNER => first..end,
        JoinType::JOIN_LEFT => middle..end,
        JoinType::JOIN_RIGHT => first..middle,
        _ => end..end,
    };
    conditions(join.quals(), &(first..end), &holds, DEPTH_MAX, &mut block.conditions);
    note_leak(walk, block, join.quals());
    walk.visit(join.quals(), scope);
    if join.alias().is_some() {
        block.items.iter_mut().skip(first).for_each(|one| one.veiled = true);
    }
}

/// Reads the WHERE of a block.
pub(super) fn filter<'a>(walk: &mut Walk<'a>, block: &mut Block, node: Node<'a>, scope: Scope) {
    let all = 0..block.items.len();
    conditions(node, &all, &all, DEPTH_MAX, &mut block.conditions);
    note_leak(walk, block, node);
    walk.visit(node, scope);
}

/// Notes what may fail in a condition of the block.
pub(super) fn note_leak(walk: &mut Walk<'_>, block: &mut Block, node: Node<'_>) {
    if block.leak.is_none() {
        block.leak = leak::leak(node, &mut walk.fuel);
    }
}

/// Deepest joins that are read.
pub(super) const JOINS_MAX: u32 = 200;
