"""Each change that the page on deployments tells of is tried by a test."""

import ast
import re

import pytest

from tests.docs.pages import DOCS, ROOT

ROLLING = ROOT / "tests" / "rolling"
_TABLE = re.compile(r"^## What may change\n\n(.*?)\n\n", re.MULTILINE | re.DOTALL)
_SHOWN_BY = re.compile(r"<!-- (.*?) -->")


def rows() -> list[str]:
    table = _TABLE.search((DOCS / "deploying.md").read_text("utf-8"))
    assert table is not None
    return table[1].splitlines()[2:]


def names_in(file: str) -> set[str]:
    nodes = ast.walk(ast.parse((ROLLING / file).read_text("utf-8")))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in nodes if isinstance(node, functions)}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.split("|")[1].strip())
def test_a_row_names_the_tests_that_show_it(row: str) -> None:
    shown_by = _SHOWN_BY.findall(row)
    assert len(shown_by) == 1
    for test in shown_by[0].split():
        file, _, name = test.partition("::")
        assert name in names_in(file), test


def test_it_says_of_each_whether_one_step_is_enough() -> None:
    assert {row.split("|")[2].strip() for row in rows()} == {"yes", "two steps"}
