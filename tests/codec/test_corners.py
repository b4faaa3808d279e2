"""Corners of the codec that the samples of its other tests do not reach."""

import dataclasses
import functools
import types
from collections.abc import Generator, Iterator
from typing import Any, Generic, LiteralString, NamedTuple, TypeVar

import pydantic
import pytest

from ltq._codec import same as same_module
from ltq._codec.codec import Codec
from ltq._codec.fingerprint import canonical
from ltq._codec.fitting import Fitter
from ltq._codec.hints import key_hints
from ltq._codec.same import ABSENT, parts, same
from ltq._codec.scopes import NamesAround
from ltq._codec.state import reduced
from ltq.errors import DecodeError, InvalidArgumentsError, ResultError
from tests.codec.samples import make, taking

T = TypeVar("T")
Text = TypeVar("Text", bound=str)


class Tag(str):
    """A text of a class of its own."""

    __slots__ = ()


@dataclasses.dataclass
class Point:
    x: int = 0
    y: int = 0


class Unequal:
    """A class of C's kind for `same`: it cannot be rebuilt, and its `==` raises."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any, /) -> Any:
        raise TypeError("no")

    def __eq__(self, other: object) -> bool:
        raise ValueError("no truth")

    def __hash__(self) -> int:
        return 0


class TestSame:
    def test_sets_of_other_sizes_are_not(self) -> None:
        assert not same({1}, {1, 2})

    def test_attributes_may_be_in_any_order(self) -> None:
        one, other = Point(1, 2), Point(1, 2)
        other.__dict__.clear()
        other.__dict__.update(y=2, x=1)
        assert same(one, other)
        other.__dict__.update(y=3)
        assert not same(one, other)

    def test_an_eq_that_raises_says_no(self) -> None:
        assert not same(Unequal(), Unequal())

    def test_parts_that_only_the_other_has_are_told(self) -> None:
        assert list(parts({1}, {1, 2})) == [("[...]", 1, 1), ("[...]", ABSENT, 2)]
        assert list(parts({"a": 1}, {"a": 1, "b": 2}))[-1] == (".b", ABSENT, 2)
        assert list(parts(Point(1), Point(2))) == [(".x", 1, 2), (".y", 0, 0)]

    def test_comparisons_are_remembered_for_some_classes_only(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(same_module, "_MAX_KINDS", 0)

        class New:
            def __init__(self, value: int) -> None:
                self.value = value

        assert same(New(1), New(1))
        assert not same(New(1), New(2))

    def test_what_is_rebuilt_by_its_name_has_no_parts(self) -> None:
        assert reduced(T) == ()


class TestCanonical:
    def test_of_a_class_it_is_the_name(self) -> None:
        assert canonical(Point) == "type Point"

    def test_of_a_subclass_it_has_the_name_and_what_it_has_beside(self) -> None:
        class Count(int):
            note = ""

        value = Count(3)
        value.note = "kept"
        text = canonical(value)
        assert text.startswith("TestCanonical.")
        assert "3" in text
        assert "kept" in text

    def test_of_what_cannot_be_rebuilt_there_is_none(self) -> None:
        with pytest.raises(ValueError, match="`Unequal` has no canonical form"):
            canonical(Unequal())

    def test_of_an_object_of_python_it_is_what_rebuilds_it(self) -> None:
        assert canonical(range(3)) != canonical(range(4))
        assert canonical(range(3)) == canonical(range(0, 3, 1))

    def test_a_body_that_cannot_be_read_is_compared_by_its_bytes(self) -> None:
        task = taking(int)
        assert task.fingerprint(b"[1]") == task.fingerprint(b"[1]") != task.fingerprint(b"{")


class TestFitting:
    def test_a_default_of_a_subclass_is_one_of_the_annotation(self) -> None:
        def open_file(name: str = Tag("a")) -> None: ...

        task = make(open_file)
        assert task.fingerprint(task.encode_call(("a",), {})) == task.fingerprint(
            task.encode_call((), {})
        )

    def test_a_slot_that_was_never_set_stays_so(self) -> None:
        class Base:
            __slots__ = ("given", "unset")
            given: int
            unset: int

        class Derived(Base):
            __slots__ = ()

        value = Derived()
        value.given = 1
        fitted = Fitter("shop:task").fit("value", Base, value)
        assert type(fitted) is Base or fitted is value
        assert fitted.given == 1
        assert not hasattr(fitted, "unset")

    def test_of_private_attributes_those_of_the_base_are_kept(self) -> None:
        class Base(pydantic.BaseModel):
            name: str
            _seen: int = pydantic.PrivateAttr(default=0)

        class Derived(Base):
            _extra: int = pydantic.PrivateAttr(default=5)

        value = Derived(name="a")
        fitted = Fitter("shop:task").fit("value", Base, value)
        assert type(fitted) is Base
        assert fitted.__pydantic_private__ == {"_seen": 0}

    def test_type_variables_are_what_they_are_bound_to(self) -> None:
        assert type(Fitter("shop:task").fit("value", Text, Tag("a"))) is str

    def test_what_is_too_large_only_as_its_base_is_told(self) -> None:
        def keep(text: list[LiteralString]) -> list[str]:
            return [*text]

        task = make(keep, Codec("json", max_payload=16))
        for size in (1, 20):
            value = [Tag("a" * size)]
            if size == 1:
                assert task.encode_call((value,), {})
                continue
            with pytest.raises(InvalidArgumentsError, match="its arguments take"):
                task.encode_call((value,), {})
            with pytest.raises(ResultError, match="its result takes"):
                task.encode_result(value)

    def test_literal_strings_are_texts(self) -> None:
        task = taking(list[LiteralString])
        assert task.decode_call(task.encode_call((["a"],), {}))[0] == (["a"],)
        assert type(Fitter("shop:task").fit("value", LiteralString, Tag("a"))) is str


class TestExplaining:
    def test_a_field_that_was_deleted_is_passed_over(self) -> None:
        @dataclasses.dataclass
        class Pair:
            a: int
            b: object

        pair = Pair(1, object())
        del pair.a
        with pytest.raises(InvalidArgumentsError, match="object"):
            taking(Pair).encode_call((pair,), {})

    def test_a_field_that_raises_is_told(self) -> None:
        @dataclasses.dataclass
        class Holder:
            part: object

            def __getattribute__(self, name: str) -> Any:
                if name == "part":
                    raise RuntimeError("not loaded")
                return super().__getattribute__(name)

        with pytest.raises(InvalidArgumentsError, match="not loaded"):
            taking(Holder).encode_call((Holder(1),), {})

    def test_arguments_that_are_not_hashable_have_no_hints(self) -> None:
        @dataclasses.dataclass
        class Full(Generic[T]):
            part: T

        assert key_hints(Full, ([],)) == {}


class TestSignature:
    def test_of_a_class_the_result_is_its_instance(self) -> None:
        @dataclasses.dataclass
        class Made:
            size: int

        with pytest.raises(InvalidArgumentsError, match="size"):
            make(Made).encode_call(("big",), {})

        class Pair(NamedTuple):
            a: int

        assert make(Pair).encode_call((1,), {})

    def test_of_a_generator_that_is_awaited_it_is_what_it_returns(self) -> None:
        @types.coroutine
        def wait(seconds: float) -> Generator[None, None, int]:
            yield
            return 1

        assert make(wait).encode_result(3) == b"3"
        with pytest.raises(ResultError):
            make(wait).encode_result("three")

    def test_a_wrapper_may_yield(self) -> None:
        def numbers(stop: int) -> Iterator[int]:
            yield from range(stop)

        @functools.wraps(numbers)
        def listed(stop: int) -> list[int]:
            return [*numbers(stop)]

        assert make(listed).encode_result([0, 1]) == b"[0,1]"

    def test_of_a_generator_it_is_the_number_of_what_it_yields(self) -> None:
        def numbers(stop: int) -> Iterator[int]:
            yield from range(stop)

        codec = make(numbers)
        assert codec.encode_result(2) == b"2"
        assert codec.encode_item(1) == b"1"
        assert codec.decode_item(b"1") == 1
        with pytest.raises(ResultError, match=r"item: "):
            codec.encode_item("one")
        with pytest.raises(DecodeError, match=r"item: "):
            codec.decode_item(b'"one"')
        with pytest.raises(DecodeError, match="own"):
            codec.decode_item(b"\0own\0one")


def test_names_around_a_function_are_a_mapping() -> None:
    class Near:
        pass

    def fn(value: "Near") -> None: ...

    names = NamesAround(fn)
    assert names["Near"] is Near
    assert "Near" in set(names)
    assert len(names) >= 1
