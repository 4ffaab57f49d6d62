//! Walks one parsed statement and collects what it touches, with the scopes of its CTEs; what it does not know stops it.

use super::parse::{Body, Piece};
use super::{Dialect, filter, names, second, simple, statement};
use crate::blocks::Link;
use crate::detail::{Details, Names, Plan, Written};
use crate::facts::{Problem, StatementFacts, digest};
use crate::{Setting, Target, Verbs};
use clyra_spec::{Verb, limits::NAMES_MAX};
use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, JoinConstraint, JoinOperator, ObjectName,
    ObjectNamePart, Query, Select, SelectItem, SetExpr, Statement, TableAlias, TableFactor, TableWithJoins,
    Visit as _, Visitor,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// The facts of one statement.
pub(super) fn facts(dialect: Dialect, sql: &str, piece: &Piece<'_>) -> Result<StatementFacts, Problem> {
    let mut walk = Walk::new(dialect);
    let met = match &piece.body {
        Body::Parsed(statement) => statement.visit(&mut walk),
        Body::Simple(simple) => told(statement::simple(&mut walk, simple)),
    };
    match met {
        // What the parser knows may have no facts but those of its words.
        ControlFlow::Break(statement::UNKNOWN) => {
            walk = Walk::new(dialect);
            let simple = simple::read(dialect, sql, &piece.tokens).ok_or(statement::UNKNOWN);
            simple
                .and_then(|simple| statement::simple(&mut walk, &simple))
                .map_err(|why| Problem::at(why, sql, piece.start))?;
        }
        ControlFlow::Break(why) => return Err(Problem::at(why, sql, piece.start)),
        // Names behind SHOW may be those of anything; a simple form has no query in it.
        ControlFlow::Continue(()) if walk.strongest == Verb::Show => {}
        ControlFlow::Continue(()) if matches!(piece.body, Body::Simple(_)) => {}
        ControlFlow::Continue(()) => {
            if let Some(at) = second::overlooked(sql, piece, &walk.met) {
                let why = "a name behind FROM, JOIN, INTO or TABLE that only one of two readers has seen";
                return Err(Problem::at(why, sql, at));
            }
        }
    }
    Ok(walk.into_facts(sql, piece))
}

pub(super) struct Walk {
    pub(super) dialect: Dialect,
    pub(super) strongest: Verb,
    pub(super) verbs: Verbs,
    pub(super) reads: Names,
    pub(super) writes: Names,
    pub(super) functions: Names,
    pub(super) tags: BTreeSet<&'static str>,
    pub(super) targets: Vec<Target>,
    pub(super) settings: Vec<Setting>,
    pub(super) details: Details,
    /// An EXPLAIN that runs nothing.
    pub(super) explains: bool,
    /// The statement is kept for later: its verbs do not count.
    pub(super) later: bool,
    /// Names that were dealt with where they stand, by address.
    skip: BTreeSet<usize>,
    ctes: names::Ctes,
    /// Labels under which columns are called, and whether all columns of them are asked for.
    labels: Names,
    stars: bool,
    /// Every last part of a name that was met.
    met: BTreeSet<String>,
    statements: usize,
}

impl Walk {
    fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            strongest: Verb::Empty,
            verbs: Verbs::default(),
            reads: Names::default(),
            writes: Names::default(),
            functions: Names::default(),
            tags: BTreeSet::new(),
            targets: Vec::new(),
            settings: Vec::new(),
            details: Details {
                dialect,
                written: Written::Unseen("writes in a warehouse, which does not tell its rows"),
                plan: Plan::Unseen,
                ..Details::default()
            },
            explains: false,
            later: false,
            skip: BTreeSet::new(),
            ctes: names::Ctes::default(),
            labels: Names::default(),
            stars: false,
            met: BTreeSet::new(),
            statements: 0,
        }
    }

    pub(super) fn note(&mut self, verb: Verb) {
        if !self.later {
            self.strongest = self.strongest.max(verb);
        }
        self.also(verb);
    }

    pub(super) fn also(&mut self, verb: Verb) {
        if !self.later {
            self.verbs.insert(verb);
        }
    }

    /// A table that is read, unless a CTE in sight has its name.
    pub(super) fn read(&mut self, name: &ObjectName) -> Result<(), &'static str> {
        let [ObjectNamePart::Identifier(ident)] = name.0.as_slice() else {
            return self.touch(name, false);
        };
        let key = names::key(self.dialect, ident);
        if self.ctes.hides(&key) {
            self.met.insert(names::label(ident));
            return Ok(());
        }
        self.touch(name, false)
    }

    /// A table that is read or written, whatever CTEs there are.
    pub(super) fn touch(&mut self, name: &ObjectName, writes: bool) -> Result<(), &'static str> {
        self.skip.insert(address(name));
        if names::is_file(self.dialect, name) {
            self.file();
        }
        let told =
            names::told(self.dialect, name).ok_or("a table whose name is computed or has too many parts")?;
        for mut name in told {
            self.meet(&name);
            // All tables whose names begin so: as good as all of the schema.
            if self.dialect == Dialect::BigQuery && name.contains('*') {
                self.tags.insert("wildcard_table");
                name =
                    name.rsplit_once('.').map_or_else(|| "*".to_owned(), |(schema, _)| format!("{schema}.*"));
            }
            if writes { self.writes.add(&name) } else { self.reads.add(&name) }
        }
        Ok(())
    }

    /// Something beside the tables is read or written: a stage, a path, another store.
    pub(super) fn file(&mut self) {
        self.note(Verb::Server);
        self.tags.insert("copy_file");
    }

    fn meet(&mut self, name: &str) {
        let last = name.rsplit('.').next().unwrap_or(name).trim_matches('"').to_lowercase();
        self.met.insert(last);
    }

    /// A table that is changed, and by what its rows are chosen.
    pub(super) fn target(
        &mut self,
        verb: Verb,
        name: &ObjectName,
        condition: Option<&Expr>,
    ) -> Result<(), &'static str> {
        self.touch(name, true)?;
        let filter = filter::of(condition);
        if !filter.restricts() {
            self.tags.insert("no_where");
        }
        for table in names::told(self.dialect, name).unwrap_or_default() {
            self.targets.push(Target { verb, table: table.into(), filter });
        }
        Ok(())
    }

    pub(super) fn function(&mut self, name: &ObjectName) -> Result<(), &'static str> {
        self.skip.insert(address(name));
        let plain = names::plain(name).ok_or("a function whose name is computed")?;
        match plain.as_str() {
            "identifier" => return Err("IDENTIFIER(…), which can be any name"),
            "table" | "stream" => return Err("a function whose argument is a table"),
            "directory" => self.file(),
            _ => {}
        }
        self.meet(&plain);
        self.functions.add(&plain);
        Ok(())
    }

    /// A label under which the columns of a table are called.
    pub(super) fn alias(&mut self, name: &ObjectName, alias: Option<&TableAlias>) {
        let table =
            names::told(self.dialect, name).and_then(|told| told.into_iter().next()).unwrap_or_default();
        let own = table.rsplit('.').next().unwrap_or_default().to_lowercase();
        let label = alias.map_or(own, |alias| names::label(&alias.name));
        if let Some(alias) = alias {
            self.details.aliases.push((label.as_str().into(), table.as_str().into()));
            if !alias.columns.is_empty() {
                self.details.columns.add(&format!("{label}.*"));
            }
            self.met.insert(label.clone());
        }
        self.labels.add(&label);
    }

    pub(super) fn column(&mut self, ident: &Ident) {
        self.details.columns.add(&names::label(ident));
    }

    pub(super) fn all_columns(&mut self) {
        self.stars = true;
    }

    fn joins(&mut self, item: &TableWithJoins) {
        for join in &item.joins {
            match constraint(&join.join_operator) {
                Some(JoinConstraint::Using(columns) | JoinConstraint::UsingAlias(columns, _)) => {
                    for name in columns.iter().filter_map(names::plain) {
                        self.details.columns.add(&name);
                    }
                }
                Some(JoinConstraint::Natural) => self.stars = true,
                _ => {}
            }
        }
    }

    fn into_facts(mut self, sql: &str, piece: &Piece<'_>) -> StatementFacts {
        if self.stars {
            let labels: Vec<String> = self.labels.iter().map(|label| format!("{label}.*")).collect();
            labels.iter().for_each(|name| self.details.columns.add(name));
        }
        if self.explains {
            self.strongest = Verb::Explain;
            self.verbs = Verbs::only(Verb::Explain);
            self.targets.clear();
            self.reads.take(&self.writes);
            self.writes = Names::default();
        }
        let (reads, writes, functions) = (&self.reads, &self.writes, &self.functions);
        if [reads, writes, functions].iter().any(|names| names.is_cut() || names.iter().count() > NAMES_MAX) {
            self.tags.insert("names_truncated");
        }
        let listed = |names: &Names| names.iter().take(NAMES_MAX).map(Into::into).collect();
        let number = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        self.details.message_bytes = number(sql.len());
        StatementFacts {
            verb: self.strongest,
            verbs: self.verbs,
            reads: listed(&self.reads),
            writes: listed(&self.writes),
            functions: listed(&self.functions),
            tags: self.tags.iter().map(|tag| (*tag).into()).collect(),
            targets: self.targets.into(),
            settings: self.settings.into(),
            shape: digest(&second::shape(sql, piece)),
            span: (number(piece.start), number(piece.end - piece.start)),
            position: number(piece.position),
            prepares: None,
            executes: None,
            deallocates: None,
            claims: None,
            own: None,
            details: self.details,
            blocks: Link::default(),
        }
        .mark()
    }
}

impl Visitor for Walk {
    type Break = &'static str;

    fn pre_visit_statement(&mut self, one: &Statement) -> ControlFlow<Self::Break> {
        self.statements += 1;
        if self.statements > STATEMENTS_MAX {
            return ControlFlow::Break("statements inside statements");
        }
        told(statement::statement(self, one))
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        self.ctes.enter(std::ptr::from_ref(query).addr());
        if let Some(with) = &query.with {
            for cte in &with.cte_tables {
                if cte.from.is_some() {
                    return ControlFlow::Break("a CTE with a FROM of its own");
                }
                let key = names::key(self.dialect, &cte.alias.name);
                if !self.ctes.add(key, std::ptr::from_ref(&*cte.query).addr(), with.recursive) {
                    return ControlFlow::Break("too many CTEs");
                }
                self.met.insert(names::label(&cte.alias.name));
            }
        }
        if !query.locks.is_empty() {
            self.also(Verb::Lock);
            self.tags.insert("locking");
        }
        if !query.pipe_operators.is_empty() {
            return ControlFlow::Break("a query that goes on behind a pipe");
        }
        told(self.tables(&query.body))
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Self::Break> {
        self.ctes.leave();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        if select.into.is_some() {
            return ControlFlow::Break("SELECT INTO");
        }
        self.stars |= filter::has_star(&select.projection);
        for item in &select.projection {
            if let SelectItem::QualifiedWildcard(kind, _) = item
                && let sqlparser::ast::SelectItemQualifiedWildcardKind::ObjectName(name) = kind
                && let Some(plain) = names::plain(name)
            {
                self.details.columns.add(&format!("{}.*", plain.rsplit('.').next().unwrap_or_default()));
            }
        }
        select.from.iter().for_each(|item| self.joins(item));
        if self.details.cross.is_none() {
            self.details.cross = filter::unjoined(select);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Self::Break> {
        if self.skip.contains(&address(name)) {
            return ControlFlow::Continue(());
        }
        told(self.read(name))
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        told(match factor {
            TableFactor::Table { json_path: Some(_), .. } => Err("a path into a table"),
            TableFactor::Table { name, args: Some(_), alias, .. } if names::is_file(self.dialect, name) => {
                self.labels_of(alias.as_ref());
                self.touch(name, false)
            }
            TableFactor::Table { name, args: Some(_), alias, .. } => {
                self.labels_of(alias.as_ref());
                self.function(name)
            }
            TableFactor::Table { name, alias, .. } => self.table(name, alias.as_ref()),
            TableFactor::Function { name, alias, .. } => {
                self.labels_of(alias.as_ref());
                self.function(name)
            }
            TableFactor::TableFunction { expr: Expr::Function(_), alias } => {
                self.labels_of(alias.as_ref());
                Ok(())
            }
            TableFactor::TableFunction { .. } => Err("TABLE(…) of a name that is computed"),
            TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } => {
                self.labels_of(alias.as_ref());
                Ok(())
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                self.joins(table_with_joins);
                if let Some(alias) = alias {
                    self.details.aliases.push((names::label(&alias.name).into(), "*".into()));
                }
                Ok(())
            }
            TableFactor::Pivot { .. } | TableFactor::Unpivot { .. } => {
                self.stars = true;
                Ok(())
            }
            _ => Err("an item of FROM that has no facts in this dialect"),
        })
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<Self::Break> {
        match expression {
            Expr::Identifier(ident) => self.column(ident),
            Expr::CompoundIdentifier(parts) => {
                // Any part may be a column with fields inside.
                let parts: Vec<String> = parts.iter().map(names::label).collect();
                if let Some(first) = parts.first() {
                    self.details.columns.add(first);
                }
                for pair in parts.windows(2) {
                    self.details.columns.add(&pair.join("."));
                }
            }
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => self.stars = true,
            Expr::Function(call) => {
                self.stars |= takes_all(&call.args) && names::plain(&call.name).as_deref() != Some("count");
                return told(self.function(&call.name));
            }
            Expr::MatchAgainst { .. } => return ControlFlow::Break("MATCH … AGAINST"),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Walk {
    /// Tables that are whole queries, as in `TABLE t`, which no visitor meets.
    fn tables(&mut self, body: &SetExpr) -> Result<(), &'static str> {
        match body {
            SetExpr::SetOperation { left, right, .. } => {
                self.tables(left)?;
                self.tables(right)
            }
            SetExpr::Table(table) if self.dialect == Dialect::Databricks => {
                let parts = table.schema_name.iter().chain(&table.table_name).cloned();
                self.stars = true;
                self.read(&ObjectName::from(parts.collect::<Vec<Ident>>()))
            }
            SetExpr::Table(_) => Err("TABLE as a query, which this dialect does not have"),
            _ => Ok(()),
        }
    }

    /// A table in FROM. A word that could be one of the dialect's own before the table's name is none.
    fn table(&mut self, name: &ObjectName, alias: Option<&TableAlias>) -> Result<(), &'static str> {
        let word = names::plain(name).unwrap_or_default();
        let bare =
            matches!(name.0.as_slice(), [ObjectNamePart::Identifier(one)] if one.quote_style.is_none());
        if bare && alias.is_some() && NO_TABLES.contains(&word.as_str()) {
            return Err("a word in FROM that may belong to the name behind it");
        }
        self.alias(name, alias);
        Ok(())
    }

    fn labels_of(&mut self, alias: Option<&TableAlias>) {
        if let Some(alias) = alias {
            self.met.insert(names::label(&alias.name));
        }
    }
}

fn told(said: Result<(), &'static str>) -> ControlFlow<&'static str> {
    match said {
        Ok(()) => ControlFlow::Continue(()),
        Err(why) => ControlFlow::Break(why),
    }
}

fn address(name: &ObjectName) -> usize {
    std::ptr::from_ref(name).addr()
}

fn takes_all(arguments: &FunctionArguments) -> bool {
    let FunctionArguments::List(list) = arguments else { return false };
    list.args.iter().any(|argument| {
        let (FunctionArg::Unnamed(one)
        | FunctionArg::Named { arg: one, .. }
        | FunctionArg::ExprNamed { arg: one, .. }) = argument;
        !matches!(one, FunctionArgExpr::Expr(_))
    })
}

fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    match operator {
        JoinOperator::Join(one)
        | JoinOperator::Inner(one)
        | JoinOperator::Left(one)
        | JoinOperator::LeftOuter(one)
        | JoinOperator::Right(one)
        | JoinOperator::RightOuter(one)
        | JoinOperator::FullOuter(one)
        | JoinOperator::CrossJoin(one)
        | JoinOperator::Semi(one)
        | JoinOperator::LeftSemi(one)
        | JoinOperator::RightSemi(one)
        | JoinOperator::Anti(one)
        | JoinOperator::LeftAnti(one)
        | JoinOperator::RightAnti(one)
        | JoinOperator::StraightJoin(one)
        | JoinOperator::AsOf { constraint: one, .. } => Some(one),
        _ => None,
    }
}

/// Words that some server has before the name of a table.
const NO_TABLES: [&str; 8] = ["changes", "final", "lateral", "live", "only", "snapshot", "stream", "table"];
/// An EXPLAIN, the statement in it, and changes inside queries.
const STATEMENTS_MAX: usize = 8;
