"""Settings and runner for Django's own tests against the server at CLYRA_PORT; it changes no test."""

import json
import os
import unittest

from django.test.runner import DiscoverRunner

PLACE = {"ENGINE": "django.db.backends.postgresql", "USER": "postgres", "HOST": "127.0.0.1",
         "PORT": os.environ["CLYRA_PORT"]}
DATABASES = {"default": {**PLACE, "NAME": "django"}, "other": {**PLACE, "NAME": "django_other"}}
SECRET_KEY = "none"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
TEST_RUNNER = "clyra_django.Runner"


class Result(unittest.TextTestResult):
    """Keeps the outcome of every test id."""

    outcomes = {}

    def stopTest(self, test):
        super().stopTest(test)
        self.outcomes.setdefault(test.id(), "passed")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.outcomes[test.id()] = "failed"

    def addError(self, test, err):
        super().addError(test, err)
        self.outcomes[test.id()] = "failed"

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.outcomes[test.id()] = "skipped"

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.outcomes[test.id()] = "skipped"

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.outcomes[test.id()] = "failed"


class Runner(DiscoverRunner):
    """Django's, with that memory."""

    def get_resultclass(self):
        return Result

    def run_suite(self, suite, **kwargs):
        result = super().run_suite(suite, **kwargs)
        with open(os.environ["CLYRA_OUTCOMES"], "w", encoding="utf-8") as file:
            json.dump(Result.outcomes, file)
        return result
