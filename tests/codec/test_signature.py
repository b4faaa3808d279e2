"""Signatures and annotations: which decoder each part of a call gets."""

import dataclasses
import enum
import functools
import sys
import threading
import uuid
from collections.abc import Callable
from datetime import date
from types import MappingProxyType, ModuleType
from typing import (
    Annotated,
    Any,
    TypedDict,
    Unpack,
)

import msgspec
import pytest

from ltq._codec.call import CallCodec
from ltq._codec.codec import Codec
from ltq.errors import (
    ConfigurationError,
    DecodeError,
)
from tests.codec.samples import (
    NOON,
    Options,
    P,
    Repo,
    T,
    fuzzed,
    make,
    refusal,
    taking,
    travel,
)


class TestSignatures:
    def test_arguments_stay_as_they_were_given(self, codec: Codec) -> None:
        def fetch(a: int, /, b: date, *rest: date, c: date = date.min, **more: Repo) -> None: ...

        day, task = date(2024, 1, 1), make(fetch, codec)
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
            ((1, day), {}),
            ((1,), {"b": day}),
            ((1, day, day, day), {"c": day}),
            ((1, day), {"a": Repo("positional only leaves its name free"), "d": Repo("x")}),
        ]
        for args, kwargs in calls:
            assert travel(task, *args, **kwargs) == (args, kwargs)

    def test_a_default_does_not_travel(self) -> None:
        def fetch(repo: str, depth: Any = threading.Lock()) -> None: ...  # noqa: B008

        assert make(fetch).encode_call(("x",), {}) == b'[["x"],{}]'

    @pytest.mark.parametrize(
        ("args", "kwargs", "text"),
        [
            ((), {}, "missing a required argument: 'a'"),
            ((1,), {}, "missing a required argument: 'c'"),
            ((1, 2, 3), {"c": 1}, "too many positional arguments"),
            ((1,), {"c": 1, "nope": 1}, "got an unexpected keyword argument 'nope'"),
            ((1,), {"b": 1, "a": 1, "c": 1}, "'a'"),
            ((1, 2), {"b": 1, "c": 1}, "multiple values for argument 'b'"),
        ],
    )
    def test_a_call_that_does_not_fit_is_neither_sent_nor_read(
        self, codec: Codec, args: tuple[Any, ...], kwargs: dict[str, Any], text: str
    ) -> None:
        def fetch(a: int, /, b: int = 0, *, c: int) -> None: ...

        task = make(fetch, codec)
        message = refusal(task, *args, **kwargs)
        assert message.startswith("github:fetch: ")
        assert text in message
        with pytest.raises(DecodeError, match=text):
            task.decode_call(codec.encode((args, kwargs)))

    def test_keyword_arguments_of_a_typed_dict_are_checked(self, codec: Codec) -> None:
        class More(TypedDict):
            repo: Repo
            depth: "int"

        def fetch(a: int, **kwargs: Unpack[More]) -> None: ...

        def narrow(**kwargs: Unpack[Options]) -> None: ...

        task = make(fetch, codec, locals())
        assert travel(task, 1, repo=Repo("x"), depth=1) == ((1,), {"repo": Repo("x"), "depth": 1})
        assert "missing a required argument: 'depth'" in refusal(task, 1, repo=Repo("x"))
        assert "argument 'depth': Expected `int`" in refusal(task, 1, repo=Repo("x"), depth="x")
        assert "unexpected keyword argument 'x'" in refusal(make(narrow, codec), depth=1, x=1)
        assert travel(make(narrow, codec), since=NOON) == ((), {"since": NOON})

    def test_many_shapes_of_call_do_not_pile_up(self) -> None:
        def fetch(*args: int, **kwargs: int) -> None: ...

        task = make(fetch)
        for count in range(400):
            assert travel(task, *range(count)) == (tuple(range(count)), {})
            assert travel(task, **{f"k{count}": 1}) == ((), {f"k{count}": 1})
        assert len(task._shapes) <= 256

    def test_keywords_may_come_in_any_mapping(self) -> None:
        def fetch(a: int, b: int) -> None: ...

        assert make(fetch).encode_call((1,), MappingProxyType({"b": 2})) == b'[[1],{"b":2}]'

    def test_a_partial_and_a_callable_object_have_the_signature_left(self) -> None:
        class Fetcher:
            def __call__(self, repo: str, since: date) -> Repo:
                raise NotImplementedError

        def fetch(repo: str, since: date) -> Repo:
            raise NotImplementedError

        callables: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
            (Fetcher(), ("x", date(2024, 1, 1))),
            (functools.partial(fetch, "x"), (date(2024, 1, 1),)),
            (functools.partial(Fetcher(), "x"), (date(2024, 1, 1),)),
        ]
        for fn, args in callables:
            task = make(fn)
            assert travel(task, *args) == (args, {})
            assert "Expected `datetime.date`, got `int`" in refusal(task, *args[:-1], 5)
            assert task.decode_result(task.encode_result(Repo("a"))) == Repo("a")

    def test_a_wrapper_typed_by_the_arguments_of_another_takes_anything(self) -> None:
        def wrap(fn: Callable[P, T]) -> Callable[P, T]:
            def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
                raise NotImplementedError

            return wrapper

        assert travel(make(wrap(fuzzed)), 1, b=[2]) == ((1,), {"b": [2]})

    def test_a_wrapped_function_has_the_signature_of_what_it_wraps(self) -> None:
        def fetch(since: date) -> None: ...

        @functools.wraps(fetch)
        def wrapper(*args: Any, **kwargs: Any) -> Any: ...

        assert travel(make(wrapper), date(2024, 1, 1)) == ((date(2024, 1, 1),), {})

    def test_a_function_without_signature_is_a_configuration_error(self) -> None:
        with pytest.raises(ConfigurationError, match="github:fetch: cannot read its signature"):
            make(min)


class Postponed:
    """A module with postponed annotations, run piece by piece."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._module = ModuleType("postponed")
        monkeypatch.setitem(sys.modules, "postponed", self._module)

    def run(self, source: str) -> Any:
        head = "from __future__ import annotations\n"
        exec(compile(head + source, "postponed.py", "exec"), self._module.__dict__)
        return self._module


@pytest.fixture
def postponed(monkeypatch: pytest.MonkeyPatch) -> Postponed:
    return Postponed(monkeypatch)


FIRST_USES: dict[str, Callable[[CallCodec], object]] = {
    "encode_call": lambda task: task.encode_call((1,), {}),
    "decode_call": lambda task: task.decode_call(b"[[1],{}]"),
    "decode_result": lambda task: task.decode_result(b"1"),
    "encode_result": lambda task: task.encode_result(1),
    "resolve": lambda task: task.resolve(),
}


class TestAnnotations:
    def test_postponed_annotations_are_resolved(self, codec: Codec, postponed: Postponed) -> None:
        fetch = postponed.run(
            "from datetime import date\nimport typing\n"
            "def fetch(day: date, *more: typing.Optional[date], **days: list[date]) -> date: ..."
        ).fetch
        day, task = date(2024, 1, 1), make(fetch, codec)
        assert travel(task, day, None, x=[day]) == ((day, None), {"x": [day]})
        assert task.decode_result(task.encode_result(day)) == day

    def test_classes_of_the_calling_function_are_found(self, codec: Codec) -> None:
        @dataclasses.dataclass
        class Local:
            day: date

        def fetch(local: "Local", *, more: "list[Local] | None" = None) -> "dict[str, Local]":
            raise NotImplementedError

        task, local = make(fetch, codec, locals()), Local(date(2024, 1, 1))
        assert travel(task, local, more=[local]) == ((local,), {"more": [local]})

    @pytest.mark.parametrize("first_use", FIRST_USES)
    def test_a_name_defined_later_is_found_at_the_first_use(
        self, first_use: str, postponed: Postponed
    ) -> None:
        task = make(postponed.run("def fetch(x: Later) -> Later: ...").fetch)
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=r"github:fetch: .* 'Later' is not"):
                FIRST_USES[first_use](task)
        postponed.run("Later = int")
        FIRST_USES[first_use](task)
        assert "Expected `int`" in refusal(task, "x")

    def test_a_field_whose_class_is_defined_later_is_found_at_the_first_use(
        self, postponed: Postponed
    ) -> None:
        made = postponed.run(
            "import dataclasses\n"
            "@dataclasses.dataclass\nclass Early:\n    x: Later\n"
            "def fetch(x: Early) -> None: ..."
        )
        task = make(made.fetch)
        with pytest.raises(ConfigurationError, match="Later"):
            task.resolve()
        postponed.run("Later = int")
        assert travel(task, made.Early(1)) == ((made.Early(1),), {})

    def test_a_name_for_type_checkers_only_is_a_configuration_error(
        self, postponed: Postponed
    ) -> None:
        fetch = postponed.run(
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nowhere\n"
            "def fetch(x: nowhere.Thing) -> None: ..."
        ).fetch
        with pytest.raises(ConfigurationError, match=r"github:fetch: .* 'nowhere' is not defined"):
            make(fetch).encode_call((1,), {})

    def test_a_missing_attribute_is_a_configuration_error(self) -> None:
        def fetch(x: "uuid.Nope") -> None: ...  # type: ignore[name-defined]

        with pytest.raises(ConfigurationError, match=r"github:fetch: .*'Nope'"):
            make(fetch).resolve()

    def test_an_annotation_that_is_no_type_is_a_configuration_error(self) -> None:
        def fetch(x: "not a type") -> None: ...  # type: ignore[valid-type]  # noqa: F722

        with pytest.raises(ConfigurationError, match="github:fetch: cannot read its signature"):
            make(fetch)

    @pytest.mark.parametrize(
        "hint",
        [
            list[Annotated[str | date, msgspec.Meta(max_length=3)]],
            dataclasses.make_dataclass(
                "Holder", [("value", Annotated[str | date, msgspec.Meta(max_length=3)])]
            ),
            enum.Enum,
        ],
    )
    def test_a_type_that_cannot_travel_is_a_configuration_error(
        self, codec: Codec, hint: Any
    ) -> None:
        with pytest.raises(ConfigurationError) as caught:
            taking(hint, codec)
        message = str(caught.value)
        assert message.startswith("github:fetch: argument 'value': `")
        assert "cannot travel" in message
        assert "msgspec.Struct classes with tag=True" in message

    def test_a_result_that_cannot_travel_is_a_configuration_error(self) -> None:
        def fetch() -> enum.Enum:
            raise NotImplementedError

        with pytest.raises(ConfigurationError, match="github:fetch: result: `Enum` cannot travel"):
            make(fetch)

    def test_a_parameter_that_is_never_sent_may_have_any_type(self, codec: Codec) -> None:
        def fetch(
            repo: str,
            lock: threading.Event | str | None = None,
            call: Callable[[int], int] | None = None,
        ) -> None: ...

        task = make(fetch, codec)
        assert travel(task, "x", None) == (("x", None), {})
        assert travel(task, "x", "y") == (("x", "y"), {})
        assert "argument 'lock': cannot encode `threading.Event`" in refusal(
            task, "x", threading.Event()
        )
