"""Checks of many values as one test."""

import inspect
from pathlib import Path

import pytest

from tests.for_each import for_each


def test_all_values_are_tried_and_what_fails_is_named() -> None:
    tried: list[int] = []

    @for_each("number", [1, 2, 3, 4])
    def check(number: int) -> None:
        tried.append(number)
        assert number % 2 == 0

    with pytest.raises(ExceptionGroup, match="2 of 4 failed") as raised:
        check()
    assert tried == [1, 2, 3, 4]
    assert [error.__notes__ for error in raised.value.exceptions] == [["number=1"], ["number=3"]]


def test_fixtures_are_those_of_the_check(tmp_path: Path) -> None:
    @for_each("name", ["a", "b"])
    def check(name: str, tmp_path: Path) -> None:
        (tmp_path / name).touch()

    assert [*inspect.signature(check).parameters] == ["tmp_path"]
    check(tmp_path=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_to_check_nothing_is_an_error() -> None:
    @for_each("name", [])
    def check(name: str) -> None: ...

    with pytest.raises(AssertionError, match="there is nothing to check"):
        check()
