"""Asks the planner which tables a query touches behind views, rules and inheritance, and our facts the same with a snapshot
of the catalog. It plans and never runs anything.
"""

import json
import os
import subprocess

import compare

WRITES = {"Insert", "Update", "Delete", "Merge"}


class Explained:
    """Facts that the catalog has widened; the snapshot is taken anew when something was changed since."""

    def __init__(self, clyra, url, work):
        self.clyra, self.url, self.file = clyra, url, os.path.join(work, "catalog.json")
        self.judge, self.stale = None, True

    def lacking(self, link, facts, sql, query):
        """What plans touch and facts lack, and how that was held; for a session on its usual path, between transactions."""
        said = link.ask(f"SHOW search_path; SHOW role; EXPLAIN (VERBOSE, COSTS OFF, FORMAT JSON) {query}")
        if said.error or len(said.rows) < 3 or said.rows[0][0] != '"$user", public':
            return [], None
        touched, written = tables(json.loads(said.rows[2][0]))
        if not missing(facts, touched, written):
            return [], "plan held by the text alone"
        wide = self.facts(sql)
        return missing(wide, touched, written) if wide else ["no snapshot of the catalog"], "plan held with the catalog"

    def facts(self, sql):
        if self.stale and not self.refresh():
            return None
        self.judge.stdin.write(json.dumps({"id": 0, "sql": sql, "user": "postgres"}) + "\n")
        self.judge.stdin.flush()
        return json.loads(self.judge.stdout.readline())

    def refresh(self):
        self.close()
        taken = subprocess.run([self.clyra, "policy", "catalog", "--upstream", self.url, "--out", self.file],
                               capture_output=True, text=True, check=False)
        if taken.returncode:
            return False
        self.judge = subprocess.Popen([self.clyra, "policy", "facts", "--catalog", self.file], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        self.stale = False
        return True

    def close(self):
        if self.judge:
            self.judge.stdin.close()
            self.judge.wait(timeout=30)
            self.judge = None


def tables(node):
    """Tables that a plan touches, and those that it writes, as `(schema, name)`."""
    touched, written = set(), set()
    todo = [node]
    while todo:
        one = todo.pop()
        if isinstance(one, list):
            todo += one
        elif isinstance(one, dict):
            todo += [part for part in one.values() if isinstance(part, (list, dict))]
            if one.get("Relation Name") and one.get("Schema"):
                name = (one["Schema"], one["Relation Name"])
                touched.add(name)
                if one.get("Operation") in WRITES:
                    written.add(name)
    return touched, written


def missing(facts, touched, written):
    statements = facts["statements"]
    told = [name for one in statements for name in one["reads"] + one["writes"]]
    # The tables of a plain EXPLAIN count as read, and so do those of a statement that is kept for later.
    runs = not any(one["verb"] in ("explain", "prepare", "create", "select", "copy_out") for one in statements)
    changed = [name for one in statements for name in one["writes"]] if runs else told
    return sorted([f"plan: {'.'.join(name)}" for name in touched if not compare.meant(name, told)]
                  + [f"plan writes: {'.'.join(name)}" for name in written if not compare.meant(name, changed)])
