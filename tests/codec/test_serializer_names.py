"""What arguments and results say of what they are encoded with, and who can read them."""

import json
import pickle
import zlib
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ltq._codec.codec import Codec, UnknownSerializerError, name_of_serializer
from ltq.errors import DecodeError
from ltq.message import decode_ctx, encode_ctx
from tests.codec.samples import taking


class Zipped:
    def dumps(self, value: Any) -> bytes:
        return zlib.compress(json.dumps(value).encode())

    def loads(self, data: bytes) -> Any:
        return json.loads(zlib.decompress(data))


class Named(Zipped):
    name = "zip-1"


class Wrong(Zipped):
    name = 5


@pytest.mark.parametrize(
    ("serializer", "name"),
    [
        ("json", "json"),
        ("msgpack", "msgpack"),
        (Zipped(), "Zipped"),
        (Named(), "zip-1"),
        (Wrong(), "Wrong"),
        (Zipped, "Zipped"),
        (pickle, "pickle"),
        (ModuleType("mine"), "mine"),
        (SimpleNamespace(), "SimpleNamespace"),
    ],
)
def test_a_serializer_has_a_name(serializer: Any, name: str) -> None:
    assert name_of_serializer(serializer) == name


@pytest.mark.parametrize("own", ["json", "msgpack", Zipped()])
@pytest.mark.parametrize("written", ["json", "msgpack"])
def test_both_of_ltq_are_always_read(own: Any, written: Any) -> None:
    writer, reader = taking(bytes, Codec(written)), taking(bytes, Codec(own))
    body = writer.encode_call((b"\x00",), {})
    assert reader.decode_call(body, writer.serializer) == ((b"\x00",), {})
    result = writer.encode_result(b"\xff")
    assert reader.decode_result(result, writer.serializer) == b"\xff"
    assert reader.result_as_json(result, writer.serializer) == b'"/w=="'


@pytest.mark.parametrize("own", ["msgpack", Zipped()])
def test_what_has_no_name_and_is_no_json_is_in_ones_own(own: Any) -> None:
    task = taking(int, Codec(own))
    assert task.decode_call(task.encode_call((7,), {}), "json") == ((7,), {})
    assert task.decode_call(b"[[7],{}]", "json") == ((7,), {})


@pytest.mark.parametrize("own", ["json", "msgpack", Named()])
def test_another_one_is_unknown(own: Any) -> None:
    task, data = taking(int, Codec(own)), Zipped().dumps([[7], {}])
    for decode in (task.decode_call, task.decode_result):
        with pytest.raises(UnknownSerializerError, match="'Zipped', which is not known here"):
            decode(data, "Zipped")


@pytest.mark.parametrize("written", ["json", "msgpack"])
def test_wrong_bytes_of_a_known_one_cannot_be_decoded(written: str) -> None:
    for own in ("json", "msgpack"):
        task = taking(int, Codec(own))
        for decode in (task.decode_call, task.decode_result):
            with pytest.raises(DecodeError):
                decode(b"\xc1", written)


class TestCtx:
    def test_what_json_knows_arrives(self) -> None:
        ctx = {"a": 1, "b": [None, True, 1.5, "ü", {"c": []}], "big": 2**70}
        assert decode_ctx(encode_ctx(ctx)[0]) == ctx

    def test_an_empty_one_has_no_bytes(self) -> None:
        assert encode_ctx({}) == (b"", "")

    def test_the_rest_arrives_as_what_it_becomes_in_json(self) -> None:
        data, wrong = encode_ctx({"nan": float("nan"), "bytes": b"\x00", "set": {1}, 5: (1, 2)})
        assert wrong == ""
        assert decode_ctx(data) == {"nan": None, "bytes": "AA==", "set": [1], "5": [1, 2]}

    def test_what_cannot_travel_is_named_and_left_out(self) -> None:
        endless: dict[str, Any] = {}
        endless["itself"] = endless
        ctx = {"a": 1, "object": object(), (1, 2): 3, "\ud800": 4, "text": "\ud800", "e": endless}
        data, wrong = encode_ctx(ctx)
        assert data == b'{"a":1}'
        for key in ctx:
            assert (f"ctx[{key!r}]: " in wrong) is (key != "a")
