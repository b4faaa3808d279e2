"""Marks the tests of the suite for pytest-asyncio."""

import inspect
from types import ModuleType

import pytest


def mark_coroutines(*modules: ModuleType) -> None:
    """Mark every test that is a coroutine function, so that the suite runs in strict mode too.

    A `pytestmark` would stay in its module: `import *` imports the classes only.
    """
    for module in modules:
        for suite in filter(inspect.isclass, vars(module).values()):
            for name, test in list(vars(suite).items()):
                if name.startswith("test_") and inspect.iscoroutinefunction(test):
                    setattr(suite, name, pytest.mark.asyncio(loop_scope="function")(test))
