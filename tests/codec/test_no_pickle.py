"""Nothing of LTQ reads what could run code: no pickle, and nothing like it."""

import pytest

from devtools.source import FILES, packages

pytestmark = pytest.mark.slow

UNSAFE = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}


def test_no_module_imports_what_runs_code() -> None:
    assert [module for module in FILES if packages(module) & UNSAFE] == []
