"""The message that users and middleware see."""

import copy
import pickle

import pytest

from ltq.message import Message


def make(**changes: object) -> "Message[int]":
    fields: dict[str, object] = {"args": (1,), "kwargs": {}, "task_name": "shop:pay", "id": "a1"}
    return Message(**{**fields, **changes})  # type: ignore[arg-type]


def test_how_it_is_encoded_and_who_made_it_do_not_make_it_another_one() -> None:
    assert make() == make(body=b"[1]", origin=object())
    assert make() != make(id="a2")
    assert make() != make(tries=1)
    assert make() != "a1"


def test_a_subclass_is_compared_by_its_own_fields() -> None:
    class Traced(Message[int], frozen=True):
        trace: str = ""

    one, other = (Traced((1,), {}, "shop:pay", id="a1", trace=trace) for trace in "xy")
    assert one != other
    assert one == Traced((1,), {}, "shop:pay", id="a1", trace="x", body=b"[1]")
    assert one != make()


def test_only_its_ctx_may_be_written_to() -> None:
    message = make()
    message.ctx["trace"] = "x"
    with pytest.raises(AttributeError):
        message.id = "a2"  # type: ignore[misc]
    with pytest.raises(TypeError):
        hash(message)


def test_it_shows_what_matters() -> None:
    shown = repr(make(body=b"[1]", origin=object()))
    assert shown.startswith("Message(args=(1,), kwargs={}, task_name='shop:pay', ctx={}, id='a1'")
    assert "body" not in shown
    assert "origin" not in shown


def test_it_can_be_copied_and_pickled() -> None:
    message = make(ctx={"trace": "x"})
    assert copy.copy(message) == message
    assert copy.deepcopy(message) == message
    assert pickle.loads(pickle.dumps(message)) == message


def test_each_has_an_id_and_a_ctx_of_its_own() -> None:
    one, other = (Message[int]((1,), {}, "shop:pay") for _ in range(2))
    assert one.id != other.id
    assert one.ctx is not other.ctx
