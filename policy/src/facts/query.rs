//! Walks queries and data changes, with the scopes of their CTEs; it never sees utility statements.

use super::filter;
use super::gather::{Gather, Names, Scope, Stop, name_of, name_of_parts};
use super::{Setting, Target, session};
use crate::detail::unjoined;
use clyra_spec::Verb;
use pg_raw_parse::nodes::{
    DeleteStmt, FuncCall, InsertStmt, MergeStmt, RangeVar, ReturningClause, SelectStmt, UpdateStmt,
    WithClause,
};
use pg_raw_parse::raw::{CmdType, OnConflictAction, SubLinkType};
use pg_raw_parse::walk::{Recurse, walk_manual};
use pg_raw_parse::{Node, list::CastNodeList, list::NodeList};

/// Visits everything on the list of `gather`, until nothing is left.
pub(super) fn drain(gather: &mut Gather<'_>) -> Result<(), Stop> {
    while let Some((node, scope)) = gather.next()? {
        match node {
            Node::SelectStmt(query) => select(gather, query, scope),
            Node::InsertStmt(change) => insert(gather, change, scope)?,
            Node::UpdateStmt(change) => update(gather, change, scope),
            Node::DeleteStmt(change) => delete(gather, change, scope),
            Node::MergeStmt(change) => merge(gather, change, scope),
            Node::RangeVar(table) => gather.read(table, scope)?,
            Node::FuncCall(call) => function(gather, call, scope),
            Node::JoinExpr(join) => {
                gather.details.join(join);
                gather.visit(join.larg(), scope);
                gather.visit(join.rarg(), scope);
                gather.visit(join.quals(), scope);
            }
            Node::NodeList(list) => visit_all(gather, list, scope),
            // Names in a locking clause are aliases, and an alias is no table.
            Node::LockingClause(_) | Node::Alias(_) => {}
            Node::ColumnRef(column) => gather.details.column(column),
            Node::A_Expr(expression) => {
                gather.details.operator(expression.name());
                gather.visit(expression.lexpr(), scope);
                gather.visit(expression.rexpr(), scope);
            }
            Node::SubLink(link) => {
                gather.details.gathers |= link.sub_link_type == SubLinkType::ARRAY_SUBLINK;
                if !link.oper_name().is_empty() {
                    gather.details.operator(link.oper_name());
                }
                gather.visit(link.testexpr(), scope);
                gather.visit(link.subselect(), scope);
            }
            Node::SortBy(by) => {
                if !by.use_op().is_empty() {
                    gather.details.operator(by.use_op());
                }
                gather.visit(by.node(), scope);
            }
            Node::TypeName(name) => gather.details.cast(name),
            Node::A_Indirection(part) => {
                part.indirection()
                    .iter()
                    .filter_map(Node::as_str)
                    .for_each(|name| gather.details.columns.add(name));
                gather.visit(part.arg(), scope);
                visit_all(gather, part.indirection(), scope);
            }
            Node::A_Const(_) | Node::ParamRef(_) | Node::A_Star(_) => {}
            Node::String(_) | Node::Integer(_) | Node::Float(_) | Node::Boolean(_) | Node::BitString(_) => {}
            Node::None => {}
            Node::Invalid(_) => return Err(Stop::Unknown("node")),
            other => children(gather, other, scope),
        }
    }
    Ok(())
}

/// Puts all nodes of a list on the list of those to be visited.
pub(super) fn visit_all<'a>(gather: &mut Gather<'a>, list: &'a NodeList, scope: Scope) {
    for node in list {
        gather.visit(node, scope);
    }
}

/// A table that is written, whether or not a CTE has its name: PostgreSQL never writes to a CTE.
pub(super) fn write(gather: &mut Gather<'_>, table: Option<&RangeVar>) {
    if let Some(table) = table {
        let name = name_of(table);
        gather.details.alias(table, &name);
        gather.writes.add(name);
    }
}

fn children<'a>(gather: &mut Gather<'a>, node: Node<'a>, scope: Scope) {
    walk_manual::<()>(node, |child| {
        gather.visit(child, scope);
        Recurse::no()
    });
}

fn select<'a>(gather: &mut Gather<'a>, query: &'a SelectStmt, scope: Scope) {
    let scope = with(gather, query.with_clause(), scope);
    if let Some(clause) = query.into_clause() {
        gather.note(Verb::Create);
        gather.tag("select_into");
        created(gather, clause.rel());
    }
    if !query.locking_clause().is_empty() {
        gather.also(Verb::Lock);
        gather.tag("locking");
    }
    gather.details.stars(query);
    if gather.details.cross.is_none() {
        gather.details.cross = unjoined(query);
    }
    for list in [
        query.distinct_clause(),
        query.from_clause(),
        query.group_clause(),
        query.window_clause(),
        query.values_lists(),
    ] {
        visit_all(gather, list, scope);
    }
    for node in [query.where_clause(), query.having_clause(), query.limit_offset(), query.limit_count()] {
        gather.visit(node, scope);
    }
    query.target_list().iter().for_each(|target| gather.visit(Node::ResTarget(target), scope));
    query.sort_clause().iter().for_each(|by| gather.visit(Node::SortBy(by), scope));
    for side in [query.larg(), query.rarg()].into_iter().flatten() {
        gather.visit(Node::SelectStmt(side), scope);
    }
}

/// Queries of a WITH clause see the earlier ones of the clause, with RECURSIVE all of them; the body sees all.
fn with<'a>(gather: &mut Gather<'a>, clause: Option<&'a WithClause>, outer: Scope) -> Scope {
    let Some(clause) = clause else { return outer };
    let mut scope = outer;
    if clause.recursive {
        scope = clause.ctes().iter().fold(outer, |scope, cte| gather.scope(scope, cte.ctename()));
    }
    for cte in clause.ctes() {
        let query = cte.ctequery();
        if matches!(
            query,
            Node::InsertStmt(_) | Node::UpdateStmt(_) | Node::DeleteStmt(_) | Node::MergeStmt(_)
        ) {
            gather.tag("cte_write");
        }
        gather.visit(query, scope);
        if let Some(cycle) = cte.cycle_clause() {
            gather.visit(cycle.cycle_mark_value(), scope);
            gather.visit(cycle.cycle_mark_default(), scope);
        }
        if !clause.recursive {
            scope = gather.scope(scope, cte.ctename());
        }
    }
    scope
}

fn insert<'a>(gather: &mut Gather<'a>, change: &'a InsertStmt, scope: Scope) -> Result<(), Stop> {
    gather.note(Verb::Insert);
    write(gather, change.relation());
    let scope = with(gather, change.with_clause(), scope);
    assigned(gather, change.cols());
    visit_all(gather, change.cols(), scope);
    gather.visit(change.select_stmt(), scope);
    returning(gather, change.returning_clause(), change.relation(), scope);
    let Some(conflict) = change.on_conflict_clause() else { return Ok(()) };
    if conflict.action == OnConflictAction::ONCONFLICT_UPDATE {
        gather.also(Verb::Update);
        // Inserting a table into itself makes every row a conflict, so that all of them are updated.
        if let Some(table) = change.relation().filter(|_| matches!(conflict.where_clause(), Node::None))
            && reads_of(change.select_stmt())?.contains(&name_of(table))
        {
            target(gather, Verb::Update, Some(table), Node::None);
        }
    }
    if let Some(infer) = conflict.infer() {
        gather.visit(Node::InferClause(infer), scope);
    }
    targets(gather, conflict.target_list(), scope);
    gather.visit(conflict.where_clause(), scope);
    Ok(())
}

fn reads_of(query: Node<'_>) -> Result<Names, Stop> {
    let mut inner = Gather::new();
    inner.visit(query, super::gather::OUTSIDE);
    drain(&mut inner)?;
    Ok(inner.reads)
}

fn update<'a>(gather: &mut Gather<'a>, change: &'a UpdateStmt, scope: Scope) {
    gather.note(Verb::Update);
    target(gather, Verb::Update, change.relation(), change.where_clause());
    if change.relation().and_then(RangeVar::relname) == Some("pg_settings") {
        // A rule of this view calls set_config.
        gather.settings.push(Setting::Unknown);
    }
    let scope = with(gather, change.with_clause(), scope);
    targets(gather, change.target_list(), scope);
    visit_all(gather, change.from_clause(), scope);
    gather.visit(change.where_clause(), scope);
    if returning(gather, change.returning_clause(), change.relation(), scope) {
        gather.details.all_of(change.from_clause());
    }
}

fn delete<'a>(gather: &mut Gather<'a>, change: &'a DeleteStmt, scope: Scope) {
    gather.note(Verb::Delete);
    target(gather, Verb::Delete, change.relation(), change.where_clause());
    let scope = with(gather, change.with_clause(), scope);
    visit_all(gather, change.using_clause(), scope);
    gather.visit(change.where_clause(), scope);
    if returning(gather, change.returning_clause(), change.relation(), scope) {
        gather.details.all_of(change.using_clause());
    }
}

fn merge<'a>(gather: &mut Gather<'a>, change: &'a MergeStmt, scope: Scope) {
    gather.note(Verb::Merge);
    let scope = with(gather, change.with_clause(), scope);
    let mut touches_rows = false;
    for clause in change.merge_when_clauses() {
        match clause.command_type {
            CmdType::CMD_INSERT => gather.also(Verb::Insert),
            CmdType::CMD_UPDATE => (touches_rows, _) = (true, gather.also(Verb::Update)),
            CmdType::CMD_DELETE => (touches_rows, _) = (true, gather.also(Verb::Delete)),
            _ => {}
        }
        gather.visit(clause.condition(), scope);
        visit_all(gather, clause.target_list(), scope);
        visit_all(gather, clause.values(), scope);
    }
    if touches_rows {
        target(gather, Verb::Merge, change.relation(), change.join_condition());
    } else {
        write(gather, change.relation());
    }
    gather.visit(change.source_relation(), scope);
    gather.visit(change.join_condition(), scope);
    if returning(gather, change.returning_clause(), change.relation(), scope)
        && let Node::RangeVar(source) = change.source_relation()
    {
        gather.details.every_column(source);
    }
}

/// What a change gives back, and whether that is every column of its tables.
fn returning<'a>(
    gather: &mut Gather<'a>,
    clause: Option<&'a ReturningClause>,
    table: Option<&RangeVar>,
    scope: Scope,
) -> bool {
    let Some(clause) = clause else { return false };
    visit_all(gather, clause.exprs(), scope);
    let star = clause.exprs().iter().any(|node| match node {
        Node::ResTarget(target) => match target.val() {
            Node::ColumnRef(column) => matches!(column.fields().first(), Some(Node::A_Star(_))),
            _ => false,
        },
        _ => false,
    });
    if let Some(table) = table.filter(|_| star) {
        gather.details.every_column(table);
    }
    star
}

/// Columns that get a value.
fn assigned(gather: &mut Gather<'_>, list: &NodeList) {
    for node in list {
        if let Node::ResTarget(target) = node {
            target.name().into_iter().for_each(|name| gather.details.columns.add(name));
        }
    }
}

/// A table or view that is made; one for the session alone may stand before another of its name.
pub(super) fn created(gather: &mut Gather<'_>, table: Option<&RangeVar>) {
    write(gather, table);
    let Some(table) = table else { return };
    if table.relpersistence == TEMPORARY || table.schemaname().is_some_and(|name| name.starts_with("pg_temp"))
    {
        gather.details.temporary.add(table.relname().unwrap_or_default());
    }
}

fn targets<'a>(
    gather: &mut Gather<'a>,
    list: &'a CastNodeList<pg_raw_parse::nodes::ResTarget>,
    scope: Scope,
) {
    for target in list {
        target.name().into_iter().for_each(|name| gather.details.columns.add(name));
        gather.visit(Node::ResTarget(target), scope);
    }
}

/// A table whose existing rows are changed, and by what they are chosen.
pub(super) fn target(gather: &mut Gather<'_>, verb: Verb, table: Option<&RangeVar>, filter: Node<'_>) {
    let Some(table) = table else { return };
    let filter = filter::filter(filter, table);
    if !filter.restricts() {
        gather.tag("no_where");
    }
    gather.details.alias(table, &name_of(table));
    gather.targets.push(Target { verb, table: name_of(table).into_boxed_str(), filter });
    gather.writes.add(name_of(table));
}

/// A function call; its arguments are visited, and a change of settings in it is noted.
pub(super) fn function<'a>(gather: &mut Gather<'a>, call: &'a FuncCall, scope: Scope) {
    let name = name_of_parts(call.funcname().iter());
    if name.rsplit('.').next() == Some("set_config") {
        gather.settings.push(session::of_set_config(call));
    }
    gather.functions.add(name);
    visit_all(gather, call.args(), scope);
    call.agg_order().iter().for_each(|by| gather.visit(Node::SortBy(by), scope));
    gather.visit(call.agg_filter(), scope);
    if let Some(window) = call.over() {
        gather.visit(Node::WindowDef(window), scope);
    }
}

/// `relpersistence` of a table for the session alone.
const TEMPORARY: std::ffi::c_char = b't'.cast_signed();
