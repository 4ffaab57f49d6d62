"""Tells what sqlglot makes of statements: one JSON object a line in, one a line out. It runs where sqlglot is installed,
and knows nothing of our facts.
"""

import json
import logging
import sys

import sqlglot
from sqlglot import exp

VERBS = {
    exp.Insert: "insert", exp.Update: "update", exp.Delete: "delete", exp.Merge: "merge", exp.Create: "create",
    exp.Drop: "drop", exp.Alter: "alter", exp.TruncateTable: "truncate", exp.Copy: "server", exp.Use: "set",
    exp.Set: "set", exp.Describe: "show", exp.Show: "show", exp.Transaction: "begin", exp.Commit: "commit",
    exp.Rollback: "rollback", exp.Grant: "grant", exp.Revoke: "grant", exp.Comment: "alter", exp.Export: "server",
exp.LoadData: "server", exp.MultitableInserts: "insert", exp.Put: "server", exp.Get: "server",
}
# Statements that sqlglot does not read, by their first word.
COMMANDS = {
    "CALL": "call", "EXECUTE": "do", "EXEC": "do", "GRANT": "grant", "REVOKE": "grant", "SHOW": "show", "LIST": "server",
    "LS": "server", "REMOVE": "server", "RM": "server", "PUT": "server", "GET": "server", "EXPLAIN": "explain",
    "OPTIMIZE": "maintain", "VACUUM": "maintain", "ALTER": "alter", "DESC": "show", "DESCRIBE": "show",
}
# Words before a bracket that call nothing.
NO_FUNCTIONS = {"", "all", "table"}


def told(dialect, sql):
    try:
        trees = [tree for tree in sqlglot.parse(sql, read=dialect) if tree is not None]
    except Exception as error:  # whatever it raises, it has not read the text
        return {"problem": type(error).__name__}
    return {"problem": None, "statements": [statement(tree) for tree in trees]}


def statement(tree):
    tables = [table for table in tree.find_all(exp.Table) if is_table(table)]
    targets = {id(table) for table in written(tree)}
    of_rights = isinstance(tree, (exp.Grant, exp.Revoke))
    called = {name_of(call) for call in tree.find_all(exp.Anonymous)
              if isinstance(call.this, str) and not of_rights and not call.find_ancestor(exp.Hint)}
    return {
        "verbs": sorted(verbs(tree)),
        "kind": kind(tree),
        "reads": sorted({named(table) for table in tables if id(table) not in targets}),
        "writes": sorted({named(table) for table in tables if id(table) in targets}),
        "functions": sorted(called - NO_FUNCTIONS),
    }


def verbs(tree):
    if isinstance(tree, exp.Command):
        verb = COMMANDS.get(str(tree.this).upper())
        return {verb} if verb else set()
    if isinstance(tree, exp.Create) and (tree.args.get("kind") or "").upper() in ("USER", "ROLE"):
        return {"grant"}
    if isinstance(tree, exp.Alter) and tree.args.get("kind") == "SESSION":
        return {"set"}
    if isinstance(tree, exp.Merge):
        return {"merge"} | {VERBS[type(then)] for when in tree.find_all(exp.When)
                            if type(then := when.args.get("then")) in VERBS}
    found = {verb for kind, verb in VERBS.items() if isinstance(tree, kind)}
    if isinstance(tree, exp.Insert) and tree.args.get("overwrite"):
        found.add("truncate")
    if not found and isinstance(tree, (exp.Query, exp.Table)):
        found.add("create" if isinstance(tree, exp.Select) and tree.args.get("into") else "select")
    return found


def kind(tree):
    words = [str(tree.this).upper()] if isinstance(tree, exp.Command) else [type(tree).__name__]
    return " ".join([*words, *([tree.args["kind"]] if isinstance(tree.args.get("kind"), str) else [])])


def written(tree):
    """The tables that the statement changes."""
    if isinstance(tree, exp.MultitableInserts):
        return [table for into in tree.find_all(exp.Insert) for table in target(into.this)]
    if isinstance(tree, (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Alter)):
        return target(tree.this)
    if isinstance(tree, exp.Drop):
        return [table for one in dropped(tree) for table in target(one)]
    if isinstance(tree, exp.TruncateTable):
        return [table for one in tree.expressions for table in target(one)]
    return []


def dropped(tree):
    kind = tree.args.get("kind") or "TABLE"
    return [one for one in tree.args.get("tables") or [tree.this] if kind.endswith(("TABLE", "VIEW"))]


def target(node):
    while isinstance(node, (exp.Schema, exp.Subquery)):
        node = node.this
    return [node] if isinstance(node, exp.Table) else []


def is_table(table):
    """Whether it is a name of a table: no function, no stage, no column with elements, no CTE."""
    if not isinstance(table.this, exp.Identifier) or table.find_ancestor(exp.Hint):
        return False
    statement = table.root()
    if isinstance(statement, exp.Drop) and not any(table is one for one in dropped(statement)):
        return False
    if isinstance(statement, exp.Export) and table is statement.args.get("connection"):
        return False
    if isinstance(statement, (exp.Create, exp.Describe, exp.Comment)) and \
            (statement.args.get("kind") or "TABLE").upper() not in ("TABLE", "VIEW"):
        return not any(table is one for one in around(statement))
    if isinstance(statement, (exp.Use, exp.Show, exp.Grant, exp.Revoke, exp.Command, exp.Set)):
        return False
    return bool(table.args.get("db")) or not is_cte(table)


def around(statement):
    """Names of a statement that are those of something else than a table."""
    this = statement.this
    return [this, *(this.find_all(exp.Table) if isinstance(this, (exp.Schema, exp.UserDefinedFunction)) else [])]


def is_cte(table):
    inside, node = table, table.parent
    while node is not None:
        clause = node.args.get("with_") or node.args.get("with")
        if isinstance(clause, exp.With):
            seen = clause.expressions
            if inside is clause:
                place = next(place for place, cte in enumerate(seen) if any(up is cte for up in lineage(table)))
                seen = seen[:place + 1] if clause.args.get("recursive") else seen[:place]
            if any(cte.alias.lower() == table.name.lower() for cte in seen):
                return True
        inside, node = node, node.parent
    return False


def lineage(node):
    while node is not None:
        yield node
        node = node.parent


def named(table):
    return ".".join(part.name for part in table.parts if not isinstance(part, exp.Star)).lower()


def name_of(call):
    return call.this.lower().rsplit(".", 1)[-1]


def main():
    logging.disable(logging.CRITICAL)
    sys.setrecursionlimit(20_000)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(told(asked["dialect"], asked["sql"])), flush=True)


if __name__ == "__main__":
    main()
