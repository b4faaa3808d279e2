"""The list of what the tests do not reach."""

from textwrap import dedent
from typing import Any

import pytest

from devtools.gaps import LIST, OPEN, Source, gone, listed, places, unknown

MOST_TODO = 24
"""How many branches still wait for a test: only ever fewer."""

CODE = dedent(
    """
    class Lamp:
        def light(self, is_on):
            if is_on:
                self.bulb()
                self.shine()
            return self

        def dark(self):
            off()
            quiet()
    """
)


@pytest.mark.parametrize(
    ("branches", "lines", "expected"),
    [
        ([], [], set()),
        ([[4, 7]], [], {"Lamp.light: if is_on:"}),
        ([[4, 5]], [5, 6], {"Lamp.light: if is_on:"}),
        ([], [10, 11], {"Lamp.dark: off()"}),
        ([[4, 5]], [5, 6, 10], {"Lamp.light: if is_on:", "Lamp.dark: off()"}),
    ],
)
def test_a_gap_is_named_by_its_function_and_code(
    branches: list[Any], lines: list[int], expected: set[str]
) -> None:
    measured = {"missing_branches": branches, "missing_lines": lines}
    assert places(Source(CODE), measured) == expected


def test_only_what_is_not_on_the_list_is_told() -> None:
    found = {"ltq/a.py": {"f: if x:": OPEN, "g: y()": OPEN}}
    assert unknown(found, {"ltq/a.py": {"f: if x:": "a race"}}) == ["ltq/a.py: g: y()"]


@pytest.mark.slow
def test_the_list_names_code_that_is_there() -> None:
    assert gone(listed()) == [], "run: pytest -n 4 --cov=ltq && python -m devtools.gaps --write"


def test_every_gap_has_a_reason() -> None:
    reasons = [reason for places in listed().values() for reason in places.values()]
    assert {"", OPEN}.isdisjoint(reasons), f"say why in {LIST.name}"


def test_those_that_are_worth_a_test_become_fewer() -> None:
    reasons = [reason for places in listed().values() for reason in places.values()]
    assert sum(reason.startswith("todo") for reason in reasons) <= MOST_TODO
