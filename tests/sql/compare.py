"""Holds what our facts say of a statement against what the server says of it; it asks neither of them anything."""

import re

READING = {"empty", "show", "begin", "commit", "rollback", "listen", "notify", "discard", "fetch", "explain", "set", "select",
           "copy_out", "lock", "prepare", "execute"}
# The verbs, one of which a statement must have whose command the server calls by this tag; the longest start counts.
TAGS = {
    "ALTER": {"alter"}, "ALTER DEFAULT PRIVILEGES": {"grant"}, "ALTER ROLE": {"grant"}, "ALTER SYSTEM": {"server"},
    "ANALYZE": {"maintain"}, "BEGIN": {"begin"}, "CALL": {"call"}, "CHECKPOINT": {"maintain"}, "CLOSE CURSOR": {"discard"},
    "CLUSTER": {"maintain"}, "COMMENT": {"alter"}, "COMMIT": {"commit"}, "COPY": {"copy_in", "copy_out", "server"},
    "CREATE": {"create"}, "CREATE ROLE": {"grant"}, "DEALLOCATE": {"discard"}, "DECLARE CURSOR": {"select"},
    "DELETE": {"delete"}, "DISCARD": {"discard"}, "DO": {"do"}, "DROP": {"drop"}, "DROP ROLE": {"grant"},
    "EXPLAIN": {"explain"}, "FETCH": {"fetch"}, "GRANT": {"grant"}, "IMPORT FOREIGN SCHEMA": {"create"}, "INSERT": {"insert"},
    "LISTEN": {"listen"}, "LOAD": {"server"}, "LOCK TABLE": {"lock"}, "MERGE": {"merge"}, "MOVE": {"fetch"},
    "NOTIFY": {"notify"}, "PREPARE": {"prepare"}, "PREPARE TRANSACTION": {"commit"}, "REASSIGN OWNED": {"grant"},
    "REFRESH MATERIALIZED VIEW": {"maintain"}, "REINDEX": {"maintain"}, "RELEASE": {"begin"}, "RESET": {"set"},
    "REVOKE": {"grant"}, "ROLLBACK": {"rollback"}, "SAVEPOINT": {"begin"}, "SECURITY LABEL": {"alter"},
    "SELECT": {"select", "create"}, "SET": {"set"}, "SHOW": {"show"}, "START TRANSACTION": {"begin"}, "TRUNCATE TABLE": {"truncate"},
    "UNLISTEN": {"listen"}, "UPDATE": {"update"}, "VACUUM": {"maintain"},
}
# Objects that hang on a table: the table is what must be told.
OF_TABLE = {"trigger", "policy", "rule", "table column", "table constraint", "default value", "view column",
            "materialized view column", "foreign table column", "column"}
RELATIONS = {"table", "view", "materialized view", "sequence", "index", "foreign table"}


def missing(facts, sql, tags, view, ddl, kept):
    """Whatever the server knows of and our facts lack, as `what: name`."""
    statements = facts["statements"]
    touched = [name for one in statements for name in one["reads"] + one["writes"]]
    written = [name for one in statements for name in one["writes"]]
    called = [name for one in statements for name in one["functions"]]
    columns = [name for one in statements for name in one["columns"]]
    cut = any("names_truncated" in one["tags"] for one in statements)
    lacks = verbs(statements, tags)
    # The names of a plain EXPLAIN count as read: nothing is written.
    plain = all(one["verb"] == "explain" for one in statements)
    for found in [view, kept]:
        if not found or cut:
            continue
        lacks += [f"relation: {'.'.join(name)}" for name in found.touched if not meant(name, touched)]
        if not plain and found is view:
            lacks += [f"written: {'.'.join(name)}" for name in found.written if not meant(name, written)]
        lacks += [f"function: {'.'.join(name)}" for name in found.functions
                  if not meant(name, called) and not as_column(name, columns)]
        operators = [name for one in statements for name in one["operators"]]
        lacks += [f"operator: {'.'.join(name)}" for name in found.operators if not any(
            told in (name[1], ".".join(name)) for told in operators)]
    lacks += [lack for entry in ddl for lack in of_ddl(entry, written, tags)]
    return sorted(set(lacks))


def verbs(statements, tags):
    if any(one["verb"] in ("execute", "call", "do") or "explain_analyze" in one["tags"] for one in statements):
        return []
    lacks = []
    pairs = [(one, tag) for one, tag in zip([one for one in statements if one["verb"] != "empty"], tags)]
    for statement, tag in pairs if len(statements) >= len(tags) else []:
        start = max((start for start in TAGS if tag == start or tag.startswith(start + " ")), key=len, default=None)
        if start is None:
            lacks.append(f"tag: {tag}")
        elif not TAGS[start] & set(statement["verbs"]):
            lacks.append(f"verb: {tag} but {statement['verb']}")
    return lacks


def of_ddl(entry, written, tags):
    kind = entry["type"]
    if entry["tag"] == "dropped":
        names = entry["names"] or []
        if not any(tag.startswith("DROP") for tag in tags):
            return []
        if kind in RELATIONS and len(names) >= 2 and not meant(tuple(names[-2:]), written):
            return [f"dropped: {'.'.join(names)}"]
        if kind in OF_TABLE and len(names) >= 3 and not meant(tuple(names[-3:-1]), written):
            return [f"dropped from: {'.'.join(names)}"]
        return []
    # What the server makes on the side has a command of its own.
    if not any(tag == entry["tag"] for tag in tags) or not entry.get("name") or kind in ("type", "composite type"):
        return []
    alike = [(entry["schema"], entry[key]) for key in ("name", "of_table") if entry.get(key)]
    return [] if any(meant(name, written) for name in alike) else [f"{entry['tag']}: {'.'.join(alike[0])}"]


def meant(name, told):
    """Whether one of the names told may stand for `(schema, name)`."""
    schema, last = name
    wanted = {"*", quoted(last), f"{quoted(schema)}.{quoted(last)}", f"{quoted(schema)}.*"}
    if schema.startswith("pg_temp"):
        wanted |= {f"pg_temp.{quoted(last)}"}
    return any(one in wanted for one in told)


def as_column(name, columns):
    """A function of one row, or a cast, may be written like a column; only a catalog can tell."""
    return any(column.rsplit(".", 1)[-1] == name[1] for column in columns)


def quoted(part):
    return '"' + part.replace('"', '""') + '"' if not part or re.search(r'[.*"]', part) else part
