"""Asks a server what a statement is about: relations, functions and operators of its own analysed tree, objects that
DDL has touched, rows that were changed. It asks in the session of the statement and leaves nothing behind.
"""

import json
import re

# What DDL touches is written into a setting of the session, so that an undone statement leaves nothing there.
INSTALL = """
CREATE SCHEMA clyra_diff;
CREATE FUNCTION clyra_diff.note(entry json) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  PERFORM pg_catalog.set_config('clyra.ddl',
    coalesce(pg_catalog.current_setting('clyra.ddl', true), '') || entry::text || E'\\n', false);
END $$;
CREATE FUNCTION clyra_diff.ended() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE one record;
BEGIN
  FOR one IN SELECT c.command_tag AS tag, c.object_type AS type, c.objid::bigint AS oid, c.classid::regclass::text AS class,
      n.nspname AS schema, r.relname AS name, r.relkind::text AS kind, t.relname AS of_table
    FROM pg_catalog.pg_event_trigger_ddl_commands() c
    LEFT JOIN pg_catalog.pg_trigger g ON c.classid = 'pg_catalog.pg_trigger'::regclass AND g.oid = c.objid
    LEFT JOIN pg_catalog.pg_rewrite w ON c.classid = 'pg_catalog.pg_rewrite'::regclass AND w.oid = c.objid
    LEFT JOIN pg_catalog.pg_policy p ON c.classid = 'pg_catalog.pg_policy'::regclass AND p.oid = c.objid
    LEFT JOIN pg_catalog.pg_class r ON r.oid = coalesce(g.tgrelid, w.ev_class, p.polrelid,
      CASE WHEN c.classid = 'pg_catalog.pg_class'::regclass THEN c.objid END)
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
    LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = r.oid
    LEFT JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
  LOOP
    PERFORM clyra_diff.note(row_to_json(one));
  END LOOP;
EXCEPTION WHEN OTHERS THEN NULL;
END $$;
CREATE FUNCTION clyra_diff.dropped() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE one record;
BEGIN
  FOR one IN SELECT 'dropped' AS tag, object_type AS type, address_names AS names
    FROM pg_catalog.pg_event_trigger_dropped_objects() WHERE original
  LOOP
    PERFORM clyra_diff.note(row_to_json(one));
  END LOOP;
EXCEPTION WHEN OTHERS THEN NULL;
END $$;
GRANT USAGE ON SCHEMA clyra_diff TO PUBLIC;
CREATE EVENT TRIGGER clyra_diff_ended ON ddl_command_end EXECUTE FUNCTION clyra_diff.ended();
CREATE EVENT TRIGGER clyra_diff_dropped ON sql_drop EXECUTE FUNCTION clyra_diff.dropped();
"""
COUNT = """SELECT pg_catalog.sum(pg_catalog.pg_stat_get_tuples_inserted(oid) + pg_catalog.pg_stat_get_tuples_updated(oid)
 + pg_catalog.pg_stat_get_tuples_deleted(oid)) FROM pg_catalog.pg_class WHERE relkind = 'r' AND oid >= 16384"""
USER_OID_MIN = 16384
ACL_SELECT, ACL_CHANGES = 2, 1 | 4 | 8

# The parts of a stored tree that matter, as PostgreSQL 14 and later write it.
RELATION = re.compile(r":rtekind 0 :relid (\d+) :relkind (\w)(?:.(?!:rtekind))*?:requiredPerms (\d+)", re.S)
FUNCTION = re.compile(r"\{FUNCEXPR :funcid (\d+) :funcresulttype \d+ :funcretset \w+ :funcvariadic \w+ :funcformat (\d)")
OTHER_FUNCTION = re.compile(r"\{(?:AGGREF :aggfnoid|WINDOWFUNC :winfnoid) (\d+)")
OPERATOR = re.compile(r":opno (\d+)")
EXPLICIT_CALLS = ("0", "3")


class Names:
    """Names of what the server brings along, by oid; those of users are asked for each time, because they change."""

    def __init__(self):
        self.own = {}

    def load(self, link):
        for kind, sql in LOOKUPS.items():
            rows = link.ask(f"{sql} WHERE o.oid < {USER_OID_MIN}").rows
            self.own[kind] = {int(oid): (schema, name) for oid, schema, name in rows}

    def of(self, link, kind, oids):
        if kind not in self.own:
            self.load(link)
        found = {oid: self.own[kind][oid] for oid in oids if oid in self.own[kind]}
        asked = [str(oid) for oid in oids if oid >= USER_OID_MIN]
        if asked:
            rows = link.ask(f"{LOOKUPS[kind]} WHERE o.oid IN ({', '.join(asked)})").rows
            found.update({int(oid): (schema, name) for oid, schema, name in rows})
        return found


LOOKUPS = {
    "relation": "SELECT o.oid, n.nspname, o.relname FROM pg_catalog.pg_class o "
                "JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace",
    "function": "SELECT o.oid, n.nspname, o.proname FROM pg_catalog.pg_proc o "
                "JOIN pg_catalog.pg_namespace n ON n.oid = o.pronamespace",
    "operator": "SELECT o.oid, n.nspname, o.oprname FROM pg_catalog.pg_operator o "
                "JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace",
}


class View:
    """What the server makes of one statement."""

    def __init__(self):
        self.touched, self.written, self.functions, self.operators = set(), set(), set(), set()


def analysed(link, names, sql, types):
    """The server's own reading of a query or change: kept as the body of a function, read back, and undone."""
    first, last = ("BEGIN", "ROLLBACK") if link.status == "I" else \
        ("SAVEPOINT clyra_probe", "ROLLBACK TO clyra_probe; RELEASE clyra_probe")
    said = link.ask(f"{first}; CREATE FUNCTION pg_temp.clyra_probe({types}) RETURNS void LANGUAGE sql BEGIN ATOMIC "
                    f"{sql}\n; END; SELECT prosqlbody FROM pg_catalog.pg_proc WHERE proname = 'clyra_probe'; {last}")
    undo(link, said, last)
    trees = [row[0] for row in said.rows if row and row[0]]
    return view(link, names, trees) if trees and not said.error else None


def undo(link, said, last):
    if said.error and link.status == "E" or link.status != "I" and last == "ROLLBACK":
        link.ask(last)


def view(link, names, trees):
    found, relations = View(), {}
    for tree in trees:
        locks = ":rowMarks <>" not in tree
        for oid, kind, rights in RELATION.findall(tree):
            rights = int(rights) & (~4 if locks else ~0)
            relations[int(oid)] = relations.get(int(oid), 0) | rights
    calls = {int(oid) for tree in trees for oid, form in FUNCTION.findall(tree) if form in EXPLICIT_CALLS}
    calls |= {int(oid) for tree in trees for oid in OTHER_FUNCTION.findall(tree)}
    operators = {int(oid) for tree in trees for oid in OPERATOR.findall(tree) if int(oid) >= USER_OID_MIN}
    called = names.of(link, "relation", set(relations))
    found.touched = set(called.values())
    found.written = {called[oid] for oid, rights in relations.items() if oid in called and rights & ACL_CHANGES}
    found.functions = set(names.of(link, "function", calls).values())
    found.operators = set(names.of(link, "operator", operators).values())
    return found


def kept(link, names, oids):
    """What the expressions of objects that were just made are about: defaults, checks, policies, rules, indexes."""
    listed = ", ".join(str(oid) for oid in oids)
    said = link.ask(f"""
      SELECT adbin::text FROM pg_catalog.pg_attrdef WHERE adrelid IN ({listed})
      UNION ALL SELECT conbin::text FROM pg_catalog.pg_constraint WHERE {listed_in(listed, 'conrelid', 'contypid')}
      UNION ALL SELECT coalesce(polqual::text, '') || coalesce(polwithcheck::text, '') FROM pg_catalog.pg_policy
        WHERE oid IN ({listed})
      UNION ALL SELECT coalesce(ev_qual::text, '') || ev_action::text FROM pg_catalog.pg_rewrite
        WHERE oid IN ({listed}) AND rulename <> '_RETURN'
      UNION ALL SELECT coalesce(indexprs::text, '') || coalesce(indpred::text, '') FROM pg_catalog.pg_index
        WHERE indexrelid IN ({listed})
      UNION ALL SELECT tgqual::text FROM pg_catalog.pg_trigger WHERE oid IN ({listed})
      UNION ALL SELECT coalesce(prosqlbody::text, '') || coalesce(proargdefaults::text, '') FROM pg_catalog.pg_proc
        WHERE oid IN ({listed})
      UNION ALL SELECT stxexprs::text FROM pg_catalog.pg_statistic_ext WHERE oid IN ({listed})""")
    trees = [row[0] for row in said.rows if row and row[0]]
    return view(link, names, trees) if trees else None


def listed_in(listed, *columns):
    return " OR ".join(f"{column} IN ({listed})" for column in columns)


def noted_ddl(link):
    """What DDL has touched since it was last asked."""
    said = link.ask("SELECT pg_catalog.current_setting('clyra.ddl', true), pg_catalog.set_config('clyra.ddl', '', false)")
    if said.error or not said.rows or not said.rows[0][0]:
        return []
    return [json.loads(line) for line in said.rows[0][0].splitlines()]


def rows_changed(link):
    """How many rows of users' tables were ever changed."""
    link.ask("SELECT pg_catalog.pg_stat_force_next_flush()")
    said = link.ask(COUNT)
    return None if said.error else int(said.rows[0][0] or 0)
