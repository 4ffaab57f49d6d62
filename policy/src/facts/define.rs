//! Reads statements that define structure and rights: their verbs, tables and inner queries; unknown kinds stop it.

use super::gather::{Gather, OUTSIDE, Stop, all_of, beside, dotted};
use super::query::{created, drain, visit_all, write};
use super::utility::{later, read, statement as any_statement, write_parts};
use super::{Setting, session, shape};
use crate::detail;
use clyra_spec::Verb;
use pg_raw_parse::nodes::{
    ColumnDef, Constraint, CreateFunctionStmt, CreateStmt, DefElem, DropStmt, GrantStmt, IndexStmt,
    PartitionBoundSpec, RangeVar, RenameStmt,
};
use pg_raw_parse::raw::{GrantTargetType, ObjectType, PublicationObjSpecType};
use pg_raw_parse::{Node, list::CastNodeList, list::NodeList};

/// Reads one statement.
pub(super) fn statement<'a>(gather: &mut Gather<'a>, node: Node<'a>) -> Result<(), Stop> {
    let verb = verb_of(node).ok_or(Stop::Unknown("statement"))?;
    gather.note(verb);
    detail::behind(node).into_iter().for_each(|name| gather.functions.add(name));
    match node {
        Node::CreateStmt(create) => table(gather, create),
        Node::IndexStmt(create) => index(gather, create),
        Node::CreateFunctionStmt(create) => return self::create_function(gather, create),
        Node::ViewStmt(view) => {
            created(gather, view.view());
            return later(gather, view.query());
        }
        Node::RuleStmt(rule) => {
            write(gather, rule.relation());
            gather.visit(rule.where_clause(), OUTSIDE);
            for action in rule.actions() {
                later(gather, action)?;
            }
        }
        Node::CreateSchemaStmt(create) => {
            for element in create.schema_elts() {
                any_statement(gather, element)?;
            }
        }
        Node::AlterTableStmt(alter) => {
            write(gather, alter.relation());
            for command in alter.cmds() {
                if let Node::AlterTableCmd(command) = command {
                    element(gather, command.def());
                }
            }
        }
        Node::DropStmt(drop) => self::drop(gather, drop),
        Node::GrantStmt(grant) => self::grant(gather, grant),
        Node::RenameStmt(rename) => self::rename(gather, rename),
        _ if smaller(gather, node) || rights(gather, node) => {}
        _ => on_object(gather, node),
    }
    drain(gather)
}

fn verb_of(node: Node<'_>) -> Option<Verb> {
    match node {
        node if is_create(node) => Some(Verb::Create),
        node if is_alter(node) => Some(Verb::Alter),
        Node::DropStmt(_)
        | Node::DropTableSpaceStmt(_)
        | Node::DropUserMappingStmt(_)
        | Node::DropdbStmt(_)
        | Node::DropOwnedStmt(_)
        | Node::DropSubscriptionStmt(_) => Some(Verb::Drop),
        Node::GrantStmt(_)
        | Node::GrantRoleStmt(_)
        | Node::AlterDefaultPrivilegesStmt(_)
        | Node::CreateRoleStmt(_)
        | Node::AlterRoleStmt(_)
        | Node::AlterRoleSetStmt(_)
        | Node::DropRoleStmt(_)
        | Node::ReassignOwnedStmt(_) => Some(Verb::Grant),
        Node::AlterSystemStmt(_) => Some(Verb::Server),
        _ => None,
    }
}

fn is_create(node: Node<'_>) -> bool {
    matches!(
        node,
        Node::CreateStmt(_)
            | Node::CreateSchemaStmt(_)
            | Node::CreateTableSpaceStmt(_)
            | Node::CreateExtensionStmt(_)
            | Node::CreateFdwStmt(_)
            | Node::CreateForeignServerStmt(_)
            | Node::CreateUserMappingStmt(_)
            | Node::ImportForeignSchemaStmt(_)
            | Node::CreatePolicyStmt(_)
            | Node::CreateAmStmt(_)
            | Node::CreateTrigStmt(_)
            | Node::CreateEventTrigStmt(_)
            | Node::CreatePLangStmt(_)
            | Node::CreateSeqStmt(_)
            | Node::DefineStmt(_)
            | Node::CreateDomainStmt(_)
            | Node::CreateOpClassStmt(_)
            | Node::CreateOpFamilyStmt(_)
            | Node::IndexStmt(_)
            | Node::CreateStatsStmt(_)
            | Node::CreateFunctionStmt(_)
            | Node::RuleStmt(_)
            | Node::CompositeTypeStmt(_)
            | Node::CreateEnumStmt(_)
            | Node::CreateRangeStmt(_)
            | Node::ViewStmt(_)
            | Node::CreatedbStmt(_)
            | Node::CreateConversionStmt(_)
            | Node::CreateCastStmt(_)
            | Node::CreateTransformStmt(_)
            | Node::CreatePublicationStmt(_)
            | Node::CreateSubscriptionStmt(_)
    )
}

fn is_alter(node: Node<'_>) -> bool {
    matches!(
        node,
        Node::AlterTableStmt(_)
            | Node::AlterCollationStmt(_)
            | Node::AlterDomainStmt(_)
            | Node::AlterTableSpaceOptionsStmt(_)
            | Node::AlterTableMoveAllStmt(_)
            | Node::AlterExtensionStmt(_)
            | Node::AlterExtensionContentsStmt(_)
            | Node::AlterFdwStmt(_)
            | Node::AlterForeignServerStmt(_)
            | Node::AlterUserMappingStmt(_)
            | Node::AlterPolicyStmt(_)
            | Node::AlterEventTrigStmt(_)
            | Node::AlterSeqStmt(_)
            | Node::AlterOpFamilyStmt(_)
            | Node::AlterStatsStmt(_)
            | Node::AlterFunctionStmt(_)
            | Node::RenameStmt(_)
            | Node::AlterObjectDependsStmt(_)
            | Node::AlterObjectSchemaStmt(_)
            | Node::AlterOwnerStmt(_)
            | Node::AlterOperatorStmt(_)
            | Node::AlterTypeStmt(_)
            | Node::AlterEnumStmt(_)
            | Node::AlterDatabaseStmt(_)
            | Node::AlterDatabaseRefreshCollStmt(_)
            | Node::AlterDatabaseSetStmt(_)
            | Node::AlterTSDictionaryStmt(_)
            | Node::AlterTSConfigurationStmt(_)
            | Node::AlterPublicationStmt(_)
            | Node::AlterSubscriptionStmt(_)
            | Node::CommentStmt(_)
            | Node::SecLabelStmt(_)
    )
}

fn table<'a>(gather: &mut Gather<'a>, create: &'a CreateStmt) {
    created(gather, create.relation());
    visit_all(gather, create.inh_relations(), OUTSIDE);
    create.table_elts().iter().for_each(|one| element(gather, one));
    create.constraints().iter().for_each(|one| constraint(gather, one));
    create.nnconstraints().iter().for_each(|one| element(gather, one));
    if let Some(bound) = create.partbound() {
        partition_bound(gather, bound);
    }
    if let Some(spec) = create.partspec() {
        spec.part_params().iter().for_each(|one| gather.visit(one.expr(), OUTSIDE));
    }
}

/// A column, a constraint, or whatever else stands in the list of a CREATE or ALTER TABLE.
fn element<'a>(gather: &mut Gather<'a>, node: Node<'a>) {
    match node {
        Node::ColumnDef(column) => self::column(gather, column),
        Node::Constraint(one) => constraint(gather, one),
        Node::TableLikeClause(like) => read(gather, like.relation()),
        Node::RangeVar(table) => write(gather, Some(table)),
        Node::PartitionCmd(partition) => {
            write(gather, partition.name());
            if let Some(bound) = partition.bound() {
                partition_bound(gather, bound);
            }
        }
        Node::IndexStmt(one) => index(gather, one),
        // Options, owners, types and numbers hold no table.
        Node::NodeList(_) | Node::DefElem(_) | Node::RoleSpec(_) | Node::TypeName(_) => {}
        Node::ReplicaIdentityStmt(_) | Node::ATAlterConstraint(_) | Node::ObjectWithArgs(_) => {}
        expression => gather.visit(expression, OUTSIDE),
    }
}

fn column<'a>(gather: &mut Gather<'a>, column: &'a ColumnDef) {
    gather.visit(column.raw_default(), OUTSIDE);
    column.constraints().iter().for_each(|one| element(gather, one));
    let mut parts = column.type_name().into_iter().flat_map(|name| name.names().iter());
    let last = parts.next_back().and_then(|part| part.sval());
    // Its default calls the function for a sequence that is made with it.
    if last.is_some_and(|last| SERIALS.contains(&last)) {
        gather.functions.add("nextval".to_owned());
    }
}

fn constraint<'a>(gather: &mut Gather<'a>, one: &'a Constraint) {
    read(gather, one.pktable());
    gather.visit(one.raw_expr(), OUTSIDE);
    gather.visit(one.where_clause(), OUTSIDE);
    visit_all(gather, one.exclusions(), OUTSIDE);
}

fn partition_bound<'a>(gather: &mut Gather<'a>, bound: &'a PartitionBoundSpec) {
    for datums in [bound.listdatums(), bound.lowerdatums(), bound.upperdatums()] {
        for datum in datums {
            if !matches!(datum, Node::PartitionRangeDatum(_)) {
                gather.visit(datum, OUTSIDE);
            }
        }
    }
}

fn index<'a>(gather: &mut Gather<'a>, index: &'a IndexStmt) {
    write(gather, index.relation());
    index.index_params().iter().for_each(|one| gather.visit(one.expr(), OUTSIDE));
    gather.visit(index.where_clause(), OUTSIDE);
}

fn create_function<'a>(gather: &mut Gather<'a>, create: &'a CreateFunctionStmt) -> Result<(), Stop> {
    create.parameters().iter().for_each(|one| gather.visit(one.defexpr(), OUTSIDE));
    function_settings(gather, create.options());
    drain(gather)?;
    text_body(gather, create.options());
    body(gather, create.sql_body())
}

/// A body that stands in a text: SQL is read for what it touches, any other language counts as unread.
fn text_body(gather: &mut Gather<'_>, options: &CastNodeList<DefElem>) {
    let of = |name| options.iter().find(|option| option.defname() == Some(name)).map(DefElem::arg);
    let Some(code) = of("as") else { return };
    let sql = of("language").and_then(Node::as_str).is_some_and(|name| name.eq_ignore_ascii_case("sql"));
    let text = match code {
        Node::NodeList(list) if list.len() == 1 => list.first().and_then(Node::as_str),
        other => other.as_str(),
    };
    let body = text.filter(|text| sql && !gather.inner && !shape::nests_deeper(text, super::NESTING_MAX));
    let Some(Ok(body)) = body.map(|text| super::read(text, true)) else {
        gather.details.keeps_code = true;
        return;
    };
    gather.details.keeps_code |= body.problem.is_some();
    for statement in body.statements {
        gather.details.keeps_code |= statement.is_opaque() || statement.details.keeps_code;
        statement.reads.into_iter().for_each(|name| gather.reads.add(name.into()));
        statement.writes.into_iter().for_each(|name| gather.writes.add(name.into()));
        statement.functions.into_iter().for_each(|name| gather.functions.add(name.into()));
        gather.details.columns.take(&statement.details.columns);
        gather.targets.extend(statement.targets);
    }
}

/// A body in SQL: `RETURN expression`, or statements in lists of lists.
fn body<'a>(gather: &mut Gather<'a>, node: Node<'a>) -> Result<(), Stop> {
    match node {
        Node::None => Ok(()),
        Node::ReturnStmt(result) => {
            gather.visit(result.returnval(), OUTSIDE);
            drain(gather)
        }
        Node::NodeList(list) => list.iter().try_for_each(|one| body(gather, one)),
        other => later(gather, other),
    }
}

fn function_settings(gather: &mut Gather<'_>, options: &CastNodeList<DefElem>) {
    for option in options.iter().filter(|option| option.defname() == Some("set")) {
        if let Node::VariableSetStmt(set) = option.arg() {
            gather.settings.extend(session::of_set(set));
        }
    }
}

fn drop(gather: &mut Gather<'_>, drop: &DropStmt) {
    for object in drop.objects() {
        match drop.remove_type {
            kind if is_relation(kind) => write_parts(gather, object, false),
            kind if is_on_relation(kind) => write_parts(gather, object, true),
            ObjectType::OBJECT_SCHEMA => schema(gather, object.as_str()),
            _ => {}
        }
    }
}

fn grant(gather: &mut Gather<'_>, grant: &GrantStmt) {
    let of_tables = matches!(grant.objtype, ObjectType::OBJECT_TABLE | ObjectType::OBJECT_SEQUENCE);
    match grant.targtype {
        // The list holds tables only in this case; it cannot be read as anything else.
        GrantTargetType::ACL_TARGET_OBJECT if of_tables => {
            grant.objects().iter().for_each(|table| write(gather, Some(table)));
        }
        GrantTargetType::ACL_TARGET_OBJECT => {}
        _ => gather.writes.add("*".to_owned()),
    }
}

fn rename<'a>(gather: &mut Gather<'a>, rename: &'a RenameStmt) {
    write(gather, rename.relation());
    match (rename.rename_type, rename.relation(), rename.newname()) {
        (ObjectType::OBJECT_ROLE, ..) => gather.note(Verb::Grant),
        (ObjectType::OBJECT_SCHEMA, _, name) => {
            schema(gather, rename.subname());
            schema(gather, name);
        }
        // Its new name is one that rules may be about, too.
        (kind, Some(table), Some(name)) if is_relation(kind) => {
            gather.writes.add(beside(table, name));
        }
        _ => {}
    }
}

fn schema(gather: &mut Gather<'_>, name: Option<&str>) {
    if let Some(name) = name {
        gather.writes.add(all_of(name));
    }
}

/// Statements with a part or two to look at; false for all others.
fn smaller<'a>(gather: &mut Gather<'a>, node: Node<'a>) -> bool {
    match node {
        Node::CreatePolicyStmt(one) => policy(gather, one.table(), [one.qual(), one.with_check()]),
        Node::AlterPolicyStmt(one) => policy(gather, one.table(), [one.qual(), one.with_check()]),
        Node::CreateTrigStmt(one) => {
            write(gather, one.relation());
            read(gather, one.constrrel());
            gather.visit(one.when_clause(), OUTSIDE);
        }
        Node::CreateSeqStmt(one) => sequence(gather, one.sequence(), one.options()),
        Node::AlterSeqStmt(one) => sequence(gather, one.sequence(), one.options()),
        Node::CreateStatsStmt(one) => {
            one.relations().iter().for_each(|table| read(gather, Some(table)));
            for part in one.exprs() {
                if let Node::StatsElem(part) = part {
                    gather.visit(part.expr(), OUTSIDE);
                }
            }
        }
        Node::CreateDomainStmt(one) => one.constraints().iter().for_each(|one| constraint(gather, one)),
        Node::AlterDomainStmt(one) => element(gather, one.def()),
        Node::CreatePublicationStmt(one) => publication(gather, one.for_all_tables, one.pubobjects()),
        Node::AlterPublicationStmt(one) => publication(gather, one.for_all_tables, one.pubobjects()),
        Node::ImportForeignSchemaStmt(one) => schema(gather, one.local_schema()),
        Node::AlterFunctionStmt(one) => function_settings(gather, one.actions()),
        Node::AlterDatabaseSetStmt(one) => {
            gather.settings.extend(one.setstmt().map_or(vec![Setting::Unknown], session::of_set));
        }
        Node::AlterTableMoveAllStmt(_) | Node::DropdbStmt(_) | Node::DropOwnedStmt(_) => {
            gather.writes.add("*".to_owned());
        }
        _ => return false,
    }
    true
}

fn policy<'a>(gather: &mut Gather<'a>, table: Option<&RangeVar>, conditions: [Node<'a>; 2]) {
    write(gather, table);
    conditions.into_iter().for_each(|one| gather.visit(one, OUTSIDE));
}

fn sequence(gather: &mut Gather<'_>, sequence: Option<&RangeVar>, options: &NodeList) {
    write(gather, sequence);
    for option in options {
        match option {
            Node::DefElem(option) if option.defname() == Some("owned_by") => {
                write_parts(gather, option.arg(), true);
            }
            _ => {}
        }
    }
}

fn publication<'a>(gather: &mut Gather<'a>, all: bool, objects: &'a NodeList) {
    if all {
        gather.reads.add("*".to_owned());
    }
    for object in objects {
        let Node::PublicationObjSpec(object) = object else { continue };
        match (object.pubtable(), object.name()) {
            (Some(table), _) => {
                read(gather, table.relation());
                gather.visit(table.where_clause(), OUTSIDE);
            }
            (None, Some(name))
                if object.pubobjtype == PublicationObjSpecType::PUBLICATIONOBJ_TABLES_IN_SCHEMA =>
            {
                gather.reads.add(all_of(name));
            }
            _ => gather.reads.add("*".to_owned()),
        }
    }
}

/// Statements about roles and their rights, which define something as well; false for all others.
fn rights<'a>(gather: &mut Gather<'a>, node: Node<'a>) -> bool {
    match node {
        Node::CreateRoleStmt(_) => gather.also(Verb::Create),
        Node::AlterRoleStmt(_) => gather.also(Verb::Alter),
        Node::AlterRoleSetStmt(one) => {
            gather.also(Verb::Alter);
            gather.settings.extend(one.setstmt().map_or(vec![Setting::Unknown], session::of_set));
        }
        Node::AlterSystemStmt(one) => {
            gather.also(Verb::Alter);
            gather.settings.extend(one.setstmt().map_or(vec![Setting::Unknown], session::of_set));
        }
        Node::DropRoleStmt(_) => gather.also(Verb::Drop),
        Node::ReassignOwnedStmt(_) | Node::AlterDefaultPrivilegesStmt(_) => {
            gather.also(Verb::Alter);
            gather.writes.add("*".to_owned());
        }
        _ => return false,
    }
    true
}

/// Statements about an object of any kind: of interest when it is a table, or hangs on one.
fn on_object(gather: &mut Gather<'_>, node: Node<'_>) {
    let (kind, relation, object) = match node {
        Node::CommentStmt(one) => (one.objtype, None, one.object()),
        Node::SecLabelStmt(one) => (one.objtype, None, one.object()),
        Node::AlterOwnerStmt(one) => (one.object_type, one.relation(), one.object()),
        Node::AlterObjectSchemaStmt(one) => (one.object_type, one.relation(), one.object()),
        Node::AlterObjectDependsStmt(one) => (one.object_type, one.relation(), one.object()),
        Node::AlterExtensionContentsStmt(one) => (one.objtype, None, one.object()),
        _ => return,
    };
    write(gather, relation);
    if let (Node::AlterObjectSchemaStmt(one), Some(table)) = (node, relation)
        && let (Some(schema), Some(name)) = (one.newschema(), table.relname())
    {
        gather.writes.add(dotted(schema, name).into());
    }
    match kind {
        kind if is_relation(kind) => write_parts(gather, object, false),
        kind if is_on_relation(kind) => write_parts(gather, object, true),
        ObjectType::OBJECT_SCHEMA => schema(gather, object.as_str()),
        _ => {}
    }
}

fn is_relation(kind: ObjectType::Type) -> bool {
    matches!(
        kind,
        ObjectType::OBJECT_TABLE
            | ObjectType::OBJECT_VIEW
            | ObjectType::OBJECT_MATVIEW
            | ObjectType::OBJECT_SEQUENCE
            | ObjectType::OBJECT_INDEX
            | ObjectType::OBJECT_FOREIGN_TABLE
    )
}

fn is_on_relation(kind: ObjectType::Type) -> bool {
    matches!(
        kind,
        ObjectType::OBJECT_COLUMN
            | ObjectType::OBJECT_TABCONSTRAINT
            | ObjectType::OBJECT_TRIGGER
            | ObjectType::OBJECT_RULE
            | ObjectType::OBJECT_POLICY
    )
}

/// Types that are columns with a sequence of their own.
const SERIALS: [&str; 6] = ["bigserial", "serial", "serial2", "serial4", "serial8", "smallserial"];
