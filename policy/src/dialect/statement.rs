//! What each kind of statement does: verbs, targets, settings. What is not listed here is not understood.

use super::simple::Simple;
use super::walk::Walk;
use super::{filter, names};
use crate::{Setting, SettingValue};
use clyra_spec::Verb;
use sqlparser::ast::{
    AlterTable, AlterTableOperation as Op, AlterViewOperation, Assignment, AssignmentTarget, ColumnOption,
    CopyIntoSnowflakeKind, CreateTable, CreateTableLikeKind, Delete, Expr, FromTable, GrantObjects, Insert,
    Merge, MergeAction, MergeInsertKind, MergeUpdateKind, ObjectName, ObjectType, RenameTableNameKind, Set,
    Statement, TableConstraint, TableFactor, TableObject, TableWithJoins, Update, Use, Value,
};

type Said = Result<(), &'static str>;

/// Notes what a statement does; its queries and expressions are walked afterwards.
pub(super) fn statement(walk: &mut Walk, one: &Statement) -> Said {
    match one {
        Statement::Query(query) => {
            walk.note(Verb::Select);
            walk.details.answer = filter::answer(query);
            Ok(())
        }
        Statement::Insert(insert) => self::insert(walk, insert),
        Statement::Update(update) => self::update(walk, update),
        Statement::Delete(delete) => self::delete(walk, delete),
        Statement::Merge(merge) => self::merge(walk, merge),
        Statement::Explain { analyze, .. } => {
            walk.explains = !analyze;
            if *analyze {
                walk.tags.insert("explain_analyze");
            }
            walk.note(Verb::Explain);
            Ok(())
        }
        Statement::Call(call) => {
            walk.note(Verb::Call);
            walk.function(&call.name)
        }
        Statement::Execute { .. } => {
            walk.note(Verb::Do);
            walk.tags.insert("dynamic_sql");
            Ok(())
        }
        Statement::StartTransaction { statements, exception: None, has_end_keyword: false, .. }
            if statements.is_empty() =>
        {
            walk.note(Verb::Begin);
            Ok(())
        }
        Statement::Commit { .. } => noted(walk, Verb::Commit),
        Statement::Rollback { .. } => noted(walk, Verb::Rollback),
        Statement::Truncate(truncate) => {
            walk.note(Verb::Truncate);
            truncate.table_names.iter().try_for_each(|table| walk.target(Verb::Truncate, &table.name, None))
        }
        Statement::CreateTable(create) => self::create_table(walk, create),
        Statement::AlterTable(alter) => self::alter_table(walk, alter),
        Statement::Drop { object_type, names, .. } => self::drop(walk, *object_type, names),
        _ => smaller(walk, one)
            .or_else(|| session(walk, one))
            .or_else(|| files(walk, one))
            .unwrap_or(Err(UNKNOWN)),
    }
}

/// Notes what a statement does that was read by its words.
pub(super) fn simple(walk: &mut Walk, one: &Simple) -> Said {
    one.verbs.iter().for_each(|verb| walk.note(*verb));
    if one.file {
        walk.file();
    }
    walk.details.keeps_code |= one.code;
    for name in &one.writes {
        match one.verbs.contains(&Verb::Truncate) {
            true => walk.target(Verb::Truncate, name, None)?,
            false => walk.touch(name, true)?,
        }
    }
    one.reads.iter().try_for_each(|name| walk.touch(name, false))
}

fn noted(walk: &mut Walk, verb: Verb) -> Said {
    walk.note(verb);
    Ok(())
}

fn filed(walk: &mut Walk) -> Said {
    walk.file();
    Ok(())
}

fn insert(walk: &mut Walk, insert: &Insert) -> Said {
    walk.note(Verb::Insert);
    let odd = insert.or.is_some() || insert.on.is_some() || insert.replace_into || insert.output.is_some();
    if odd || !insert.assignments.is_empty() || insert.insert_alias.is_some() {
        return Err("a form of INSERT that has no facts in this dialect");
    }
    let mut tables: Vec<&ObjectName> = Vec::new();
    if insert.multi_table_insert_type.is_some() {
        let clauses = insert.multi_table_into_clauses.iter();
        let chosen = insert.multi_table_when_clauses.iter().flat_map(|when| &when.into_clauses);
        for clause in clauses.chain(chosen).chain(insert.multi_table_else_clause.iter().flatten()) {
            clause.columns.iter().for_each(|column| walk.column(column));
            tables.push(&clause.table_name);
        }
    } else {
        let TableObject::TableName(name) = &insert.table else { return Err("an INSERT into no table") };
        tables.push(name);
    }
    for name in tables {
        if insert.overwrite {
            walk.note(Verb::Truncate);
            walk.target(Verb::Truncate, name, None)?;
        }
        walk.touch(name, true)?;
    }
    insert.columns.iter().filter_map(names::plain).for_each(|name| walk.details.columns.add(&name));
    insert.after_columns.iter().for_each(|column| walk.column(column));
    Ok(())
}

/// The one table that a change is about.
fn changed<'s>(walk: &mut Walk, table: &'s TableWithJoins) -> Result<&'s ObjectName, &'static str> {
    match &table.relation {
        TableFactor::Table { name, args: None, alias, .. } if table.joins.is_empty() => {
            walk.alias(name, alias.as_ref());
            Ok(name)
        }
        _ => Err("a change of something else than one table"),
    }
}

fn update(walk: &mut Walk, update: &Update) -> Said {
    walk.note(Verb::Update);
    if update.or.is_some() || update.output.is_some() {
        return Err("a form of UPDATE that has no facts in this dialect");
    }
    let name = changed(walk, &update.table)?;
    assigned(walk, &update.assignments);
    walk.target(Verb::Update, name, update.selection.as_ref())
}

fn assigned(walk: &mut Walk, assignments: &[Assignment]) {
    for one in assignments {
        let columns = match &one.target {
            AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
            AssignmentTarget::Tuple(names) => names,
        };
        for name in columns.iter().filter_map(names::plain) {
            walk.details.columns.add(name.rsplit('.').next().unwrap_or(&name));
            walk.details.columns.add(&name);
        }
    }
}

fn delete(walk: &mut Walk, delete: &Delete) -> Said {
    walk.note(Verb::Delete);
    let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
    let [table] = from.as_slice() else { return Err("a DELETE of several tables") };
    if !delete.tables.is_empty() || delete.output.is_some() {
        return Err("a form of DELETE that has no facts in this dialect");
    }
    let name = changed(walk, table)?;
    walk.target(Verb::Delete, name, delete.selection.as_ref())
}

fn merge(walk: &mut Walk, merge: &Merge) -> Said {
    walk.note(Verb::Merge);
    let TableFactor::Table { name, args: None, alias, .. } = &merge.table else {
        return Err("a MERGE into no table");
    };
    walk.alias(name, alias.as_ref());
    let mut changes = false;
    for clause in &merge.clauses {
        match &clause.action {
            MergeAction::Insert(insert) => {
                walk.also(Verb::Insert);
                insert
                    .columns
                    .iter()
                    .filter_map(names::plain)
                    .for_each(|name| walk.details.columns.add(&name));
                if matches!(insert.kind, MergeInsertKind::Row) {
                    walk.all_columns();
                }
            }
            MergeAction::Update(update) => {
                changes = true;
                walk.also(Verb::Update);
                match &update.kind {
                    MergeUpdateKind::Set(assignments) => assigned(walk, assignments),
                    _ => walk.all_columns(),
                }
            }
            MergeAction::Delete { .. } => {
                changes = true;
                walk.also(Verb::Delete);
            }
            MergeAction::DoNothing { .. } => {}
        }
    }
    if changes { walk.target(Verb::Merge, name, Some(&merge.on)) } else { walk.touch(name, true) }
}

fn create_table(walk: &mut Walk, create: &CreateTable) -> Said {
    walk.note(Verb::Create);
    if create.or_replace {
        walk.also(Verb::Drop);
    }
    walk.touch(&create.name, true)?;
    if create.temporary {
        walk.details.temporary.add(&names::plain(&create.name).unwrap_or_default());
    }
    if create.external || create.location.is_some() || create.with_connection.is_some() {
        walk.file();
    }
    if create.inherits.is_some() || create.partition_of.is_some() {
        return Err("a form of CREATE TABLE that has no facts in this dialect");
    }
    if let Some(CreateTableLikeKind::Plain(like) | CreateTableLikeKind::Parenthesized(like)) = &create.like {
        walk.touch(&like.name, false)?;
    }
    create.clone.iter().try_for_each(|name| walk.touch(name, false))?;
    create.constraints.iter().try_for_each(|one| constraint(walk, one))?;
    let options = create.columns.iter().flat_map(|column| &column.options);
    options.into_iter().try_for_each(|one| referred(walk, &one.option))
}

/// The table that a foreign key refers to.
fn constraint(walk: &mut Walk, one: &TableConstraint) -> Said {
    if let TableConstraint::ForeignKey(key) = one { walk.touch(&key.foreign_table, false) } else { Ok(()) }
}

fn referred(walk: &mut Walk, one: &ColumnOption) -> Said {
    if let ColumnOption::ForeignKey(key) = one { walk.touch(&key.foreign_table, false) } else { Ok(()) }
}

fn alter_table(walk: &mut Walk, alter: &AlterTable) -> Said {
    walk.note(Verb::Alter);
    walk.touch(&alter.name, true)?;
    if alter.location.is_some() {
        walk.file();
    }
    for operation in &alter.operations {
        match operation {
            Op::SwapWith { table_name } => walk.touch(table_name, true)?,
            Op::DropColumn { .. } => walk.also(Verb::Drop),
            Op::RenameTable { table_name: RenameTableNameKind::As(name) | RenameTableNameKind::To(name) } => {
                walk.touch(name, true)?;
            }
            Op::AddConstraint { constraint: one, .. } => constraint(walk, one)?,
            Op::AddColumn { column_def, .. } => {
                column_def.options.iter().try_for_each(|one| referred(walk, &one.option))?;
            }
            Op::DropConstraint { .. }
            | Op::RenameColumn { .. }
            | Op::ChangeColumn { .. }
            | Op::ModifyColumn { .. }
            | Op::AlterColumn { .. }
            | Op::SetTblProperties { .. }
            | Op::OwnerTo { .. }
            | Op::ClusterBy { .. }
            | Op::DropClusteringKey
            | Op::SuspendRecluster
            | Op::ResumeRecluster
            | Op::Suspend
            | Op::Resume
            | Op::SetOptionsParens { .. } => {}
            _ => return Err("a form of ALTER TABLE that has no facts in this dialect"),
        }
    }
    Ok(())
}

fn drop(walk: &mut Walk, kind: ObjectType, dropped: &[ObjectName]) -> Said {
    walk.note(Verb::Drop);
    for name in dropped {
        match kind {
            ObjectType::Schema => {
                let name = names::plain(name).ok_or("a schema whose name is computed")?;
                walk.writes.add(&format!("{name}.*"));
            }
            ObjectType::Database => walk.writes.add("*"),
            ObjectType::Role | ObjectType::User | ObjectType::Group => walk.note(Verb::Grant),
            ObjectType::Warehouse | ObjectType::Type => {}
            _ => walk.touch(name, true)?,
        }
    }
    Ok(())
}

/// Other statements that define something or keep it in order; nothing for all others.
fn smaller(walk: &mut Walk, one: &Statement) -> Option<Said> {
    Some(match one {
        Statement::CreateView(view) => {
            walk.note(Verb::Create);
            walk.later = true;
            walk.touch(&view.name, true)
                .and_then(|()| view.to.iter().try_for_each(|name| walk.touch(name, true)))
        }
        Statement::AlterView(view) => {
            walk.note(Verb::Alter);
            walk.later = true;
            walk.touch(&view.name, true).and_then(|()| match &view.operation {
                AlterViewOperation::RenameTo { new_name } => walk.touch(new_name, true),
                AlterViewOperation::SetSchema { .. } => {
                    Err("a form of ALTER VIEW that has no facts in this dialect")
                }
                _ => Ok(()),
            })
        }
        Statement::CreateSchema { clone: None, .. } | Statement::CreateDatabase { clone: None, .. } => {
            noted(walk, Verb::Create)
        }
        Statement::CreateSchema { .. } | Statement::CreateDatabase { .. } => {
            walk.note(Verb::Create);
            {
                walk.reads.add("*");
                Ok(())
            }
        }
        Statement::CreateSequence { .. } | Statement::CreateFileFormat { .. } => noted(walk, Verb::Create),
        Statement::CreateFunction(function) => {
            walk.note(Verb::Create);
            walk.details.keeps_code = true;
            if function.remote_connection.is_some() || function.using.is_some() {
                walk.file();
            }
            Ok(())
        }
        Statement::DropFunction(_) | Statement::DropProcedure { .. } => noted(walk, Verb::Drop),
        Statement::Grant(grant) => rights(walk, grant.objects.as_ref()),
        Statement::Revoke(revoke) => rights(walk, revoke.objects.as_ref()),
        Statement::CreateRole(_) | Statement::AlterRole { .. } | Statement::CreateUser(_) => {
            noted(walk, Verb::Grant)
        }
        Statement::Comment { object_name, .. } => {
            walk.note(Verb::Alter);
            walk.touch(object_name, true)
        }
        Statement::OptimizeTable { name, .. } => {
            walk.note(Verb::Maintain);
            walk.touch(name, true)
        }
        _ => return None,
    })
}

fn rights(walk: &mut Walk, objects: Option<&GrantObjects>) -> Said {
    walk.note(Verb::Grant);
    match objects {
        Some(GrantObjects::Tables(tables) | GrantObjects::Views(tables)) => {
            tables.iter().try_for_each(|name| walk.touch(name, true))
        }
        Some(_) => {
            walk.writes.add("*");
            Ok(())
        }
        None => Ok(()),
    }
}

/// Statements about the session; nothing for all others.
fn session(walk: &mut Walk, one: &Statement) -> Option<Said> {
    Some(match one {
        Statement::Use(target) => {
            walk.note(Verb::Set);
            let (name, moves) = match target {
                Use::Warehouse(_) => ("warehouse", false),
                Use::Role(_) => ("role", true),
                Use::SecondaryRoles(_) => ("secondary_roles", true),
                _ => ("search_path", true),
            };
            set(walk, name, SettingValue::Unknown);
            if moves && name != "search_path" {
                set(walk, "search_path", SettingValue::Unknown);
            }
            Ok(())
        }
        Statement::AlterSession { session_params, .. } => {
            walk.note(Verb::Set);
            for option in &session_params.options {
                set(walk, &option.option_name.to_lowercase(), SettingValue::Unknown);
            }
            Ok(())
        }
        Statement::Set(Set::SingleAssignment { variable, values, .. }) => {
            walk.note(Verb::Set);
            let name = names::plain(variable).unwrap_or_default();
            set(walk, &name, words(values));
            Ok(())
        }
        Statement::Set(Set::ParenthesizedAssignments { variables, .. }) => {
            walk.note(Verb::Set);
            variables
                .iter()
                .filter_map(names::plain)
                .for_each(|name| set(walk, &name, SettingValue::Unknown));
            Ok(())
        }
        Statement::Set(Set::SetTimeZone { .. }) => {
            walk.note(Verb::Set);
            set(walk, "timezone", SettingValue::Unknown);
            Ok(())
        }
        Statement::ShowColumns { .. }
        | Statement::ShowTables { .. }
        | Statement::ShowViews { .. }
        | Statement::ShowSchemas { .. }
        | Statement::ShowDatabases { .. }
        | Statement::ShowCatalogs { .. }
        | Statement::ShowFunctions { .. }
        | Statement::ShowObjects(_)
        | Statement::ShowVariable { .. }
        | Statement::ShowVariables { .. } => noted(walk, Verb::Show),
        Statement::ShowCreate { obj_name, .. } => {
            walk.note(Verb::Show);
            walk.touch(obj_name, false)
        }
        Statement::ExplainTable { table_name, .. } => {
            walk.note(Verb::Show);
            walk.touch(table_name, false)
        }
        _ => return None,
    })
}

fn set(walk: &mut Walk, name: &str, value: SettingValue) {
    walk.settings.push(Setting::Named { name: name.into(), value });
}

fn words(values: &[Expr]) -> SettingValue {
    let word = |value: &Expr| match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::Number(text, _) => Some(text.to_string().into()),
            Value::Boolean(truth) => Some(truth.to_string().into()),
            _ => None,
        },
        Expr::Identifier(ident) => Some(ident.value.as_str().into()),
        _ => None,
    };
    let words: Option<Vec<Box<str>>> = values.iter().map(word).collect();
    words.map_or(SettingValue::Unknown, |words| SettingValue::Words(words.into()))
}

/// Statements that carry data in or out of files; nothing for all others.
fn files(walk: &mut Walk, one: &Statement) -> Option<Said> {
    Some(match one {
        Statement::CopyIntoSnowflake { kind, into, from_obj, .. } => {
            walk.file();
            let said = match kind {
                CopyIntoSnowflakeKind::Table => {
                    walk.also(Verb::CopyIn);
                    walk.touch(into, true)
                }
                CopyIntoSnowflakeKind::Location => {
                    walk.also(Verb::CopyOut);
                    walk.all_columns();
                    walk.touch(into, false)
                }
            };
            said.and_then(|()| from_obj.iter().try_for_each(|name| walk.touch(name, false)))
        }
        Statement::List(_) | Statement::Remove(_) | Statement::Put { .. } | Statement::ExportData(_) => {
            filed(walk)
        }
        Statement::LoadData { table_name, .. } => {
            walk.file();
            walk.touch(table_name, true)
        }
        Statement::CreateStage { .. } => {
            walk.note(Verb::Create);
            filed(walk)
        }
        _ => return None,
    })
}

/// Why a statement has no facts that is not listed here.
pub(super) const UNKNOWN: &str = "a statement that has no facts in this dialect";
