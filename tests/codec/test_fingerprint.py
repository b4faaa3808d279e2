"""Fingerprints: one for the same call, others for all others."""

import itertools
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given

from ltq._codec.call import CallCodec
from ltq._codec.codec import Codec
from ltq.errors import InvalidArgumentsError
from tests.codec import zoo
from tests.codec.samples import CODECS, make, taking
from tests.codec.test_exact_or_refused import CASES


def fingerprint(task: CallCodec, *args: Any, **kwargs: Any) -> str:
    return task.fingerprint(task.encode_call(args, kwargs))


class TestTheSameCall:
    def test_a_default_may_be_given_or_left_out(self, codec: Codec) -> None:
        def fetch(
            repo: str,
            price: float = 1,
            tags: Sequence[str] = (),
            level: int = zoo.Level.LOW,
            day: date = date(2024, 1, 1),
            plain: zoo.Plain = zoo.Plain("a"),  # noqa: B008
            lock: Any = object(),  # noqa: B008
        ) -> None: ...

        task = make(fetch, codec)
        once = fingerprint(task, "a")
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
            (("a", 1), {}),
            (("a", 1.0, []), {}),
            ((), {"repo": "a", "tags": ()}),
            ((), {"day": date(2024, 1, 1), "repo": "a", "level": 1}),
            (("a",), {"plain": zoo.Plain("a", 0)}),
        ]
        for args, kwargs in calls:
            assert fingerprint(task, *args, **kwargs) == once
        others = [("b",), ("a", 2), ("a", 1, ["x"]), ("a", 1, (), 2), ("a", 1, (), 1, date.min)]
        found = {once, *(fingerprint(task, *other) for other in others)}
        assert len(found) == 6
        assert fingerprint(task, "a", lock=None) not in found

    def test_sets_and_dicts_may_be_in_any_order(self, codec: Codec) -> None:
        def fetch(value: Any, names: set[str], **more: Any) -> None: ...

        task, names = make(fetch, codec), ["a", "b", "c", "d"]
        found = {
            fingerprint(task, dict.fromkeys(order), set(order), **dict.fromkeys(order, 1))
            for order in itertools.permutations(names)
        }
        assert len(found) == 1

    @pytest.mark.slow
    def test_a_model_with_a_set_has_one_in_every_process(self) -> None:
        script = (
            "import pydantic\n"
            "from tests.codec.samples import CODECS, taking\n"
            "class Tags(pydantic.BaseModel):\n    names: frozenset[str]\n"
            "task = taking(Tags, CODECS['json'])\n"
            "body = task.encode_call((Tags(names=frozenset('abcdefgh')),), {})\n"
            "print(task.fingerprint(body))"
        )
        found = {
            subprocess.run(
                [sys.executable, "-c", script],
                env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
                check=True,
                capture_output=True,
            ).stdout
            for seed in ("1", "2")
        }
        assert len(found) == 1


DIFFERENT: list[tuple[Any, list[Any]]] = [
    (Any, [1, True, 1.0, "1", None, [1], {"1": 1}, {"1": True}, "True", "None", -1]),
    (float | None, [0.0, -0.0, None, 1.5]),
    (int | str | bool, [1, True, "1", "True"]),
    (str | zoo.Mode | None, [zoo.Mode.FAST, "slow", None]),
    (UUID | str, [UUID(int=1), "x"]),
    (zoo.Struct | zoo.Plain, [zoo.Struct("a"), zoo.Plain("a")]),
    (zoo.Cat | zoo.Dog, [zoo.Cat(), zoo.Dog()]),
    (Decimal, [Decimal("1.0"), Decimal("1.00"), Decimal("-0.0")]),
    (
        datetime,
        [
            datetime(2024, 1, 1),
            datetime(2024, 1, 1, tzinfo=UTC),
            datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        ],
    ),
    (list[str], [["a", "b"], ["b", "a"], ["ab"], ["a,b"], ["a','b"]]),
    (dict[str, str], [{"a": "b"}, {"b": "a"}, {"a:b": ""}, {}]),
    (zoo.Yes, [zoo.Yes("a"), zoo.Yes("b"), zoo.Yes("a", 1), zoo.Yes("a", True)]),
    (zoo.Hidden, [zoo.Hidden("a"), zoo.Hidden("a", "b"), zoo.Hidden("a", price=0.0)]),
]


@pytest.mark.parametrize(("hint", "values"), DIFFERENT)
def test_other_calls_have_other_ones(codec: Codec, hint: Any, values: list[Any]) -> None:
    task = taking(hint, codec)
    assert len({fingerprint(task, value) for value in values}) == len(values)


def test_what_only_messagepack_tells_apart_has_others_there() -> None:
    values: list[Any] = [b"x", "eA==", {1: "a"}, {"1": "a"}, float("nan"), None, float("inf")]
    task = taking(Any, CODECS["msgpack"])
    assert len({fingerprint(task, value) for value in values}) == len(values)


def test_names_and_places_of_arguments_matter(codec: Codec) -> None:
    def fetch(*args: Any, a: Any = None, **more: Any) -> None: ...

    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((), {}),
        ((1,), {}),
        ((1, 1), {}),
        (([1],), {}),
        ((), {"a": 1}),
        ((), {"b": 1}),
        ((), {"args": [1]}),
        ((), {"more": {"b": 1}}),
    ]
    task = make(fetch, codec)
    assert len({fingerprint(task, *args, **kwargs) for args, kwargs in calls}) == len(calls)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CODECS))
def test_a_call_that_is_made_again_has_the_same_and_no_other_has(name: str) -> None:
    known: dict[str, tuple[str, Any]] = {}

    @given(CASES)
    def check(case: tuple[Any, Any]) -> None:
        hint, value = case
        task = taking(hint, CODECS[name])
        try:
            body = task.encode_call((value,), {})
        except InvalidArgumentsError:
            return
        [got], _ = task.decode_call(body)
        found = task.fingerprint(body)
        assert task.fingerprint(task.encode_call((got,), {})) == found
        text = repr(zoo.content(got))
        assert known.setdefault(found, (text, None))[0] == text

    check()


def test_views_of_the_same_bytes_have_one(codec: Codec) -> None:
    task = taking(memoryview, codec)
    calls = [
        task.encode_call((memoryview(b"a"),), {}),
        task.encode_call((), {"value": memoryview(b"a")}),
    ]
    assert len({task.fingerprint(call) for call in calls}) == 1
    assert task.fingerprint(task.encode_call((memoryview(b"b"),), {})) != task.fingerprint(calls[0])
