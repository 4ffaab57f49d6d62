"""Gathers statements of the warehouses' dialects that other people have written: sqlglot's own tests, and the macros of
dbt's adapters. All is fetched when it is needed; nothing of it is ever committed.
"""

import ast
import glob
import os
import re
import subprocess
import sys
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "clients"))

import fetch  # noqa: E402

GLOT = "30.30.0"
# Which of sqlglot's names are a dialect of ours, and which adapters of dbt speak it.
DIALECTS = {
    "snowflake": (["snowflake"], ["dbt-snowflake==1.12.4"]),
    "databricks": (["databricks", "spark"], ["dbt-databricks==1.12.8", "dbt-spark==1.11.0"]),
    "bigquery": (["bigquery"], ["dbt-bigquery==1.12.1"]),
}
# What sqlglot's tests call with a statement in the dialect of their class.
CHECKS = {"validate_identity", "validate_all", "parse_one", "transpile", "parse"}
FIRST = re.compile(r"(?i)\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*\(*\s*(select|with|values|from|insert|update|delete|merge|create|"
                   r"alter|drop|truncate|copy|put|get|list|ls|remove|rm|call|execute|grant|revoke|show|describe|desc|use|set|"
                   r"unset|begin|commit|rollback|explain|export|load|comment|undrop|optimize|vacuum|analyze|cache|refresh|"
                   r"msck|restore|declare|if|loop|while|for|repeat|raise|assert|clone|table|uncache|reset|convert|fsck)\b")


def statements(dialect):
    """Every statement once, each with where it is from, in a fixed order."""
    names, adapters = DIALECTS[dialect]
    found = {}
    tree = os.path.join(glot_source(), "tests")
    for path in sorted(glob.glob(os.path.join(tree, "dialects", "test_*.py"))):
        own = os.path.basename(path) in [f"test_{name}.py" for name in names]
        for sql in of_tests(path, names, own):
            found.setdefault(sql, "sqlglot")
    fixtures = [os.path.join(tree, "fixtures", name) for name in ("identity.sql", "pretty.sql")]
    for path in [*fixtures, *sorted(glob.glob(os.path.join(tree, "fixtures", "optimizer", "**", "*.sql"), recursive=True))]:
        with open(path, encoding="utf-8") as file:
            for sql in of_fixture(file.read(), names):
                found.setdefault(sql, "sqlglot's fixtures")
    for adapter in ["dbt-adapters==1.24.5", *adapters]:
        for path in sorted(glob.glob(os.path.join(wheel(adapter), "**", "*.sql"), recursive=True)):
            with open(path, encoding="utf-8") as file:
                for sql in of_macros(file.read()):
                    found.setdefault(sql, adapter.split("==")[0])
    return [(sql, source) for sql, source in found.items() if FIRST.match(sql) and len(sql) > 8]


def of_tests(path, names, own):
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values):
                if text(key) in names and text(value):
                    yield text(value)
        elif own and isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in CHECKS or called.startswith("_validate"):
                yield from filter(None, (text(argument) for argument in node.args[:2]))


def text(node):
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def of_fixture(content, names):
    for block in re.split(r";\s*\n|\n(?=\s*\n)" if "\n\n" not in content else r";\s*(?:\n|$)", content):
        marked = re.search(r"#\s*dialect:\s*(\w+)", block)
        if marked and marked.group(1) not in names:
            continue
        yield "\n".join(line for line in block.splitlines() if not line.startswith(("#", "--"))).strip()


def of_macros(content):
    """Statements in templates, with something plausible in the place of what dbt would put in."""
    content = re.sub(r"(?s)\{#.*?#\}", " ", content)
    for piece in re.split(r"(?s)\{%-?.*?-?%\}", content):
        whole = re.sub(r"(?s)['\"]?\{\{-?.*?-?\}\}['\"]?", lambda _: "x_1", piece).strip().rstrip(";")
        for one in whole.split(";\n"):
            yield one.strip()
    # And with the conditional parts in.
    for body in re.findall(r"(?s)\{%-?\s*macro.*?%\}(.*?)\{%-?\s*endmacro", content):
        body = re.sub(r"(?s)\{%-?.*?-?%\}", " ", body)
        yield re.sub(r"(?s)\{\{-?.*?-?\}\}", "x_1", body).strip().rstrip(";")


def glot_source():
    with fetch.made(f"src-sqlglot-{GLOT}") as (home, missing):
        if missing and not fetch.from_pypi("sqlglot", GLOT, home):
            raise fetch.Unavailable(f"sqlglot {GLOT} with its tests is not served by PyPI")
    return fetch.only_folder(home)


def wheel(requirement):
    """A wheel's content, unpacked."""
    with fetch.made("wheel-" + requirement.replace("==", "-")) as (home, missing):
        if missing:
            got = subprocess.run([fetch.venv("plain"), "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
                                  "--only-binary", ":all:", requirement, "-d", home], check=False)
            wheels = glob.glob(os.path.join(home, "*.whl"))
            if got.returncode or not wheels:
                raise fetch.Unavailable(f"{requirement} is not served by PyPI")
            with zipfile.ZipFile(wheels[0]) as packed:
                packed.extractall(home)
    return home


def interpreter():
    """A Python with sqlglot."""
    return fetch.venv(f"sqlglot-{GLOT}", f"sqlglot=={GLOT}")
