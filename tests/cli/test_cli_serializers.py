"""What the command line shows of values that are not JSON."""

import json
import zlib
from base64 import b64decode, b64encode
from typing import Any

import pytest

import ltq
from ltq._declared import DeclaredTask
from ltq._display.encoded import Encoded, call_text, json_value, result_text
from ltq.cli._format import state_fields, state_json
from ltq.cli.send.command import _print_end
from ltq.state import Status, TaskState

PACKED = b"\x92\x92\x01\xc4\x01\xff\x81\xa1k\xc0"  # [[1, b"\xff"], {"k": None}]
ZIPPED = b"x\x9c\x8b\x8e6"


def make_state(data: bytes, serializer: str) -> TaskState[bytes]:
    status = Status.COMPLETED
    return TaskState(
        id="1", task_name="a:b", queue="a:b", status=status, result=data, serializer=serializer
    )


def test_messagepack_is_shown_as_json() -> None:
    assert result_text(PACKED, serializer="msgpack") == '[[1,"/w=="],{"k":null}]'
    assert json_value(PACKED, "msgpack") == [[1, "/w=="], {"k": None}]
    assert call_text(PACKED, "msgpack") == "1, \"b'\\\\xff'\", k=null"


def test_another_serializer_is_shown_as_bytes_that_say_so() -> None:
    shown = result_text(ZIPPED, serializer="Zipped")
    assert shown == f"{ZIPPED!r} (5 bytes of serializer Zipped)"
    assert call_text(ZIPPED, "Zipped") == shown
    value = json_value(ZIPPED, "Zipped")
    assert value == {"serializer": "Zipped", "base64": b64encode(ZIPPED).decode()}
    assert b64decode(value["base64"]) == ZIPPED


@pytest.mark.parametrize("data", [b"\xc1", b"", b"\x92\x01", b"\xc7\x00\x05"])
def test_so_is_what_only_claims_to_be_messagepack(data: bytes) -> None:
    assert json_value(data, "msgpack")["base64"] == b64encode(data).decode()
    assert "of serializer msgpack" in result_text(data, serializer="msgpack")


def test_much_of_it_is_cut() -> None:
    shown = result_text(b"\xff" * 5000, 20, serializer="Zipped")
    assert len(shown) < 100
    assert "5000 bytes" in shown


def test_states_show_results_and_arguments_each_by_its_own() -> None:
    state = make_state(b"\x2a", "msgpack")
    fields = dict(state_fields(state, 0.0, Encoded(ZIPPED, "Zipped")))
    assert (fields["result"], str(fields["arguments"])[:2]) == ("42", "b'")
    shown = json.loads(state_json(state, body=Encoded(b"[[1],{}]")))
    assert (shown["result"], shown["body"]) == (42, [[1], {}])


class Zipped:
    def dumps(self, value: Any) -> bytes:
        return zlib.compress(json.dumps(value).encode())

    def loads(self, data: bytes) -> Any:
        return json.loads(zlib.decompress(data))


@pytest.mark.parametrize("serializer", ["json", "msgpack", Zipped()])
@pytest.mark.parametrize("as_json", [True, False])
def test_send_shows_a_result_as_the_tasks_own_serializer_reads_it(
    serializer: Any, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = ltq.Worker("w", "memory://w", serializer=serializer)

    @worker.task
    async def give() -> tuple[int, bytes]:
        return 1, b"\xff"

    codec = DeclaredTask.of(give).codec
    state = make_state(codec.encode_result((1, b"\xff")), codec.serializer)
    _print_end(give, state, as_json=as_json)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["result"] if as_json else shown) == [1, "/w=="]


def test_send_shows_what_it_cannot_read_as_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    worker = ltq.Worker("w", "memory://w")

    @worker.task
    async def give() -> int:
        return 1

    _print_end(give, make_state(ZIPPED, "Zipped"), as_json=False)
    assert capsys.readouterr().out == f"{ZIPPED!r} (5 bytes of serializer Zipped)\n"
