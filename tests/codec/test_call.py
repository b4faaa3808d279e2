"""Calls and results to bytes and back."""

import contextlib
import dataclasses
import math
import subprocess
import sys
import threading
from datetime import date, datetime
from typing import (
    Any,
    NoReturn,
)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltq._codec.call import CallCodec
from ltq._codec.codec import Codec
from ltq.errors import (
    DecodeError,
    InvalidArgumentsError,
    ResultError,
)
from tests.codec.samples import (
    ADA,
    CODECS,
    KEY,
    NOON,
    NOON_UTC,
    Repo,
    fuzzed,
    make,
    taking,
)


class TestWire:
    def test_json_reads_like_the_call(self) -> None:
        def fetch(repo: str, *, depth: int = 1) -> None: ...

        assert make(fetch).encode_call(("a/b",), {"depth": 2}) == b'[["a/b"],{"depth":2}]'

    def test_no_arguments_are_an_empty_call(self) -> None:
        def fetch() -> None: ...

        assert make(fetch).encode_call((), {}) == b"[[],{}]"
        assert make(fetch).decode_call(b"[[],{}]") == ((), {})


class TestResults:
    def test_no_annotation_means_plain_data(self) -> None:
        def fetch():  # type: ignore[no-untyped-def]
            ...

        task = make(fetch)
        value = {"at": NOON, 1: (KEY, {5}), "repo": Repo("a")}
        assert task.decode_result(task.encode_result(value)) == {
            "at": NOON.isoformat(),
            "1": [str(KEY), [5]],
            "repo": {"name": "a", "stars": 0},
        }

    def test_none_is_null_and_no_bytes_are_none(self, codec: Codec) -> None:
        async def fetch() -> None: ...

        task = make(fetch, codec)
        assert task.decode_result(task.encode_result(None)) is None
        assert task.decode_result(b"") is None
        assert make(fetch).encode_result(None) == b"null"
        with pytest.raises(ResultError, match="github:fetch: result: Expected `None`, got `int`"):
            task.encode_result(5)

    def test_async_functions_are_read_alike(self, codec: Codec) -> None:
        async def fetch() -> list[Repo]:
            raise NotImplementedError

        task = make(fetch, codec)
        assert task.decode_result(task.encode_result([Repo("a")])) == [Repo("a")]

    @pytest.mark.parametrize(
        ("hint", "value", "text"),
        [
            (int, "x", "Expected `int`, got `str`"),
            (list[Repo], [{"stars": 1}], "missing required field `name` - at `result[0]`"),
            (Any, threading.Lock(), "cannot encode `_thread.lock`"),
            (str | datetime, NOON.isoformat(), "`str` would arrive as `datetime.datetime`"),
            (datetime, NOON.isoformat(), "`str` would arrive as `datetime.datetime`"),
        ],
    )
    def test_a_wrong_result_is_named_where_it_was_made(
        self, codec: Codec, hint: Any, value: Any, text: str
    ) -> None:
        with pytest.raises(ResultError) as caught:
            taking(hint, codec).encode_result(value)
        assert str(caught.value).startswith("github:fetch: result: ")
        assert text in str(caught.value)

    @pytest.mark.parametrize("hint", [float, Any, float | None], ids=str)
    def test_json_does_not_turn_a_result_of_nan_into_none(self, hint: Any) -> None:
        with pytest.raises(ResultError, match="result: `nan` would arrive as `None`"):
            taking(hint).encode_result(math.nan)

    def test_bytes_of_another_type_are_a_decode_error(self, codec: Codec) -> None:
        data = taking(str, codec).encode_result("x")
        with pytest.raises(DecodeError, match="github:fetch: result: Expected `int`, got `str`"):
            taking(int, codec).decode_result(data)

    def test_a_function_that_never_returns_has_a_codec(self) -> None:
        def fetch() -> NoReturn:
            raise NotImplementedError

        assert make(fetch).decode_call(b"[[],{}]") == ((), {})


BODIES = [
    b"",
    b"null",
    b"{}",
    b"[]",
    b"[[],{}",
    b"[[],[]]",
    b"[{},{}]",
    b'[["x"],{}]',
    b"[[1],{}] trailing",
    b"[[1e999],{}]",
    b"[[" + b"1" * 5000 + b"],{}]",
    b"[[NaN],{}]",
    b'[["\xff"],{}]',
    b'[["\\ud800"],{}]',
    b"[" * 100_000,
    b"[[" + b"[" * 100_000,
    b'[[{"a":' * 50_000,
    b"\x92\x91" + b"\x91" * 100_000,
    b"\x92\xdd\xff\xff\xff\xff",
    b"\x80\x04K\x01.",
    b"[[1],{}]\x00",
]


class TestUndecodable:
    @pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:20]))
    def test_a_malformed_body_raises_only_a_decode_error(self, codec: Codec, body: bytes) -> None:
        for task in (make(fuzzed, codec), taking(str, codec)):
            for decode in (task.decode_call, task.decode_result):
                with contextlib.suppress(DecodeError):
                    decode(body)

    def test_the_argument_at_fault_is_named(self, codec: Codec) -> None:
        body = codec.encode(([1, None, {}, {"x": 1}], {"d": 1}))
        with pytest.raises(DecodeError, match=r"^github:fetch: argument '\*c\[1\]': "):
            make(fuzzed, codec).decode_call(body)

    @given(st.binary())
    def test_any_bytes_raise_only_a_decode_error(self, body: bytes) -> None:
        for codec in CODECS.values():
            task = make(fuzzed, codec)
            for decode in (task.decode_call, task.decode_result):
                with contextlib.suppress(DecodeError):
                    decode(body)

    @given(st.data())
    def test_any_spoilt_body_raises_only_a_decode_error(self, data: st.DataObject) -> None:
        codec = CODECS[data.draw(st.sampled_from(list(CODECS)))]
        task = make(fuzzed, codec)
        body = task.encode_call(
            (1, Repo("a", 2), {KEY: [date(2024, 1, 1), NOON_UTC]}), {"d": [None, 1.5], "e": ADA}
        )
        at = data.draw(st.integers(0, len(body) - 1))
        end = data.draw(st.integers(at, min(len(body), at + 8)))
        spoilt = body[:at] + data.draw(st.binary(max_size=8)) + body[end:]
        for decode in (task.decode_call, task.decode_result):
            with contextlib.suppress(DecodeError):
                decode(spoilt)

    def test_a_serializer_may_raise_and_return_anything(self) -> None:
        class Broken:
            def __init__(self, answer: Any) -> None:
                self.answer = answer

            def dumps(self, value: Any, /) -> Any:
                return self.loads(b"")

            def loads(self, data: bytes, /) -> Any:
                if isinstance(self.answer, Exception):
                    raise self.answer
                return self.answer

        for answer in (KeyError("x"), None, 5, [1], [[1]], "text", [[1], {1: 2}], object()):
            task = make(fuzzed, Codec(Broken(answer)))
            with pytest.raises(DecodeError):
                task.decode_call(b"x")
            with pytest.raises(InvalidArgumentsError):
                task.encode_call((1,), {})
            with pytest.raises(ResultError):
                task.encode_result([])

    def test_an_error_of_the_users_class_is_a_decode_error(self) -> None:
        @dataclasses.dataclass
        class Picky:
            name: str

            def __post_init__(self) -> None:
                raise LookupError("not found")

        with pytest.raises(DecodeError, match="argument 'value': LookupError: not found"):
            taking(Picky).decode_call(b'[[{"name":"x"}],{}]')


def test_importing_the_codec_does_not_import_pydantic() -> None:
    script = "import sys, ltq._codec.call; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


class TestMaxPayload:
    def test_arguments_beyond_it_are_refused(self) -> None:
        def keep(text: str) -> None: ...

        calls = CallCodec(keep, Codec("json", 100), task_name="shop:keep")
        calls.encode_call(("x" * 80,), {})
        with pytest.raises(InvalidArgumentsError, match=r"shop:keep.*max_payload is 100"):
            calls.encode_call(("x" * 100,), {})

    def test_a_result_beyond_it_fails(self) -> None:
        def give() -> str:
            return ""

        calls = CallCodec(give, Codec("json", 100), task_name="shop:give")
        with pytest.raises(ResultError, match=r"102 bytes, but max_payload is 100"):
            calls.encode_result("x" * 100)
