//! How many rows a query may answer with, as far as its own text tells; it never trusts what only the server knows.

use super::Answer;
use crate::known;
use pg_raw_parse::nodes::{FetchStmt, SelectStmt};
use pg_raw_parse::raw::{LimitOption, SetOperation};
use pg_raw_parse::{ConstValue, Node};

/// The answer of a statement that is sent for its rows.
pub(crate) fn answer(node: Node<'_>) -> Answer {
    match node {
        Node::SelectStmt(query) if query.into_clause().is_some() => Answer::Nothing,
        Node::SelectStmt(query) => of_query(query, DEPTH_MAX),
        Node::InsertStmt(change) if change.returning_clause().is_some() => match change.select_stmt() {
            Node::SelectStmt(rows) if !rows.values_lists().is_empty() => rows_of(rows),
            _ => Answer::Open(RETURNING),
        },
        Node::UpdateStmt(change) if change.returning_clause().is_some() => Answer::Open(RETURNING),
        Node::DeleteStmt(change) if change.returning_clause().is_some() => Answer::Open(RETURNING),
        Node::MergeStmt(change) if change.returning_clause().is_some() => Answer::Open(RETURNING),
        _ => Answer::Nothing,
    }
}

/// The answer of a FETCH; MOVE shows nothing.
pub(crate) fn fetch(fetch: &FetchStmt) -> Answer {
    if fetch.ismove { Answer::Nothing } else { at_most(fetch.how_many.unsigned_abs()) }
}

fn of_query(query: &SelectStmt, depth: u32) -> Answer {
    let Some(depth) = depth.checked_sub(1) else {
        return Answer::Open("nests too deep for its LIMIT to be seen");
    };
    if !matches!(query.limit_count(), Node::None) {
        return of_limit(query);
    }
    if query.op != SetOperation::SETOP_NONE {
        let sides = [query.larg(), query.rarg()]
            .map(|side| side.map_or(Answer::Nothing, |side| of_query(side, depth)));
        return sides.into_iter().fold(at_most(0), both);
    }
    if !query.values_lists().is_empty() {
        return rows_of(query);
    }
    if query.from_clause().is_empty() || is_aggregate(query) {
        return Answer::AtMost { rows: 1, scalar: true };
    }
    Answer::Open("has no LIMIT")
}

fn of_limit(query: &SelectStmt) -> Answer {
    if query.limit_option == LimitOption::LIMIT_OPTION_WITH_TIES {
        return Answer::Open("has a LIMIT WITH TIES, which may give more");
    }
    match query.limit_count() {
        Node::A_Const(constant) => match constant.val() {
            Some(ConstValue::Integer(rows)) => at_most(u64::try_from(rows).unwrap_or(u64::MAX)),
            Some(ConstValue::Float(rows)) => at_most(rows.parse().unwrap_or(u64::MAX)),
            Some(ConstValue::String(rows)) => at_most(rows.trim().parse().unwrap_or(u64::MAX)),
            _ => Answer::Open("has LIMIT ALL"),
        },
        Node::ParamRef(_) => Answer::Open("has a LIMIT that only Bind gives"),
        _ => Answer::Open("has a LIMIT that is no whole number"),
    }
}

fn rows_of(rows: &SelectStmt) -> Answer {
    at_most(u64::try_from(rows.values_lists().len()).unwrap_or(u64::MAX))
}

fn at_most(rows: u64) -> Answer {
    Answer::AtMost { rows, scalar: false }
}

fn both(one: Answer, other: Answer) -> Answer {
    match (one, other) {
        (Answer::Open(why), _) | (_, Answer::Open(why)) => Answer::Open(why),
        (Answer::AtMost { rows, scalar }, Answer::AtMost { rows: more, scalar: too }) => {
            Answer::AtMost { rows: rows.saturating_add(more), scalar: scalar || too }
        }
        (Answer::Nothing, answer) | (answer, Answer::Nothing) => answer,
    }
}

/// Without GROUP BY, a plain aggregate among the targets makes one row of all.
fn is_aggregate(query: &SelectStmt) -> bool {
    query.group_clause().is_empty()
        && query.target_list().iter().any(|target| match target.val() {
            Node::FuncCall(call) => {
                let name = call.funcname().iter().next_back().and_then(Node::as_str).unwrap_or_default();
                call.over().is_none() && call.funcname().len() <= 2 && known::is_aggregate(name)
            }
            _ => false,
        })
}

const RETURNING: &str = "returns every row that it changes";
const DEPTH_MAX: u32 = 200;
