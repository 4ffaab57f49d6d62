//! What chooses the rows of a change or an answer: conditions, limits, joins without a condition; it never judges.

use crate::Filter;
use crate::detail::Answer;
use sqlparser::ast::{
    BinaryOperator, Expr, JoinConstraint, JoinOperator, LimitClause, Query, Select, SelectItem, SetExpr,
    TableFactor, TopQuantity, UnaryOperator, Value, Visit as _, Visitor,
};
use std::ops::ControlFlow;

/// Reads the condition of a change.
pub(super) fn of(condition: Option<&Expr>) -> Filter {
    match condition {
        None => Filter::None,
        Some(condition) => match truth(condition, DEPTH_MAX) {
            Some(false) => Filter::Rows,
            _ if restricts(condition, DEPTH_MAX) => Filter::Rows,
            _ => Filter::Everything,
        },
    }
}

/// Whether a condition can leave a row out, as far as its words tell.
fn restricts(condition: &Expr, depth: u32) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    match condition {
        Expr::Nested(inner) => restricts(inner, depth),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            restricts(left, depth) || restricts(right, depth)
        }
        Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
            restricts(left, depth) && restricts(right, depth)
        }
        // Most columns that are tested so have no NULL.
        Expr::IsNotNull(_) => false,
        Expr::BinaryOp { left, right, .. } if left == right => false,
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
            truth(expr, depth) != Some(false) && names_column(expr)
        }
        other => truth(other, depth).is_none() && names_column(other),
    }
}

/// What a condition is for every row, where its words tell.
fn truth(condition: &Expr, depth: u32) -> Option<bool> {
    let depth = depth.checked_sub(1)?;
    match condition {
        Expr::Nested(inner) => truth(inner, depth),
        Expr::Value(value) => match &value.value {
            Value::Boolean(truth) => Some(*truth),
            Value::Null => Some(false),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => truth(expr, depth).map(|truth| !truth),
        Expr::BinaryOp { left, op, right } => match op {
            BinaryOperator::And => match (truth(left, depth), truth(right, depth)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), other) | (other, Some(true)) => other,
                _ => None,
            },
            BinaryOperator::Or => match (truth(left, depth), truth(right, depth)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), other) | (other, Some(false)) => other,
                _ => None,
            },
            BinaryOperator::Eq | BinaryOperator::GtEq | BinaryOperator::LtEq if left == right => Some(true),
            BinaryOperator::NotEq | BinaryOperator::Gt | BinaryOperator::Lt if left == right => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn names_column(expression: &Expr) -> bool {
    struct Finder;
    impl Visitor for Finder {
        type Break = ();
        fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<()> {
            match expression {
                Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    expression.visit(&mut Finder).is_break()
}

/// How many rows a query may answer with.
pub(super) fn answer(query: &Query) -> Answer {
    if !query.pipe_operators.is_empty() {
        return Answer::Open("goes on behind a pipe");
    }
    let limit = match &query.limit_clause {
        Some(LimitClause::LimitOffset { limit: Some(limit), limit_by, .. }) if limit_by.is_empty() => {
            whole(limit)
        }
        Some(LimitClause::OffsetCommaLimit { limit, .. }) => whole(limit),
        _ => None,
    };
    let fetched = query.fetch.as_ref().filter(|fetch| !fetch.with_ties && !fetch.percent);
    let fetched = fetched.and_then(|fetch| fetch.quantity.as_ref()).and_then(whole);
    let select = if let SetExpr::Select(select) = &*query.body { Some(select) } else { None };
    let top = select.and_then(|select| select.top.as_ref()).filter(|top| !top.with_ties && !top.percent);
    let top = top.and_then(|top| match &top.quantity {
        Some(TopQuantity::Constant(rows)) => Some(*rows),
        Some(TopQuantity::Expr(expression)) => whole(expression),
        None => None,
    });
    match limit.or(fetched).or(top) {
        Some(rows) => Answer::AtMost { rows, scalar: false },
        None if select.is_some_and(|select| select.from.is_empty()) => {
            Answer::AtMost { rows: 1, scalar: true }
        }
        None => Answer::Open("has no LIMIT with a whole number"),
    }
}

fn whole(expression: &Expr) -> Option<u64> {
    match expression {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.to_string().parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// Two tables that are joined without a condition between them, where the words of a block show it.
pub(super) fn unjoined(select: &Select) -> Option<Box<str>> {
    let follows = |factor: &TableFactor| match factor {
        TableFactor::Table { args, .. } => args.is_some(),
        TableFactor::Derived { lateral, .. } => *lateral,
        TableFactor::NestedJoin { .. } => false,
        TableFactor::Pivot { .. } | TableFactor::Unpivot { .. } => false,
        _ => true,
    };
    for item in &select.from {
        for join in &item.joins {
            let bare = matches!(
                &join.join_operator,
                JoinOperator::CrossJoin(JoinConstraint::None)
                    | JoinOperator::Join(JoinConstraint::None)
                    | JoinOperator::Inner(JoinConstraint::None)
            );
            let constant = matches!(&join.join_operator, JoinOperator::Join(JoinConstraint::On(on))
                | JoinOperator::Inner(JoinConstraint::On(on)) if !names_column(on));
            if (bare || constant) && !follows(&join.relation) {
                return Some("two tables".into());
            }
        }
    }
    let apart = select.from.iter().filter(|item| !follows(&item.relation)).count();
    (apart > 1 && !select.selection.as_ref().is_some_and(|on| links(on, DEPTH_MAX)))
        .then(|| "two tables".into())
}

/// Whether a top-level condition compares two columns.
fn links(condition: &Expr, depth: u32) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    match condition {
        Expr::Nested(inner) => links(inner, depth),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => links(left, depth) || links(right, depth),
        Expr::BinaryOp { op: BinaryOperator::Or, .. } => false,
        Expr::BinaryOp { left, right, .. } => names_column(left) && names_column(right) && left != right,
        _ => false,
    }
}

/// Whether every column of something is among what a block gives.
pub(super) fn has_star(items: &[SelectItem]) -> bool {
    items.iter().any(|item| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)))
}

const DEPTH_MAX: u32 = 2_000;
