//! Whether the server will say how many rows a statement writes, and whether its plan can be asked for; it counts
//! nothing, and it never sees what triggers and cascades do.

use pg_raw_parse::Node;

/// Whether the server tells the rows that a statement writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Written {
    /// It writes none, as far as its text tells.
    #[default]
    Nothing,
    /// The end of its answer tells all of them.
    Counted,
    /// It writes rows that the end of its answer does not tell.
    Unseen(&'static str),
}

/// Whether the planner can be asked what a statement will cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Plan {
    /// It has no plan.
    #[default]
    Nothing,
    /// `EXPLAIN` shows all of it.
    Whole,
    /// It runs plans that `EXPLAIN` does not show.
    Unseen,
}

/// What the end of the answer will tell of the rows written; `cte_write` says that a CTE writes, `runs` that an
/// `EXPLAIN` runs its statement.
pub(crate) fn written(node: Node<'_>, cte_write: bool, runs: bool) -> Written {
    let seen = if cte_write { Written::Unseen("writes in a CTE") } else { Written::Counted };
    match node {
        Node::InsertStmt(_) | Node::UpdateStmt(_) | Node::DeleteStmt(_) | Node::MergeStmt(_) => seen,
        Node::CopyStmt(copy) if copy.is_from => Written::Counted,
        Node::CopyStmt(copy) => match written(copy.query(), cte_write, runs) {
            Written::Nothing => Written::Nothing,
            _ => Written::Unseen("writes in the query of a COPY"),
        },
        Node::SelectStmt(query) if query.into_clause().is_some() => seen,
        Node::SelectStmt(_) | Node::DeclareCursorStmt(_) if cte_write => seen,
        Node::CreateTableAsStmt(_) => seen,
        Node::PrepareStmt(prepare) => written(prepare.query(), cte_write, runs),
        Node::ExplainStmt(explain) if runs => match written(explain.query(), cte_write, runs) {
            Written::Nothing => Written::Nothing,
            _ => Written::Unseen("runs under EXPLAIN"),
        },
        Node::TruncateStmt(_) => Written::Unseen("empties whole tables"),
        Node::CallStmt(_) | Node::DoStmt(_) => Written::Unseen("runs code that may write"),
        _ => Written::Nothing,
    }
}

/// What `EXPLAIN` shows of it; `runs` says that an `EXPLAIN` runs its statement.
pub(crate) fn plan(node: Node<'_>, runs: bool) -> Plan {
    match node {
        Node::SelectStmt(_)
        | Node::InsertStmt(_)
        | Node::UpdateStmt(_)
        | Node::DeleteStmt(_)
        | Node::MergeStmt(_)
        | Node::DeclareCursorStmt(_)
        | Node::CreateTableAsStmt(_) => Plan::Whole,
        Node::PrepareStmt(prepare) => plan(prepare.query(), runs),
        Node::CopyStmt(copy) if !copy.is_from => Plan::Unseen,
        Node::CallStmt(_) | Node::DoStmt(_) => Plan::Unseen,
        Node::ExplainStmt(_) if runs => Plan::Unseen,
        _ => Plan::Nothing,
    }
}
