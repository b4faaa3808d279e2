"""Why a value cannot travel: the error names the argument and the reason."""

import contextlib
import dataclasses
import math
import threading
from datetime import date
from typing import (
    Annotated,
    Any,
    Literal,
)

import msgspec
import pytest

from ltq._codec.codec import Codec
from ltq.errors import (
    InvalidArgumentsError,
    LtqError,
    ResultError,
)
from tests.codec.samples import (
    CODECS,
    KEY,
    Color,
    Mixed,
    Person,
    Repo,
    User,
    arrive,
    make,
    refusal,
    taking,
)


class TestRefusedArguments:
    @pytest.mark.parametrize(
        ("hint", "value", "text"),
        [
            (str, 5, "Expected `str`, got `int`"),
            (int, 1.5, "Expected `int`, got `float`"),
            (int, None, "Expected `int`, got"),
            (Repo, {"stars": 1}, "missing required field `name`"),
            (dict[str, list[int]], {"a": [1, "x"]}, "Expected `int`, got `str` - at `value.a[1]`"),
            (Annotated[int, msgspec.Meta(ge=0)], -1, "Expected `int` >= 0"),
            (Literal["a"], "b", "Invalid enum value 'b'"),
            (Color, "green", "Invalid enum value 'green'"),
            (Mixed, "green", "Invalid enum value of `Mixed`"),
            (Repo | User, 5, "User`, got `int`"),
            (list[str | date], ["a", 5], "got `int` - at `value[1]`"),
            (Person, {"name": 5}, "name: Input should be a valid string; born: Field required"),
        ],
    )
    def test_a_value_of_a_wrong_type_is_named(
        self, codec: Codec, hint: Any, value: Any, text: str
    ) -> None:
        message = refusal(taking(hint, codec), value)
        assert message.startswith("github:fetch: argument 'value': ")
        assert text in message

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            (lambda: None, "function"),
            (threading.Lock(), "_thread.lock"),
            ((i for i in ""), "generator"),
            (object(), "object"),
            (1j, "complex"),
            (Repo, "type"),
            (Person, "pydantic._internal._model_construction.ModelMetaclass"),
            ([1, {"a": threading.Lock()}], "_thread.lock"),
        ],
    )
    def test_what_cannot_be_encoded_is_named_with_its_type(
        self, codec: Codec, value: Any, kind: str
    ) -> None:
        def fetch(a: int, *rest: Any, **more: Any) -> None: ...

        task = make(fetch, codec)
        for message, name in [
            (refusal(task, 1, 2, value), "*rest[1]"),
            (refusal(task, 1, more=value), "more"),
        ]:
            assert f"github:fetch: argument '{name}': cannot encode `{kind}`" in message

    @pytest.mark.parametrize("value", ["\ud800", ["\udfff"], {"\ud800": 1}], ids=ascii)
    def test_what_the_wire_cannot_carry_is_refused(self, value: Any) -> None:
        for name in ("json", "msgpack"):
            assert "argument 'value': cannot encode" in refusal(taking(Any, CODECS[name]), value)

    @pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**4000], ids=["2^64", "-2^63", "big"])
    def test_a_large_number_arrives_whole_or_is_refused(self, value: int) -> None:
        for name in ("json", "object"):
            assert arrive(taking(int, CODECS[name]), value) == value
        assert "cannot encode `int`: Overflow" in refusal(taking(int, CODECS["msgpack"]), value)

    def test_a_number_of_more_digits_than_python_prints_is_refused(self, codec: Codec) -> None:
        assert "argument 'value': cannot encode `int`" in refusal(taking(int, codec), 10**5000)

    def test_nesting_without_end_is_refused(self, codec: Codec) -> None:
        endless: list[Any] = []
        endless.append(endless)
        assert "cannot encode `list`: RecursionError" in refusal(taking(Any, codec), endless)

    @pytest.mark.slow
    @pytest.mark.parametrize("depth", [100, 200, 300, 400, 600, 900, 990, 1100])
    def test_deep_nesting_is_sent_or_refused(self, codec: Codec, depth: int) -> None:
        for inmost in (1, math.nan, KEY):
            value: Any = inmost
            for _ in range(depth):
                value = [value]
            for hint in (Any, list[Any], str, Repo | dict[str, Any]):
                task = taking(hint, codec)
                with contextlib.suppress(InvalidArgumentsError):
                    task.decode_call(task.encode_call((value,), {}))
                with contextlib.suppress(ResultError):
                    task.decode_result(task.encode_result(value))

    def test_a_check_of_the_class_itself_is_heard(self, codec: Codec) -> None:
        @dataclasses.dataclass
        class Even:
            number: int

            def __post_init__(self) -> None:
                if self.number % 2:
                    raise ArithmeticError("odd")

        even = Even(2)
        even.number = 3
        assert "Even` cannot be read back: ArithmeticError: odd" in refusal(
            taking(Even, codec), even
        )

    def test_the_error_is_a_type_error_of_the_package(self) -> None:
        with pytest.raises(TypeError) as caught:
            taking(int).encode_call(("x",), {})
        assert isinstance(caught.value, LtqError)
        assert isinstance(caught.value.__cause__, msgspec.ValidationError)
