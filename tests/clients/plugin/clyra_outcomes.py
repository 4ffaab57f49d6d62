"""A pytest plugin: writes the outcome of every test id into the file named by CLYRA_OUTCOMES; it changes no test."""

import json
import os

OUTCOMES = {}


def pytest_runtest_logreport(report):
    """A test has passed when all of set-up, call and tear-down did."""
    outcome = report.outcome if not hasattr(report, "wasxfail") else "skipped"
    if report.when == "call" or outcome != "passed":
        if OUTCOMES.get(report.nodeid) in (None, "passed"):
            OUTCOMES[report.nodeid] = outcome


def pytest_sessionfinish():
    with open(os.environ["CLYRA_OUTCOMES"], "w", encoding="utf-8") as file:
        json.dump(OUTCOMES, file)
