//! The functions that stand behind operators, aggregates, types, casts and the like: using these is calling them. It
//! reads no bodies.

use crate::facts::name_of_parts;
use pg_raw_parse::Node;
use pg_raw_parse::nodes::CreateOpClassItem;

/// Functions that what this statement makes will call.
pub(crate) fn behind(node: Node<'_>) -> Vec<String> {
    let options = match node {
        Node::DefineStmt(define) => define.definition(),
        Node::CreateRangeStmt(range) => range.params(),
        Node::CreateCastStmt(cast) => {
            return cast.func().into_iter().map(|one| name_of_parts(one.objname().iter())).collect();
        }
        Node::CreateConversionStmt(one) => return vec![name_of_parts(one.func_name().iter())],
        Node::CreateOpClassStmt(class) => {
            let functions = class.items().iter().filter(|item| item.itemtype == FUNCTION_ITEM);
            let names = functions.filter_map(CreateOpClassItem::name);
            return names.map(|one| name_of_parts(one.objname().iter())).collect();
        }
        Node::CreateTransformStmt(one) => {
            let both = [one.fromsql(), one.tosql()].into_iter().flatten();
            return both.map(|one| name_of_parts(one.objname().iter())).collect();
        }
        _ => return Vec::new(),
    };
    let named = options.iter().filter_map(|option| match (option.defname(), option.arg()) {
        (Some(name), Node::TypeName(named)) if !TYPES.contains(&name) => Some(named),
        _ => None,
    });
    named.map(|named| name_of_parts(named.names().iter().map(Node::String))).collect()
}

/// Options of `CREATE OPERATOR`, `AGGREGATE` and `TYPE` that name a type, or an operator.
const TYPES: [&str; 14] = [
    "basetype",
    "stype",
    "mstype",
    "stype1",
    "leftarg",
    "rightarg",
    "element",
    "subtype",
    "like",
    "sortop",
    "commutator",
    "negator",
    "subtype_opclass",
    "collation",
];
/// `OPCLASS_ITEM_FUNCTION` of the grammar.
const FUNCTION_ITEM: i32 = 2;
