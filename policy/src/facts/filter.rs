//! Tells whether a WHERE condition can choose rows at all; it never claims that the choice is small.

use pg_raw_parse::nodes::{A_Expr, BoolExpr, BooleanTest, ColumnRef, RangeVar, SelectStmt, TypeCast};
use pg_raw_parse::raw::{A_Expr_Kind, BoolExprType, BoolTestType, NullTestType, SubLinkType};
use pg_raw_parse::walk::{Recurse, walk_manual};
use pg_raw_parse::{ConstValue, Node, list::NodeList};
use std::cmp::Ordering;

/// By what the rows of a change are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// There is no condition.
    None,
    /// There is one, but it is the same for every row.
    Everything,
    /// A condition on the rows.
    Rows,
}

impl Filter {
    /// Whether it leaves rows out, as far as grammar can tell.
    pub fn restricts(self) -> bool {
        self == Self::Rows
    }
}

/// Reads the condition of a change to `table`.
pub(super) fn filter(condition: Node<'_>, table: &RangeVar) -> Filter {
    match condition {
        Node::None => Filter::None,
        condition => match (Reader { table }).truth(condition, DEPTH_MAX) {
            // A condition that is never true changes nothing, which is harmless.
            Truth::Rows | Truth::Never => Filter::Rows,
            Truth::Always | Truth::Same => Filter::Everything,
        },
    }
}

/// What a condition is, seen over all rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Truth {
    /// True for every row, give or take NULLs.
    Always,
    /// False for every row.
    Never,
    /// The same for every row, but only the server knows which.
    Same,
    /// Depends on the row.
    Rows,
}

impl Truth {
    fn not(self) -> Self {
        match self {
            Self::Always => Self::Never,
            Self::Never => Self::Always,
            other => other,
        }
    }

    fn of(truth: bool) -> Self {
        if truth { Self::Always } else { Self::Never }
    }
}

struct Reader<'t> {
    table: &'t RangeVar,
}

impl Reader<'_> {
    fn truth(&self, node: Node<'_>, depth: u32) -> Truth {
        let Some(depth) = depth.checked_sub(1) else { return Truth::Same };
        match node {
            Node::BoolExpr(expression) => self.of_bool(expression, depth),
            Node::A_Expr(expression) => self.of_operator(expression),
            Node::BooleanTest(test) => self.of_test(test, depth),
            Node::NullTest(test) if !self.on_rows(test.arg()) => match test.arg() {
                Node::A_Const(constant) => {
                    Truth::of(constant.isnull == (test.nulltesttype == NullTestType::IS_NULL))
                }
                _ => Truth::Same,
            },
            // Whether a column can be NULL is not in the grammar; most that are tested so cannot.
            Node::NullTest(test) if test.nulltesttype == NullTestType::IS_NOT_NULL => Truth::Same,
            Node::A_Const(constant) => of_constant(constant.val()),
            Node::TypeCast(cast) if is_bool(cast) => self.truth(cast.arg(), depth),
            Node::SubLink(link)
                if link.sub_link_type == SubLinkType::ANY_SUBLINK
                    && is_own_column(link.testexpr(), link.subselect(), self.table) =>
            {
                Truth::Same
            }
            Node::CoalesceExpr(values) => match values.args().iter().find(|value| !is_null(*value)) {
                Some(first @ Node::A_Const(_)) => self.truth(first, depth),
                Some(_) => self.rows_or_same(node),
                None => Truth::Never,
            },
            Node::CaseExpr(case) => {
                let whens = case.args().iter().map(|when| match when {
                    Node::CaseWhen(when) => self.truth(when.result(), depth),
                    _ => Truth::Same,
                });
                let rest = std::iter::once(self.truth(case.defresult(), depth));
                let mut all = whens.chain(rest);
                let first = all.next().unwrap_or(Truth::Same);
                if first != Truth::Rows && all.all(|one| one == first) {
                    first
                } else {
                    self.rows_or_same(node)
                }
            }
            _ => self.rows_or_same(node),
        }
    }

    fn of_bool(&self, expression: &BoolExpr, depth: u32) -> Truth {
        let mut all = expression.args().iter().map(|argument| self.truth(argument, depth));
        match expression.boolop {
            BoolExprType::NOT_EXPR => all.next().map_or(Truth::Same, Truth::not),
            BoolExprType::AND_EXPR => all.fold(Truth::Always, |whole, part| match (whole, part) {
                (Truth::Never, _) | (_, Truth::Never) => Truth::Never,
                (Truth::Rows, _) | (_, Truth::Rows) => Truth::Rows,
                (Truth::Same, _) | (_, Truth::Same) => Truth::Same,
                _ => Truth::Always,
            }),
            BoolExprType::OR_EXPR if complete(expression.args()) => Truth::Same,
            BoolExprType::OR_EXPR => all.fold(Truth::Never, |whole, part| match (whole, part) {
                (Truth::Always, _) | (_, Truth::Always) => Truth::Always,
                (Truth::Same, _) | (_, Truth::Same) => Truth::Same,
                (Truth::Rows, _) | (_, Truth::Rows) => Truth::Rows,
                _ => Truth::Never,
            }),
            _ => Truth::Same,
        }
    }

    fn of_test(&self, test: &BooleanTest, depth: u32) -> Truth {
        // `Always` and `Never` may hide a NULL, so that only some tests of them are certain.
        match (test.booltesttype, self.truth(test.arg(), depth)) {
            (BoolTestType::IS_TRUE, inner) => inner,
            (BoolTestType::IS_NOT_FALSE, Truth::Always) | (BoolTestType::IS_NOT_TRUE, Truth::Never) => {
                Truth::Always
            }
            (BoolTestType::IS_FALSE, Truth::Always) => Truth::Never,
            (BoolTestType::IS_NOT_UNKNOWN, _) => Truth::Same,
            (_, Truth::Rows) => Truth::Rows,
            _ => Truth::Same,
        }
    }

    fn of_operator(&self, expression: &A_Expr) -> Truth {
        let (left, right) = (expression.lexpr(), expression.rexpr());
        let name = expression.name().iter().next_back().and_then(Node::as_str).unwrap_or_default();
        let foreign = expression.name().iter().rev().nth(1).and_then(Node::as_str);
        if foreign.is_some_and(|schema| schema != "pg_catalog") {
            return Truth::Same;
        }
        match expression.kind {
            A_Expr_Kind::AEXPR_NOT_DISTINCT if same(left, right) => return Truth::Always,
            A_Expr_Kind::AEXPR_DISTINCT if same(left, right) => return Truth::Never,
            // `x IS DISTINCT FROM NULL` is `x IS NOT NULL`.
            A_Expr_Kind::AEXPR_DISTINCT if is_null(left) || is_null(right) => return Truth::Same,
            A_Expr_Kind::AEXPR_IN | A_Expr_Kind::AEXPR_OP_ANY if name == "=" && lists(right, left) => {
                return Truth::Always;
            }
            A_Expr_Kind::AEXPR_LIKE | A_Expr_Kind::AEXPR_ILIKE if is_text(right, &["%", "%%"]) => {
                return Truth::of(!name.starts_with('!'));
            }
            A_Expr_Kind::AEXPR_BETWEEN if between_itself(left, right) => return Truth::Always,
            A_Expr_Kind::AEXPR_OP
                if matches!(name, "~" | "~*") && is_text(right, &["", ".", ".*", "^", "$"]) =>
            {
                return Truth::Always;
            }
            A_Expr_Kind::AEXPR_OP => {
                if let Some(truth) = compare(name, left, right) {
                    return truth;
                }
            }
            _ => {}
        }
        if self.on_rows(left) || self.on_rows(right) { Truth::Rows } else { Truth::Same }
    }

    fn rows_or_same(&self, node: Node<'_>) -> Truth {
        if self.on_rows(node) { Truth::Rows } else { Truth::Same }
    }

    /// Whether an expression mentions a column of the row. Inside a subquery only `table.column` counts.
    fn on_rows(&self, node: Node<'_>) -> bool {
        any(node, |node| match node {
            Node::ColumnRef(column) if self.is_of_others(column) => Look::Past,
            Node::ColumnRef(_) | Node::CurrentOfExpr(_) => Look::Found,
            Node::SelectStmt(query) if self.correlated(query) => Look::Found,
            Node::SelectStmt(_) => Look::Past,
            Node::A_Expr(expression) if cancels(expression) => Look::Past,
            _ => Look::Into,
        })
    }

    /// `other.column`, which chooses rows of another table than the one that is changed.
    fn is_of_others(&self, column: &ColumnRef) -> bool {
        let qualifier = column.fields().iter().rev().nth(1).and_then(Node::as_str);
        qualifier.is_some() && qualifier != visible_name(self.table)
    }

    fn correlated(&self, query: &SelectStmt) -> bool {
        let own = visible_name(self.table);
        // A subquery that has the outer name in its own FROM means its own table by it.
        if query.from_clause().iter().any(|item| matches!(item, Node::RangeVar(t) if visible_name(t) == own))
        {
            return false;
        }
        any(Node::SelectStmt(query), |node| match node {
            Node::ColumnRef(column) if column.fields().len() > 1 => {
                let qualifier = column.fields().iter().rev().nth(1).and_then(Node::as_str);
                if qualifier == own { Look::Found } else { Look::Past }
            }
            _ => Look::Into,
        })
    }
}

enum Look {
    Found,
    Into,
    Past,
}

/// Looks through a tree without recursion; a tree too large to be looked through holds nothing.
fn any<'a>(node: Node<'a>, mut look: impl FnMut(Node<'a>) -> Look) -> bool {
    let (mut todo, mut steps) = (vec![node], 0u32);
    while let Some(node) = todo.pop() {
        steps += 1;
        match (node, look(node)) {
            _ if steps > STEPS_MAX => return false,
            (Node::None, _) | (_, Look::Past) => {}
            (_, Look::Found) => return true,
            (node, Look::Into) => {
                walk_manual::<()>(node, |child| {
                    todo.push(child);
                    Recurse::no()
                });
            }
        }
    }
    false
}

fn visible_name(table: &RangeVar) -> Option<&str> {
    table.alias().and_then(|alias| alias.aliasname()).or_else(|| table.relname())
}

/// `id IN (SELECT id FROM t)` on `t` itself, without a condition inside.
fn is_own_column(test: Node<'_>, query: Node<'_>, table: &RangeVar) -> bool {
    let Node::SelectStmt(query) = query else { return false };
    let plain = matches!(query.where_clause(), Node::None)
        && matches!(query.limit_count(), Node::None)
        && query.from_clause().len() == 1
        && matches!(query.having_clause(), Node::None);
    let from_itself = query.from_clause().iter().all(|item| match item {
        Node::RangeVar(from) => from.relname() == table.relname(),
        _ => false,
    });
    let first = query.target_list().iter().next().map(pg_raw_parse::nodes::ResTarget::val);
    plain && from_itself && first.is_some_and(|column| last_name(column) == last_name(test))
}

fn last_name(node: Node<'_>) -> Option<&str> {
    match node {
        Node::ColumnRef(column) => column.fields().iter().next_back().and_then(Node::as_str),
        _ => None,
    }
}

/// Exactly the same column, or the same literal, on both sides.
fn same(left: Node<'_>, right: Node<'_>) -> bool {
    match (left, right) {
        (Node::ColumnRef(_), Node::ColumnRef(_)) => names(left) == names(right),
        (Node::A_Const(left), Node::A_Const(right)) => match (left.val(), right.val()) {
            (Some(left), Some(right)) => left.to_string() == right.to_string(),
            _ => false,
        },
        _ => false,
    }
}

/// Two sides that are the same but for casts, and what adds nothing, which may or may not change them; or that make the
/// same of the same.
fn alike(left: Node<'_>, right: Node<'_>) -> bool {
    match (bare(left), bare(right)) {
        (Node::FuncCall(left), Node::FuncCall(right)) => {
            let (ours, theirs) = (left.args(), right.args());
            texts(left.funcname()) == texts(right.funcname())
                && ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|(left, right)| alike(left, right))
        }
        (Node::A_Expr(left), Node::A_Expr(right)) => {
            texts(left.name()) == texts(right.name())
                && alike(left.lexpr(), right.lexpr())
                && alike(left.rexpr(), right.rexpr())
        }
        (Node::None, Node::None) => true,
        (left, right) => same(left, right),
    }
}

/// Without casts, and without `+ 0`, `- 0`, `* 1` and `|| ''`.
fn bare(mut node: Node<'_>) -> Node<'_> {
    for _ in 0..DEPTH_MAX {
        node = match node {
            Node::TypeCast(cast) => cast.arg(),
            Node::A_Expr(expression) => {
                let (left, right) = (expression.lexpr(), expression.rexpr());
                let adds = |node, other| match (texts(expression.name()).last(), number(node)) {
                    (Some(&("+" | "-")), Some(0.0)) | (Some(&"*"), Some(1.0)) => !matches!(other, Node::None),
                    (Some(&"||"), _) => is_text(node, &[""]),
                    _ => false,
                };
                match (adds(right, left), adds(left, right)) {
                    (true, _) => left,
                    (_, true) => right,
                    _ => return node,
                }
            }
            _ => return node,
        };
    }
    node
}

fn texts(list: &NodeList) -> Vec<&str> {
    list.iter().filter_map(Node::as_str).collect()
}

/// `x = 1 OR x <> 1` and the like: one of them is true of every row.
fn complete(arms: &NodeList) -> bool {
    let compared = |arm| match arm {
        Node::A_Expr(one) if one.kind == A_Expr_Kind::AEXPR_OP => {
            Some((texts(one.name()).last().copied()?, one.lexpr(), one.rexpr()))
        }
        _ => None,
    };
    let arms: Vec<_> = arms.iter().filter_map(compared).take(ARMS_MAX).collect();
    arms.iter().enumerate().any(|(at, (name, left, right))| {
        let opposite = match *name {
            "=" => "<>",
            "<>" => "=",
            "<" => ">=",
            ">=" => "<",
            ">" => "<=",
            "<=" => ">",
            _ => return false,
        };
        arms.iter().skip(at + 1).any(|(other, first, second)| {
            *other == opposite && alike(*left, *first) && alike(*right, *second)
        })
    })
}

fn is_bool(cast: &TypeCast) -> bool {
    let name = cast.type_name().and_then(|name| name.names().iter().next_back()).and_then(|name| name.sval());
    name == Some("bool")
}

fn names(node: Node<'_>) -> Vec<&str> {
    let Node::ColumnRef(column) = node else { return Vec::new() };
    column.fields().iter().filter_map(Node::as_str).collect()
}

fn lists(list: Node<'_>, wanted: Node<'_>) -> bool {
    let elements: &NodeList = match list {
        Node::NodeList(list) => list,
        Node::A_ArrayExpr(array) => array.elements(),
        _ => return false,
    };
    elements.iter().any(|element| same(element, wanted))
}

fn between_itself(value: Node<'_>, bounds: Node<'_>) -> bool {
    let Node::NodeList(bounds) = bounds else { return false };
    bounds.iter().all(|bound| same(bound, value))
}

/// `x * 0` and `x - x` mention a column without depending on it.
fn cancels(expression: &A_Expr) -> bool {
    let (left, right) = (expression.lexpr(), expression.rexpr());
    match expression.name().iter().next_back().and_then(Node::as_str) {
        Some("*") => number(left) == Some(0.0) || number(right) == Some(0.0),
        Some("-") => alike(left, right),
        _ => false,
    }
}

fn compare(name: &str, left: Node<'_>, right: Node<'_>) -> Option<Truth> {
    let holds = |order: Ordering| match name {
        "=" => Some(order == Ordering::Equal),
        "<>" => Some(order != Ordering::Equal),
        "<" => Some(order == Ordering::Less),
        ">" => Some(order == Ordering::Greater),
        "<=" => Some(order != Ordering::Greater),
        ">=" => Some(order != Ordering::Less),
        _ => None,
    };
    if same(left, right) {
        return holds(Ordering::Equal).map(Truth::of);
    }
    if let (Some(left), Some(right)) = (whole(left), whole(right)) {
        return holds(left.cmp(&right)).map(Truth::of);
    }
    if alike(left, right) && holds(Ordering::Equal).is_some() {
        return Some(Truth::Same);
    }
    // A bound at the very end of the whole numbers leaves nothing out.
    match (name, number(left), number(right)) {
        (">" | ">=", None, Some(bound)) | ("<" | "<=", Some(bound), None) if bound <= WHOLE_MIN => {
            Some(Truth::Same)
        }
        ("<" | "<=", None, Some(bound)) | (">" | ">=", Some(bound), None) if bound >= WHOLE_MAX => {
            Some(Truth::Same)
        }
        _ => None,
    }
}

fn whole(node: Node<'_>) -> Option<i32> {
    match node {
        Node::A_Const(constant) => match constant.val()? {
            ConstValue::Integer(number) => Some(number),
            _ => None,
        },
        _ => None,
    }
}

fn number(node: Node<'_>) -> Option<f64> {
    match node {
        Node::A_Const(constant) => match constant.val()? {
            ConstValue::Integer(number) => Some(number.into()),
            ConstValue::Float(text) => text.parse().ok(),
            _ => None,
        },
        // A sign in front of a number that does not fit is an operator of its own.
        Node::A_Expr(expression) if matches!(expression.lexpr(), Node::None) => {
            let sign = expression.name().iter().next_back().and_then(Node::as_str);
            number(expression.rexpr()).filter(|_| sign == Some("-")).map(|number| -number)
        }
        Node::TypeCast(cast) => number(cast.arg()),
        _ => None,
    }
}

fn is_null(node: Node<'_>) -> bool {
    matches!(node, Node::A_Const(constant) if constant.isnull)
}

fn is_text(node: Node<'_>, texts: &[&str]) -> bool {
    let Node::A_Const(constant) = node else { return false };
    matches!(constant.val(), Some(ConstValue::String(text)) if texts.contains(&text))
}

fn of_constant(value: Option<ConstValue<'_>>) -> Truth {
    match value {
        Some(ConstValue::Boolean(truth)) => Truth::of(truth),
        // NULL is not true.
        None => Truth::Never,
        Some(ConstValue::Integer(number)) => Truth::of(number != 0),
        Some(ConstValue::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "f" | "false" | "n" | "no" | "off" | "0" => Truth::Never,
            _ => Truth::Same,
        },
        Some(_) => Truth::Same,
    }
}

const DEPTH_MAX: u32 = 200;
const STEPS_MAX: u32 = 100_000;
const ARMS_MAX: usize = 64;
const WHOLE_MIN: f64 = -2_147_483_648.0;
const WHOLE_MAX: f64 = 2_147_483_647.0;
