//! Reads every statement that is no query: what it does and which tables it is about; unknown kinds stop it.

use super::gather::{Gather, OUTSIDE, Stop, all_of, name_of_parts};
use super::query::{created, drain, function, target, visit_all, write};
use super::{Setting, define, session};
use crate::detail::{self, Answer};
use clyra_spec::Verb;
use pg_raw_parse::Node;
use pg_raw_parse::nodes::{CopyStmt, DefElem, ExplainStmt, RangeVar, TransactionStmt, VacuumStmt};
use pg_raw_parse::raw::{DiscardMode, TransactionStmtKind as Tx};

/// Reads one whole statement.
pub(super) fn statement<'a>(gather: &mut Gather<'a>, node: Node<'a>) -> Result<(), Stop> {
    match node {
        Node::None => gather.note(Verb::Empty),
        Node::SelectStmt(_) => {
            gather.note(Verb::Select);
            gather.details.answer = detail::answer(node);
            gather.visit(node, OUTSIDE);
        }
        Node::InsertStmt(_) | Node::UpdateStmt(_) | Node::DeleteStmt(_) | Node::MergeStmt(_) => {
            gather.details.answer = detail::answer(node);
            gather.visit(node, OUTSIDE);
        }
        Node::ExplainStmt(explain) => return self::explain(gather, explain),
        Node::CopyStmt(copy) => self::copy(gather, copy),
        Node::CreateTableAsStmt(create) => {
            gather.note(Verb::Create);
            if let Some(clause) = create.into() {
                created(gather, clause.rel());
            }
            match create.query() {
                query @ Node::SelectStmt(_) => gather.visit(query, OUTSIDE),
                other => {
                    statement(gather, other)?;
                    gather.details.answer = Answer::Nothing;
                    return Ok(());
                }
            }
        }
        Node::CallStmt(call) => {
            gather.note(Verb::Call);
            if let Some(call) = call.funccall() {
                function(gather, call, OUTSIDE);
            }
        }
        Node::DoStmt(_) => {
            gather.note(Verb::Do);
            gather.tag("dynamic_sql");
        }
        Node::LoadStmt(_) => gather.note(Verb::Server),
        Node::NotifyStmt(_) => gather.note(Verb::Notify),
        Node::ListenStmt(_) | Node::UnlistenStmt(_) => gather.note(Verb::Listen),
        Node::FetchStmt(fetch) => {
            gather.note(Verb::Fetch);
            gather.details.answer = detail::fetch(fetch);
            gather.details.fetches = Some(fetch.portalname().unwrap_or_default().into());
        }
        Node::ClosePortalStmt(close) => {
            gather.note(Verb::Discard);
            gather.details.closes = Some(close.portalname().map(Into::into));
        }
        Node::DeclareCursorStmt(cursor) => {
            gather.note(Verb::Select);
            let hold = cursor.options & CURSOR_OPT_HOLD != 0;
            gather.details.declares = Some((cursor.portalname().unwrap_or_default().into(), hold));
            gather.visit(cursor.query(), OUTSIDE);
        }
        Node::TransactionStmt(transaction) => self::transaction(gather, transaction),
        _ if session_statement(gather, node)? || maintenance(gather, node) => {}
        _ => return define::statement(gather, node),
    }
    drain(gather)
}

/// `CURSOR_OPT_HOLD` of PostgreSQL's parse nodes.
const CURSOR_OPT_HOLD: i32 = 0x0020;

/// Reads a statement that is kept for later: its names and conditions count, its verbs do not.
pub(super) fn later<'a>(gather: &mut Gather<'a>, node: Node<'a>) -> Result<(), Stop> {
    let (strongest, verbs) = (gather.strongest, gather.verbs);
    statement(gather, node)?;
    gather.details.answer = Answer::Nothing;
    (gather.strongest, gather.verbs) = (strongest, verbs);
    Ok(())
}

fn explain<'a>(gather: &mut Gather<'a>, explain: &'a ExplainStmt) -> Result<(), Stop> {
    // Off only when nothing says on: the last one counts for the server, any one for us.
    let runs = explain.options().iter().any(|option| option.defname() == Some("analyze") && is_on(option));
    statement(gather, explain.query())?;
    gather.details.answer = Answer::Nothing;
    if runs {
        gather.tag("explain_analyze");
        gather.note(Verb::Explain);
        return Ok(());
    }
    gather.strongest = Verb::Explain;
    gather.verbs = crate::Verbs::only(Verb::Explain);
    gather.targets.clear();
    // Nothing runs: what was prepared under that name was judged then.
    gather.executes = None;
    gather.reads.take(&mut gather.writes);
    Ok(())
}

fn is_on(option: &DefElem) -> bool {
    match option.arg() {
        Node::Integer(number) => number.ival != 0,
        Node::Boolean(truth) => truth.boolval,
        Node::String(text) => {
            !matches!(text.sval().map(str::to_ascii_lowercase).as_deref(), Some("off" | "false"))
        }
        _ => true,
    }
}

fn copy<'a>(gather: &mut Gather<'a>, copy: &'a CopyStmt) {
    let verb = if copy.is_from { Verb::CopyIn } else { Verb::CopyOut };
    gather.note(verb);
    if copy.is_program || copy.filename().is_some() {
        gather.note(Verb::Server);
        gather.tag(if copy.is_program { "copy_program" } else { "copy_file" });
    }
    if copy.is_from {
        write(gather, copy.relation());
    } else {
        read(gather, copy.relation());
        gather.details.answer = match copy.query() {
            Node::None => Answer::Open("copies the whole table"),
            query => detail::answer(query),
        };
        if let Some(table) = copy.relation().filter(|_| copy.attlist().is_empty()) {
            gather.details.every_column(table);
        }
    }
    copy.attlist().iter().filter_map(Node::as_str).for_each(|name| gather.details.columns.add(name));
    gather.visit(copy.query(), OUTSIDE);
    gather.visit(copy.where_clause(), OUTSIDE);
}

fn transaction(gather: &mut Gather<'_>, transaction: &TransactionStmt) {
    gather.details.two_phase = matches!(
        transaction.kind,
        Tx::TRANS_STMT_PREPARE | Tx::TRANS_STMT_COMMIT_PREPARED | Tx::TRANS_STMT_ROLLBACK_PREPARED
    );
    gather.note(match transaction.kind {
        Tx::TRANS_STMT_BEGIN | Tx::TRANS_STMT_START | Tx::TRANS_STMT_SAVEPOINT | Tx::TRANS_STMT_RELEASE => {
            Verb::Begin
        }
        Tx::TRANS_STMT_COMMIT | Tx::TRANS_STMT_PREPARE | Tx::TRANS_STMT_COMMIT_PREPARED => Verb::Commit,
        Tx::TRANS_STMT_ROLLBACK | Tx::TRANS_STMT_ROLLBACK_TO | Tx::TRANS_STMT_ROLLBACK_PREPARED => {
            Verb::Rollback
        }
        _ => Verb::Unparsed,
    });
    gather.settings.extend(session::of_options(transaction.options()));
}

/// Statements about the session itself; false for all others.
fn session_statement<'a>(gather: &mut Gather<'a>, node: Node<'a>) -> Result<bool, Stop> {
    match node {
        Node::VariableShowStmt(_) => gather.note(Verb::Show),
        Node::ConstraintsSetStmt(_) => gather.note(Verb::Set),
        Node::VariableSetStmt(set) => {
            gather.note(Verb::Set);
            gather.settings.extend(session::of_set(set));
        }
        Node::DiscardStmt(discard) => {
            gather.note(Verb::Discard);
            if discard.target == DiscardMode::DISCARD_ALL {
                gather.settings.push(Setting::All);
                gather.deallocates = Some(None);
            }
        }
        Node::PrepareStmt(prepare) => {
            gather.tag("prepare");
            gather.also(Verb::Prepare);
            gather.prepares = prepare.name().map(Into::into);
            statement(gather, prepare.query())?;
        }
        Node::ExecuteStmt(execute) => {
            gather.note(Verb::Execute);
            gather.executes = Some(execute.name().unwrap_or_default().into());
            visit_all(gather, execute.params(), OUTSIDE);
        }
        Node::DeallocateStmt(deallocate) => {
            gather.note(Verb::Discard);
            gather.deallocates = Some(deallocate.name().filter(|_| !deallocate.isall).map(Into::into));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Statements that keep tables in order; false for all others.
fn maintenance<'a>(gather: &mut Gather<'a>, node: Node<'a>) -> bool {
    match node {
        Node::CheckPointStmt(_) => gather.note(Verb::Maintain),
        Node::VacuumStmt(vacuum) => self::vacuum(gather, vacuum),
        Node::ClusterStmt(cluster) => {
            gather.note(Verb::Maintain);
            write_or_all(gather, cluster.relation());
        }
        Node::ReindexStmt(reindex) => {
            gather.note(Verb::Maintain);
            match (reindex.relation(), reindex.name()) {
                (Some(table), _) => write(gather, Some(table)),
                (None, Some(name)) => gather.writes.add(all_of(name)),
                (None, None) => gather.writes.add("*".to_owned()),
            }
        }
        Node::RefreshMatViewStmt(refresh) => {
            gather.note(Verb::Maintain);
            write(gather, refresh.relation());
        }
        Node::LockStmt(lock) => {
            gather.note(Verb::Lock);
            gather.tag("locking");
            for table in lock.relations() {
                if let Node::RangeVar(table) = table {
                    read(gather, Some(table));
                }
            }
        }
        Node::TruncateStmt(truncate) => {
            gather.note(Verb::Truncate);
            for table in truncate.relations() {
                if let Node::RangeVar(table) = table {
                    target(gather, Verb::Truncate, Some(table), Node::None);
                }
            }
        }
        _ => return false,
    }
    true
}

fn vacuum<'a>(gather: &mut Gather<'a>, vacuum: &'a VacuumStmt) {
    gather.note(Verb::Maintain);
    if vacuum.rels().is_empty() {
        gather.writes.add("*".to_owned());
    }
    vacuum.rels().iter().for_each(|one| write(gather, one.relation()));
}

fn write_or_all(gather: &mut Gather<'_>, table: Option<&RangeVar>) {
    match table {
        Some(table) => write(gather, Some(table)),
        None => gather.writes.add("*".to_owned()),
    }
}

/// A table that is read and cannot be a CTE.
pub(super) fn read(gather: &mut Gather<'_>, table: Option<&RangeVar>) {
    if let Some(table) = table {
        gather.reads.add(super::gather::name_of(table));
    }
}

/// The table in a list of name parts.
pub(super) fn write_parts(gather: &mut Gather<'_>, object: Node<'_>, drop_last: bool) {
    if let Node::NodeList(parts) = object {
        let keep = parts.len().saturating_sub(usize::from(drop_last));
        let name = name_of_parts(parts.iter().take(keep).collect::<Vec<_>>().into_iter());
        if !name.is_empty() {
            gather.writes.add(name);
        }
    }
}
