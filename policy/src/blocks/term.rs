//! Reads columns, values and equalities out of conditions; whatever is not plainly one of them is none.

use super::{Column, Condition, Name, Operand, Value};
use pg_raw_parse::nodes::{A_Const, RangeVar, TypeCast, TypeName};
use pg_raw_parse::raw::{A_Expr_Kind, BoolExprType};
use pg_raw_parse::{ConstValue, Node, list::NodeList};
use std::ops::Range;

/// The equalities at the top level of a condition.
pub(super) fn conditions(
    node: Node<'_>,
    sees: &Range<usize>,
    holds: &Range<usize>,
    depth: u32,
    found: &mut Vec<Condition>,
) {
    // What stands too deep is left out, so that it proves nothing.
    let Some(depth) = depth.checked_sub(1) else { return };
    match node {
        Node::BoolExpr(both) if both.boolop == BoolExprType::AND_EXPR => {
            for part in both.args() {
                conditions(part, sees, holds, depth, found);
            }
        }
        Node::A_Expr(equal) if operator(equal.name()) == Some("=") => {
            let right = match (equal.kind, equal.rexpr()) {
                (A_Expr_Kind::AEXPR_OP, right) => right,
                (A_Expr_Kind::AEXPR_IN, Node::NodeList(list)) if list.len() == 1 => {
                    list.iter().next().unwrap_or(Node::None)
                }
                _ => return,
            };
            let sides = match (column(equal.lexpr()), column(right)) {
                (Some(left), Some(right)) => Some((left, Operand::Column(right))),
                (Some(left), None) => value(right).map(|right| (left, Operand::Value(right))),
                (None, Some(right)) => value(equal.lexpr()).map(|left| (right, Operand::Value(left))),
                (None, None) => None,
            };
            if let Some((left, right)) = sides {
                found.push(Condition { left, right, sees: sees.clone(), holds: holds.clone() });
            }
        }
        _ => {}
    }
}

/// The name of an operator, unless it is another schema's than the server's own.
pub(super) fn operator(parts: &NodeList) -> Option<&str> {
    let mut parts = parts.iter();
    match (parts.next().and_then(Node::as_str), parts.next(), parts.next()) {
        (name, None, None) => name,
        (Some("pg_catalog"), Some(name), None) => name.as_str(),
        _ => None,
    }
}

/// A column that is named and nothing else.
pub(super) fn column(node: Node<'_>) -> Option<Column> {
    let Node::ColumnRef(column) = node else { return None };
    let parts: Option<Vec<&str>> = column.fields().iter().map(Node::as_str).collect();
    match parts?.as_slice() {
        [name] => Some(Column { schema: None, table: None, name: (*name).into() }),
        [table, name] => Some(Column { schema: None, table: Some((*table).into()), name: (*name).into() }),
        [.., schema, table, name] => Some(Column {
            schema: Some((*schema).into()),
            table: Some((*table).into()),
            name: (*name).into(),
        }),
        _ => None,
    }
}

/// A literal or a parameter, seen through casts that change no value.
pub(super) fn value(node: Node<'_>) -> Option<Value> {
    match node {
        Node::A_Const(constant) => literal(constant).map(Value::Literal),
        Node::ParamRef(parameter) => {
            u32::try_from(parameter.number).ok().map(|number| Value::Parameter { number, bare: true })
        }
        Node::TypeCast(cast) if is_exact(cast) => match value(cast.arg()) {
            Some(Value::Parameter { number, bare: true }) => Some(Value::Parameter { number, bare: false }),
            Some(literal @ Value::Literal(_)) if matches!(cast.arg(), Node::A_Const(_)) => Some(literal),
            _ => None,
        },
        _ => None,
    }
}

fn literal(constant: &A_Const) -> Option<Box<str>> {
    match constant.val()? {
        ConstValue::Integer(number) => Some(number.to_string().into()),
        // Whole numbers that do not fit into four bytes come as such.
        ConstValue::Float(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(text.into()),
        ConstValue::String(text) => Some(text.into()),
        _ => None,
    }
}

/// A cast that keeps two different tenants different.
pub(super) fn is_exact(cast: &TypeCast) -> bool {
    cast.type_name().is_some_and(is_exact_type)
}

/// A type of the server's own in which two different tenants stay different.
pub(super) fn is_exact_type(kind: &TypeName) -> bool {
    own_type(kind).is_some_and(|name| ["text", "varchar", "int2", "int4", "int8", "uuid"].contains(&name))
}

/// The name of a cast's type, when it is the server's own and has neither length nor brackets.
pub(super) fn type_of(cast: &TypeCast) -> Option<&str> {
    cast.type_name().and_then(own_type)
}

fn own_type(kind: &TypeName) -> Option<&str> {
    if !kind.typmods().is_empty() || !kind.array_bounds().is_empty() || kind.setof {
        return None;
    }
    let names: Vec<&str> = kind.names().iter().filter_map(|name| name.sval()).collect();
    match names.as_slice() {
        [name] | ["pg_catalog", name] => Some(name),
        _ => None,
    }
}

/// The name of a table; the database in front, which must be the current one, is dropped.
pub(super) fn name_of(table: &RangeVar) -> Name {
    Name { schema: table.schemaname().map(Into::into), name: table.relname().unwrap_or_default().into() }
}

/// A byte of the message; the first one when the parser does not know.
pub(super) fn byte(location: i32) -> u32 {
    u32::try_from(location).unwrap_or(0)
}

/// Deepest ANDs that are looked into.
pub(super) const DEPTH_MAX: u32 = 100;
