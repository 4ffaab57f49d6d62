//! Finds tables that a query joins without a condition between them; it never knows what the columns mean.

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{JoinExpr, SelectStmt};
use pg_raw_parse::raw::{BoolExprType, JoinType};
use pg_raw_parse::walk::{Recurse, walk_manual};

/// Two items of the FROM clause without a condition between them, named for a message.
pub(crate) fn unjoined(query: &SelectStmt) -> Option<Box<str>> {
    if query.from_clause().len() < 2 && !matches!(query.from_clause().first(), Some(Node::JoinExpr(_))) {
        return None;
    }
    let mut items: Vec<Item<'_>> = Vec::new();
    for node in query.from_clause() {
        if let Some(found) = item(node, &mut items, DEPTH_MAX) {
            return Some(found);
        }
    }
    // What a function or a LATERAL query gives hangs on the row beside it.
    items.retain(|item| !item.follows);
    if items.len() < 2 {
        return None;
    }
    let mut groups: Vec<usize> = (0..items.len()).collect();
    let mut steps = STEPS_MAX;
    link(query.where_clause(), &items, &mut groups, &mut steps);
    let first = groups.first().copied()?;
    let apart = groups.iter().position(|group| *group != first)?;
    let name = |at: usize| items.get(at).and_then(|item| item.names.first().copied()).unwrap_or("a subquery");
    Some(format!("{} and {}", name(0), name(apart)).into())
}

/// One item of a FROM clause: the names under which its columns can be called.
struct Item<'q> {
    names: Vec<&'q str>,
    follows: bool,
}

fn item<'q>(node: Node<'q>, items: &mut Vec<Item<'q>>, depth: u32) -> Option<Box<str>> {
    let mut names = Vec::new();
    let found = collect(node, &mut names, depth);
    let follows = match node {
        Node::RangeFunction(_) | Node::RangeTableFunc(_) | Node::JsonTable(_) => true,
        Node::RangeSubselect(query) => query.lateral,
        _ => false,
    };
    items.push(Item { names, follows });
    found
}

/// Gathers names, and finds a join inside that has no condition.
fn collect<'q>(node: Node<'q>, names: &mut Vec<&'q str>, depth: u32) -> Option<Box<str>> {
    let depth = depth.checked_sub(1)?;
    match node {
        Node::RangeVar(table) => {
            names.extend(table.alias().and_then(|alias| alias.aliasname()).or(table.relname()));
            None
        }
        Node::RangeSubselect(query) => {
            names.extend(query.alias().and_then(|alias| alias.aliasname()));
            None
        }
        Node::RangeFunction(function) => {
            names.extend(function.alias().and_then(|alias| alias.aliasname()));
            None
        }
        Node::RangeTableSample(sample) => collect(sample.relation(), names, depth),
        Node::JoinExpr(join) => {
            let before = names.len();
            let inner = collect(join.larg(), names, depth);
            let left = names.get(before..).and_then(<[_]>::first).copied().unwrap_or("a subquery");
            let middle = names.len();
            let inner = inner.or_else(|| collect(join.rarg(), names, depth));
            let right = names.get(middle..).and_then(<[_]>::first).copied().unwrap_or("a subquery");
            inner.or_else(|| lacks_condition(join).then(|| format!("{left} and {right}").into()))
        }
        _ => None,
    }
}

fn lacks_condition(join: &JoinExpr) -> bool {
    let follows = match join.rarg() {
        Node::RangeFunction(_) | Node::RangeTableFunc(_) | Node::JsonTable(_) => true,
        Node::RangeSubselect(query) => query.lateral,
        _ => false,
    };
    let inner = join.jointype == JoinType::JOIN_INNER && matches!(join.quals(), Node::None);
    let constant = !matches!(join.quals(), Node::None) && !names_column(join.quals());
    !follows && !join.is_natural && join.using_clause().is_empty() && (inner || constant)
}

fn names_column(node: Node<'_>) -> bool {
    let (mut todo, mut steps) = (vec![node], STEPS_MAX);
    while let Some(node) = todo.pop() {
        if matches!(node, Node::ColumnRef(_)) || steps == 0 {
            return true;
        }
        steps -= 1;
        children(node, &mut todo);
    }
    false
}

/// Joins the groups of all items that one condition mentions.
fn link(node: Node<'_>, items: &[Item<'_>], groups: &mut [usize], steps: &mut u32) {
    let mut todo = vec![node];
    while let Some(node) = todo.pop() {
        match node {
            Node::BoolExpr(all) if all.boolop == BoolExprType::AND_EXPR => todo.extend(all.args()),
            // A choice binds two items only if each of its arms does.
            Node::BoolExpr(any) if any.boolop == BoolExprType::OR_EXPR => {
                let arms = any.args().iter().map(|arm| {
                    let mut mentioned = Vec::new();
                    mentions(arm, items, &mut mentioned, steps);
                    mentioned
                });
                let shared =
                    arms.reduce(|all, arm| all.into_iter().filter(|item| arm.contains(item)).collect());
                merge(groups, &shared.unwrap_or_default());
            }
            Node::None => {}
            condition => {
                let mut mentioned = Vec::new();
                let bare = mentions(condition, items, &mut mentioned, steps);
                // A bare column of a comparison between two items belongs to the other one.
                if bare && items.len() == 2 {
                    mentioned = vec![0, 1];
                }
                merge(groups, &mentioned);
            }
        }
    }
}

fn merge(groups: &mut [usize], mentioned: &[usize]) {
    let Some(target) = mentioned.first().and_then(|item| groups.get(*item)).copied() else { return };
    for item in mentioned {
        let Some(source) = groups.get(*item).copied() else { continue };
        groups.iter_mut().filter(|group| **group == source).for_each(|group| *group = target);
    }
}

/// Items that a condition mentions, and whether it compares a bare column with another column.
fn mentions(node: Node<'_>, items: &[Item<'_>], found: &mut Vec<usize>, steps: &mut u32) -> bool {
    let (mut todo, mut bare, mut columns) = (vec![node], false, 0);
    while let Some(node) = todo.pop() {
        let Some(left) = steps.checked_sub(1) else { return true };
        *steps = left;
        if let Node::ColumnRef(column) = node {
            columns += 1;
            match column.fields().iter().rev().nth(1).and_then(Node::as_str) {
                Some(name) => {
                    let places = items.iter().enumerate().filter(|(_, item)| item.names.contains(&name));
                    found.extend(places.map(|(place, _)| place));
                }
                None => bare = true,
            }
            continue;
        }
        children(node, &mut todo);
    }
    bare && columns > 1
}

fn children<'q>(node: Node<'q>, todo: &mut Vec<Node<'q>>) {
    if !matches!(node, Node::None) {
        walk_manual::<()>(node, |child| {
            todo.push(child);
            Recurse::no()
        });
    }
}

const DEPTH_MAX: u32 = 200;
const STEPS_MAX: u32 = 10_000;
