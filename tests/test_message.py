"""The message that users and middleware see."""

import copy
import pickle
import threading

import msgspec
import pytest

from ltq._sender.prepared import EncodedCall, PreparedMessage
from ltq.message import Message

TASK = threading.Lock()  # it cannot be copied, as a task with connections


def make(**changes: object) -> "Message[int]":
    fields: dict[str, object] = {"args": (1,), "kwargs": {}, "task_name": "shop:pay", "id": "a1"}
    return Message(**{**fields, **changes})  # type: ignore[arg-type]


def prepare(**changes: object) -> "Message[int]":
    fields = {"args": (1,), "kwargs": {}, "task_name": "shop:pay", "id": "a1", **changes}
    encoded = EncodedCall(fields["args"], fields["kwargs"], b"[1]")  # type: ignore[arg-type]
    return PreparedMessage(encoded=encoded, task=TASK, **fields)  # type: ignore[arg-type]


def test_one_made_by_a_task_equals_a_plain_one() -> None:
    assert make() == prepare() == prepare()
    assert prepare() == make()
    assert prepare(id="a2") != make()
    assert make() != make(id="a2")
    assert make() != make(tries=1)
    other: object = "a1"
    assert make() != other


def test_a_subclass_is_compared_by_its_own_fields() -> None:
    class Traced(Message[int], frozen=True):
        trace: str = ""

    one, other = (Traced((1,), {}, "shop:pay", id="a1", trace=trace) for trace in "xy")
    assert one != other
    assert one == Traced((1,), {}, "shop:pay", id="a1", trace="x")
    assert one != make()


def test_only_its_ctx_may_be_written_to() -> None:
    message = make()
    message.ctx["trace"] = "x"
    with pytest.raises(AttributeError):
        message.id = "a2"  # type: ignore[misc]
    for one in (message, prepare()):
        with pytest.raises(TypeError):
            hash(one)


def test_it_shows_what_matters() -> None:
    shown = repr(prepare())
    assert shown == repr(make())
    assert shown.startswith("Message(args=(1,), kwargs={}, task_name='shop:pay', ctx={}, id='a1'")
    assert "body" not in shown.replace("keep_body=", "")


def test_it_can_be_copied_and_pickled() -> None:
    message = make(ctx={"trace": "x"})
    assert copy.copy(message) == message
    assert copy.deepcopy(message) == message
    assert pickle.loads(pickle.dumps(message)) == message


def test_one_made_by_a_task_can_be_copied_and_pickled() -> None:
    message = prepare(args=([1],), ctx={"trace": "x"})
    for other in (copy.copy(message), copy.deepcopy(message)):
        assert other == message
        assert isinstance(other, PreparedMessage)
        assert (other.body, other.task) == (b"[1]", TASK)
    deep = copy.deepcopy(message)
    assert deep.args[0] is not message.args[0]
    assert deep.ctx is not message.ctx
    loaded = pickle.loads(pickle.dumps(message))
    assert loaded == message
    assert type(loaded) is Message


def test_one_with_other_arguments_forgets_how_they_travelled() -> None:
    message = prepare()
    assert isinstance(message, PreparedMessage)
    assert msgspec.structs.replace(message, id="a2").body == b"[1]"
    assert msgspec.structs.replace(message, args=(2,)).body is None
    assert msgspec.structs.replace(message, kwargs={"order": 2}).body is None


def test_each_has_an_id_and_a_ctx_of_its_own() -> None:
    one, other = (Message[int]((1,), {}, "shop:pay") for _ in range(2))
    assert one.id != other.id
    assert one.ctx is not other.ctx
