"""The public surface: what `ltq` names, where it may be imported from, and what importing does."""

import importlib
import inspect
import subprocess
import sys
from importlib.resources import files
from types import ModuleType

import pytest

import ltq
from tests.for_each import for_each

CONTRACT = {
    *("Worker", "Task", "Handle", "TaskState", "Status", "Progress", "Message", "Broker"),
    *("Scheduler", "gather", "as_completed", "current"),
    *("Middleware", "MaxTries", "MaxAge", "MaxRate", "Sentry"),
    *("LtqError", "RetryError", "RejectError", "TaskFailedError", "TaskRejectedError"),
    *("TaskCancelledError", "TaskNotFoundError", "ResultTimeoutError", "InvalidArgumentsError"),
    *("QueueFullError", "BrokerError", "ConfigurationError"),
}
"""What users, examples and the documentation rely on."""

MODULES = {
    "ltq.middleware": {"Middleware", "MaxTries", "MaxAge", "MaxRate", "Sentry"},
    "ltq.message": {"Message"},
    "ltq.task": {"Task"},
    "ltq.errors": {"LtqError", "RetryError", "RejectError", "ConfigurationError"},
    "ltq.broker": {"Broker"},
    "ltq.worker": {"Worker"},
    "ltq.scheduler": {"Scheduler"},
}
"""Import paths that stay, and what they are imported for."""

HEAVY = (
    *("pydantic", "click", "croniter", "rich", "uvloop", "sentry_sdk", "IPython", "redis"),
    *("importlib.metadata", "email", "html", "pathlib", "tempfile", "uuid"),
)
"""What only some programs need: `import ltq` does without."""


def run(script: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )


class TestNames:
    def test_all_is_sorted_and_has_nothing_twice(self) -> None:
        assert ltq.__all__ == sorted(set(ltq.__all__))

    def test_all_has_every_public_name(self) -> None:
        public = {
            name
            for name, value in vars(ltq).items()
            if not name.startswith("_") and not isinstance(value, ModuleType)
        }
        assert public == set(ltq.__all__)

    def test_all_has_every_error_there_is(self) -> None:
        errors = {
            name
            for name, value in vars(importlib.import_module("ltq.errors")).items()
            if inspect.isclass(value) and issubclass(value, ltq.LtqError)
        }
        assert errors - set(ltq.__all__) <= {"SignalError"}  # a base, never raised itself

    def test_all_has_every_name_of_the_contract(self) -> None:
        assert set(ltq.__all__) >= CONTRACT

    @for_each("name", ltq.__all__)
    def test_every_name_has_a_docstring_of_its_own(self, name: str) -> None:
        value = getattr(ltq, name)
        doc = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
        assert doc is not None, f"ltq.{name} has no docstring"
        assert not doc.startswith(f"{name}("), f"the docstring of ltq.{name} is a generated one"

    @for_each("name", ltq.__all__)
    def test_every_public_method_has_a_docstring(self, name: str) -> None:
        value = getattr(ltq, name)
        bare = [
            member
            for member, function in vars(value).items()
            if not member.startswith("_")
            and (inspect.isroutine(function) or isinstance(function, property))
            and not inspect.getdoc(getattr(value, member))
        ]
        assert bare == []


class TestModules:
    @pytest.mark.parametrize("path", MODULES)
    def test_an_import_path_of_the_contract_stays(self, path: str) -> None:
        module = importlib.import_module(path)
        assert module.__doc__
        for name in MODULES[path]:
            assert getattr(module, name) is getattr(ltq, name)

    @pytest.mark.slow
    @pytest.mark.parametrize("path", MODULES)
    def test_each_can_be_the_first_import(self, path: str) -> None:
        assert run(f"import {path}").stderr == ""


class TestPackage:
    def test_it_says_that_it_is_typed(self) -> None:
        assert files("ltq").joinpath("py.typed").is_file()

    def test_importing_it_prints_nothing(self) -> None:
        done = run("import ltq")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def test_importing_it_warns_of_nothing(self) -> None:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", "import ltq"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_importing_it_imports_nothing_that_only_some_need(self) -> None:
        script = (
            "import asyncio, sys, msgspec; before = {*sys.modules}; import ltq\n"
            f"print([name for name in {HEAVY!r} if name in {{*sys.modules}} - before])"
        )
        assert run(script).stdout == "[]\n"

    def test_importing_it_sets_no_logging_up(self) -> None:
        script = "import logging, ltq; print(logging.root.handlers, logging.root.level)"
        assert run(script).stdout == "[] 30\n"
