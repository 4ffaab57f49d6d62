//! Walks one statement after the other and takes its blocks and changes apart; it never recurses over queries.

use super::from::{self, JOINS_MAX};
use super::term::{DEPTH_MAX, byte, column, conditions, is_exact, is_exact_type, name_of, value};
use super::{Block, Change, Columns, Does, Name, Reading, Use, Value, leak};
use pg_raw_parse::Node;
use pg_raw_parse::nodes::{
    CopyStmt, DeleteStmt, InsertStmt, MergeStmt, OnConflictClause, RangeVar, ResTarget, ReturningClause,
    SelectStmt, UpdateStmt, WithClause,
};
use pg_raw_parse::raw::{CmdType, MergeMatchKind, OnConflictAction, SetOperation};
use pg_raw_parse::walk::{Recurse, walk_manual};

/// An index into the list of scopes; 0 is the one in which no CTE is visible.
pub(super) type Scope = usize;

/// Reads all statements of a message.
pub(super) fn read(text: &str) -> Box<[Reading]> {
    let Ok(tree) = pg_raw_parse::parse(text) else { return Box::default() };
    tree.iter()
        .map(|raw| {
            let mut walk = Walk::new();
            let start = usize::try_from(raw.stmt_location).unwrap_or(0);
            let part = text.get(start..).unwrap_or_default();
            let blank = part.len() - part.trim_start().len();
            walk.reading.start = u32::try_from(start + blank).unwrap_or(u32::MAX);
            walk.statement(raw.stmt());
            walk.drain();
            walk.reading
        })
        .collect()
}

pub(super) struct Walk<'a> {
    reading: Reading,
    todo: Vec<(Node<'a>, Scope)>,
    scopes: Vec<(Scope, Option<&'a str>)>,
    pub(super) fuel: usize,
}

impl<'a> Walk<'a> {
    fn new() -> Self {
        Self { reading: Reading::default(), todo: Vec::new(), scopes: vec![(0, None)], fuel: STEPS_MAX }
    }

    pub(super) fn visit(&mut self, node: Node<'a>, scope: Scope) {
        if !matches!(node, Node::None) {
            self.todo.push((node, scope));
        }
    }

    pub(super) fn children(&mut self, node: Node<'a>, scope: Scope) {
        walk_manual::<()>(node, |child| {
            self.visit(child, scope);
            Recurse::no()
        });
    }

    pub(super) fn refuse(&mut self, what: &str, at: u32) {
        self.reading.refused.get_or_insert_with(|| (what.to_owned(), at));
    }

    /// Whether a CTE in sight has this name. In doubt it does not, and the name is a table's.
    pub(super) fn hides(&mut self, name: Option<&str>, mut scope: Scope) -> bool {
        while let Some((outer, cte)) = self.scopes.get(scope).copied().filter(|_| scope != 0) {
            self.fuel = self.fuel.saturating_sub(1);
            if self.fuel == 0 {
                self.refuse("more work than one statement may cost", 0);
                return false;
            }
            if cte.is_some() && cte == name {
                return true;
            }
            scope = outer;
        }
        false
    }

    fn scope(&mut self, outer: Scope, name: Option<&'a str>) -> Scope {
        self.scopes.push((outer, name));
        self.scopes.len() - 1
    }

    fn statement(&mut self, node: Node<'a>) {
        match node {
            Node::None
            | Node::TransactionStmt(_)
            | Node::VariableShowStmt(_)
            | Node::VariableSetStmt(_)
            | Node::DiscardStmt(_)
            | Node::ConstraintsSetStmt(_)
            | Node::DeallocateStmt(_)
            | Node::FetchStmt(_)
            | Node::ClosePortalStmt(_)
            | Node::ListenStmt(_)
            | Node::UnlistenStmt(_)
            | Node::NotifyStmt(_) => {}
            Node::SelectStmt(_)
            | Node::InsertStmt(_)
            | Node::UpdateStmt(_)
            | Node::DeleteStmt(_)
            | Node::MergeStmt(_) => self.visit(node, 0),
            Node::ExplainStmt(explain) => self.statement(explain.query()),
            Node::PrepareStmt(prepare) => {
                self.reading.declared = prepare.argtypes().iter().map(is_exact_type).collect();
                self.statement(prepare.query());
            }
            Node::DeclareCursorStmt(cursor) => self.visit(cursor.query(), 0),
            Node::ExecuteStmt(execute) => {
                for argument in execute.params() {
                    self.reading.arguments.push(match value(argument) {
                        Some(Value::Literal(text)) => Some(text),
                        _ => None,
                    });
                    self.visit(argument, 0);
                }
            }
            Node::CopyStmt(copy) => self.copy(copy),
            Node::LockStmt(lock) => {
                for table in lock.relations() {
                    match table {
                        Node::RangeVar(table) => self.whole(Some(table)),
                        _ => self.refuse("LOCK", 0),
                    }
                }
            }
            _ => self.refuse("a statement whose rows cannot be told", 0),
        }
    }

    fn copy(&mut self, copy: &'a CopyStmt) {
        if copy.is_program || copy.filename().is_some() {
            self.refuse("COPY of a file or program", 0);
        }
        self.whole(copy.relation());
        self.visit(copy.query(), 0);
        self.visit(copy.where_clause(), 0);
    }

    fn whole(&mut self, table: Option<&RangeVar>) {
        if let Some(table) = table {
            self.reading.wholes.push((name_of(table), byte(table.location)));
        }
    }

    fn drain(&mut self) {
        while let Some((node, scope)) = self.todo.pop() {
            self.fuel = self.fuel.saturating_sub(1);
            if self.fuel == 0 {
                return self.refuse("more work than one statement may cost", 0);
            }
            match node {
                Node::SelectStmt(query) => self.select(query, scope),
                Node::InsertStmt(change) => self.insert(change, scope),
                Node::UpdateStmt(change) => self.update(change, scope),
                Node::DeleteStmt(change) => self.delete(change, scope),
                Node::MergeStmt(change) => self.merge(change, scope),
                Node::FuncCall(call) => {
                    let parts: Vec<&str> = call.funcname().iter().filter_map(Node::as_str).collect();
                    let name = parts.last().copied().unwrap_or_default().into();
                    let schema = parts.iter().rev().nth(1).map(|part| (*part).into());
                    self.reading.functions.push((Name { schema, name }, byte(call.location)));
                    self.children(node, scope);
                }
                Node::ParamRef(parameter) => self.used(parameter.number, true),
                Node::TypeCast(cast) => match cast.arg() {
                    Node::ParamRef(parameter) if is_exact(cast) => self.used(parameter.number, false),
                    _ => self.children(node, scope),
                },
                // Tables stand in FROM or are targets, both of which are read where they stand.
                Node::RangeVar(_) | Node::JoinExpr(_) | Node::RangeSubselect(_) => {
                    self.refuse("a table where none is expected", 0);
                }
                Node::LockingClause(_) | Node::Alias(_) | Node::ColumnRef(_) | Node::A_Const(_) => {}
                Node::Invalid(_) => self.refuse("a node that has no reading", 0),
                other => self.children(other, scope),
            }
        }
    }

    fn used(&mut self, number: i32, bare: bool) {
        if let Ok(number) = u32::try_from(number) {
            self.reading.uses.push(Use { number, bare });
        }
    }

    fn select(&mut self, query: &'a SelectStmt, scope: Scope) {
        let scope = self.with(query.with_clause(), scope);
        if query.into_clause().is_some() {
            self.refuse("SELECT INTO", 0);
        }
        if query.op == SetOperation::SETOP_NONE {
            let mut block = Block::default();
            for item in query.from_clause() {
                from::item(self, &mut block, item, scope, JOINS_MAX);
            }
            from::filter(self, &mut block, query.where_clause(), scope);
            self.reading.blocks.push(block);
        }
        for list in
            [query.distinct_clause(), query.group_clause(), query.window_clause(), query.values_lists()]
        {
            list.iter().for_each(|node| self.visit(node, scope));
        }
        for node in [query.having_clause(), query.limit_offset(), query.limit_count()] {
            self.visit(node, scope);
        }
        query.target_list().iter().for_each(|target| self.visit(target.val(), scope));
        query.sort_clause().iter().for_each(|by| self.visit(by.node(), scope));
        for side in [query.larg(), query.rarg()].into_iter().flatten() {
            self.visit(Node::SelectStmt(side), scope);
        }
    }

    /// Queries of a WITH see the earlier ones of it, with RECURSIVE all of them; the body sees all.
    fn with(&mut self, clause: Option<&'a WithClause>, outer: Scope) -> Scope {
        let Some(clause) = clause else { return outer };
        let mut scope = outer;
        if clause.recursive {
            scope = clause.ctes().iter().fold(outer, |scope, cte| self.scope(scope, cte.ctename()));
        }
        for cte in clause.ctes() {
            self.visit(cte.ctequery(), scope);
            if let Some(cycle) = cte.cycle_clause() {
                self.visit(cycle.cycle_mark_value(), scope);
                self.visit(cycle.cycle_mark_default(), scope);
            }
            if !clause.recursive {
                scope = self.scope(scope, cte.ctename());
            }
        }
        scope
    }

    fn change(&mut self, table: Option<&RangeVar>, does: Does) {
        match table {
            Some(table) => {
                let (name, at) = (name_of(table), byte(table.location));
                self.reading.changes.push(Change { table: name, at, does });
            }
            None => self.refuse("a change of no table", 0),
        }
    }

    fn returning(&mut self, clause: Option<&'a ReturningClause>, scope: Scope) {
        if let Some(clause) = clause {
            clause.exprs().iter().for_each(|node| self.visit(node, scope));
        }
    }

    fn update(&mut self, change: &'a UpdateStmt, scope: Scope) {
        let scope = self.with(change.with_clause(), scope);
        let mut block = self.targeted(change.relation());
        for item in change.from_clause() {
            from::item(self, &mut block, item, scope, JOINS_MAX);
        }
        from::filter(self, &mut block, change.where_clause(), scope);
        self.reading.blocks.push(block);
        let sets = self.sets(change.target_list().iter(), scope);
        self.change(change.relation(), Does::Rows(sets));
        self.returning(change.returning_clause(), scope);
    }

    fn delete(&mut self, change: &'a DeleteStmt, scope: Scope) {
        let scope = self.with(change.with_clause(), scope);
        let mut block = self.targeted(change.relation());
        for item in change.using_clause() {
            from::item(self, &mut block, item, scope, JOINS_MAX);
        }
        from::filter(self, &mut block, change.where_clause(), scope);
        self.reading.blocks.push(block);
        self.change(change.relation(), Does::Rows(Vec::new()));
        self.returning(change.returning_clause(), scope);
    }

    /// A block that begins with the target of a change, which is never a CTE.
    fn targeted(&mut self, table: Option<&RangeVar>) -> Block {
        let mut block = Block::default();
        block.items.extend(table.map(|table| from::of_table(table, true)));
        block
    }

    /// What is assigned, each with its value where that is a plain one.
    fn sets(
        &mut self,
        targets: impl Iterator<Item = &'a ResTarget>,
        scope: Scope,
    ) -> Vec<(Box<str>, Option<Value>)> {
        targets
            .map(|target| {
                self.visit(target.val(), scope);
                let whole = target.indirection().is_empty();
                (target.name().unwrap_or_default().into(), value(target.val()).filter(|_| whole))
            })
            .collect()
    }

    fn insert(&mut self, change: &'a InsertStmt, scope: Scope) {
        let scope = self.with(change.with_clause(), scope);
        let listed: Vec<&'a ResTarget> = change
            .cols()
            .iter()
            .filter_map(|node| if let Node::ResTarget(target) = node { Some(target) } else { None })
            .collect();
        let columns = (!listed.is_empty()).then(|| columns(&listed, change.select_stmt()));
        self.change(change.relation(), Does::Insert(columns));
        self.visit(change.select_stmt(), scope);
        self.returning(change.returning_clause(), scope);
        if let Some(conflict) = change.on_conflict_clause() {
            self.conflict(change.relation(), conflict, scope);
        }
    }

    fn conflict(&mut self, table: Option<&'a RangeVar>, conflict: &'a OnConflictClause, scope: Scope) {
        if let Some(infer) = conflict.infer() {
            self.children(Node::InferClause(infer), scope);
        }
        let sets = self.sets(conflict.target_list().iter(), scope);
        self.visit(conflict.where_clause(), scope);
        if conflict.action != OnConflictAction::ONCONFLICT_UPDATE {
            return;
        }
        let mut found = Vec::new();
        conditions(conflict.where_clause(), &(0..1), &(0..1), DEPTH_MAX, &mut found);
        let leak = leak::leak(conflict.where_clause(), &mut self.fuel).is_some();
        let alias = table.map(|table| from::of_table(table, true).alias).unwrap_or_default();
        self.change(table, Does::Conflict { alias, sets, conditions: found, leak });
    }

    fn merge(&mut self, change: &'a MergeStmt, scope: Scope) {
        let scope = self.with(change.with_clause(), scope);
        // The source is kept where the target has no row for it, as by a left join.
        let mut block = Block { fixed: true, ..Block::default() };
        from::item(self, &mut block, change.source_relation(), scope, JOINS_MAX);
        let target = block.items.len();
        block.items.extend(change.relation().map(|table| from::of_table(table, true)));
        let end = block.items.len();
        let on = change.join_condition();
        conditions(on, &(0..end), &(target..end), DEPTH_MAX, &mut block.conditions);
        from::note_leak(self, &mut block, on);
        self.visit(on, scope);
        self.reading.blocks.push(block);
        for clause in change.merge_when_clauses() {
            if clause.match_kind == MergeMatchKind::MERGE_WHEN_NOT_MATCHED_BY_SOURCE {
                self.refuse("MERGE of rows that match no source", 0);
            }
            self.visit(clause.condition(), scope);
            let targets: Vec<&'a ResTarget> = clause
                .target_list()
                .iter()
                .filter_map(|node| if let Node::ResTarget(target) = node { Some(target) } else { None })
                .collect();
            clause.values().iter().for_each(|node| self.visit(node, scope));
            match clause.command_type {
                CmdType::CMD_INSERT => {
                    let row: Vec<Node<'a>> = clause.values().iter().collect();
                    let columns = (!targets.is_empty()).then(|| of_rows(&targets, &[row]));
                    self.change(change.relation(), Does::Insert(columns));
                }
                CmdType::CMD_UPDATE => {
                    let sets = self.sets(targets.into_iter(), scope);
                    self.change(change.relation(), Does::Rows(sets));
                }
                CmdType::CMD_DELETE => self.change(change.relation(), Does::Rows(Vec::new())),
                _ => {}
            }
        }
        self.returning(change.returning_clause(), scope);
    }
}

/// The listed columns of an INSERT with the values that its query gives them.
fn columns(listed: &[&ResTarget], query: Node<'_>) -> Columns {
    let mut rows = Vec::new();
    let mut todo = vec![query];
    while let Some(node) = todo.pop() {
        let Node::SelectStmt(query) = node else { return none(listed) };
        if query.op != SetOperation::SETOP_NONE {
            todo.extend([query.larg(), query.rarg()].into_iter().flatten().map(Node::SelectStmt));
        } else if query.values_lists().is_empty() {
            // A star stands for any number of columns; what comes behind it has no place.
            let targets = query.target_list().iter().map(|target| target.val());
            rows.push(targets.take_while(|node| !is_star(*node)).collect());
        } else {
            for row in query.values_lists() {
                let Node::NodeList(row) = row else { return none(listed) };
                rows.push(row.iter().collect());
            }
        }
    }
    of_rows(listed, &rows)
}

fn none(listed: &[&ResTarget]) -> Columns {
    listed.iter().map(|target| (target.name().unwrap_or_default().into(), None)).collect()
}

fn of_rows(listed: &[&ResTarget], rows: &[Vec<Node<'_>>]) -> Columns {
    let values = |place: usize| {
        let mut values: Vec<Value> = Vec::new();
        for row in rows {
            let value = row.get(place).and_then(|node| value(*node))?;
            // Only the last one is compared: a column of equal values stays small.
            if values.last() != Some(&value) {
                values.push(value);
            }
        }
        (values.len() <= VALUES_MAX).then_some(values)
    };
    let column = |(place, target): (usize, &&ResTarget)| {
        let plain = target.indirection().is_empty();
        (target.name().unwrap_or_default().into(), values(place).filter(|_| plain))
    };
    listed.iter().enumerate().map(column).collect()
}

fn is_star(node: Node<'_>) -> bool {
    match node {
        Node::ColumnRef(_) => column(node).is_none(),
        // `(row).*`
        Node::A_Indirection(inner) => inner.indirection().iter().any(|part| matches!(part, Node::A_Star(_))),
        _ => false,
    }
}

const STEPS_MAX: usize = 20_000_000;
/// Most values of one column that are kept.
const VALUES_MAX: usize = 10_000;
