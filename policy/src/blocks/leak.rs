//! Finds in a condition what may fail for a value, because an error tells of rows that the condition would leave out;
//! it never says that a condition is wrong.

use super::term::{byte, operator, type_of};
use crate::known;
use pg_raw_parse::Node;
use pg_raw_parse::nodes::{A_Expr, FuncCall};
use pg_raw_parse::raw::A_Expr_Kind;
use pg_raw_parse::walk::{Recurse, walk_manual};

/// The first expression over a column that may fail, as the start of a sentence, and the byte where it stands.
pub(super) fn leak(condition: Node<'_>, fuel: &mut usize) -> Option<(String, u32)> {
    let mut todo = vec![condition];
    while let Some(node) = todo.pop() {
        let Some(left) = fuel.checked_sub(1) else {
            return Some(("a condition too large to read".into(), 0));
        };
        *fuel = left;
        let found = match node {
            Node::None => continue,
            Node::A_Expr(expression) => of_operator(expression, fuel),
            Node::TypeCast(cast) => {
                let text = matches!(type_of(cast), Some("text" | "varchar"));
                (!text && names_column(cast.arg(), fuel))
                    .then(|| ("a cast of a column".to_owned(), byte(cast.location)))
            }
            Node::FuncCall(call) => of_function(call, fuel),
            other if is_quiet(other) => None,
            other => names_column(other, fuel).then(|| ("an expression over a column".to_owned(), 0)),
        };
        if found.is_some() {
            return found;
        }
        children(node, &mut todo);
    }
    None
}

fn children<'a>(node: Node<'a>, todo: &mut Vec<Node<'a>>) {
    walk_manual::<()>(node, |child| {
        todo.push(child);
        Recurse::no()
    });
}

fn of_operator(expression: &A_Expr, fuel: &mut usize) -> Option<(String, u32)> {
    let name = operator(expression.name());
    // A pattern may be no pattern; a value that is looked for in one cannot fail.
    let pattern = matches!(
        expression.kind,
        A_Expr_Kind::AEXPR_LIKE | A_Expr_Kind::AEXPR_ILIKE | A_Expr_Kind::AEXPR_SIMILAR
    ) || name.is_some_and(|name| PATTERNS.contains(&name));
    let found = match name {
        _ if pattern => names_column(expression.rexpr(), fuel),
        Some(name) if QUIET_OPERATORS.contains(&name) => false,
        _ => names_column(expression.lexpr(), fuel) || names_column(expression.rexpr(), fuel),
    };
    found.then(|| (format!("operator `{}` over a column", name.unwrap_or("?")), byte(expression.location)))
}

fn of_function(call: &FuncCall, fuel: &mut usize) -> Option<(String, u32)> {
    let parts: Vec<&str> = call.funcname().iter().filter_map(Node::as_str).collect();
    let name = match parts.as_slice() {
        [name] | ["pg_catalog", name] => *name,
        _ => "",
    };
    // A unit or a time zone that is none is quoted in the error.
    let unit = UNIT_FIRST.contains(&name) && names_column(call.args().first().unwrap_or(Node::None), fuel);
    let quiet =
        !unit && (QUIET_FUNCTIONS.contains(&name) || (!name.contains('.') && known::is_aggregate(name)));
    (!quiet && names_column(Node::FuncCall(call), fuel))
        .then(|| (format!("function `{}` over a column", parts.join(".")), byte(call.location)))
}

fn names_column(node: Node<'_>, fuel: &mut usize) -> bool {
    let mut todo = vec![node];
    while let Some(node) = todo.pop() {
        let Some(left) = fuel.checked_sub(1) else { return true };
        *fuel = left;
        match node {
            Node::None => {}
            Node::ColumnRef(_) => return true,
            other => children(other, &mut todo),
        }
    }
    false
}

/// Nodes that do nothing with a value by themselves.
fn is_quiet(node: Node<'_>) -> bool {
    matches!(
        node,
        Node::NodeList(_)
            | Node::BoolExpr(_)
            | Node::SubLink(_)
            | Node::NullTest(_)
            | Node::BooleanTest(_)
            | Node::CoalesceExpr(_)
            | Node::MinMaxExpr(_)
            | Node::CaseExpr(_)
            | Node::CaseWhen(_)
            | Node::RowExpr(_)
            | Node::A_ArrayExpr(_)
            | Node::A_Indirection(_)
            | Node::A_Indices(_)
            | Node::CollateClause(_)
            | Node::ColumnRef(_)
            | Node::ParamRef(_)
            | Node::A_Const(_)
            | Node::A_Star(_)
            | Node::String(_)
            | Node::Integer(_)
            | Node::Boolean(_)
            | Node::SQLValueFunction(_)
            | Node::SelectStmt(_)
            | Node::ResTarget(_)
            | Node::RangeVar(_)
            | Node::JoinExpr(_)
            | Node::RangeSubselect(_)
            | Node::RangeFunction(_)
            | Node::Alias(_)
            | Node::SortBy(_)
            | Node::WindowDef(_)
            | Node::GroupingSet(_)
            | Node::WithClause(_)
            | Node::CommonTableExpr(_)
            | Node::LockingClause(_)
            | Node::TypeName(_)
            | Node::CurrentOfExpr(_)
    )
}

/// Operators of the server that answer for any value.
const QUIET_OPERATORS: [&str; 22] = [
    "=",
    "<>",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "->",
    "->>",
    "#>",
    "#>>",
    "@>",
    "<@",
    "?",
    "?|",
    "?&",
    "&&",
    "@@",
    "BETWEEN",
    "NOT BETWEEN",
    "BETWEEN SYMMETRIC",
    "NOT BETWEEN SYMMETRIC",
];

/// Operators whose right side is a pattern.
const PATTERNS: [&str; 8] = ["~", "~*", "!~", "!~*", "~~", "!~~", "~~*", "!~~*"];

/// Functions of the server that answer for any value.
const QUIET_FUNCTIONS: [&str; 26] = [
    "lower",
    "upper",
    "initcap",
    "length",
    "char_length",
    "character_length",
    "octet_length",
    "btrim",
    "ltrim",
    "rtrim",
    "left",
    "right",
    "strpos",
    "position",
    "starts_with",
    "reverse",
    "md5",
    "date_trunc",
    "date_part",
    "extract",
    "timezone",
    "isfinite",
    "cardinality",
    "array_length",
    "jsonb_typeof",
    "json_typeof",
];

/// Those whose first argument is a unit or a time zone.
const UNIT_FIRST: [&str; 4] = ["date_trunc", "date_part", "extract", "timezone"];
