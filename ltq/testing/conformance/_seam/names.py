"""Names at the seam: every call that takes one refuses what is none, before it does anything."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from ltq.broker import Broker, ScheduleSlot
from ltq.errors import ConfigurationError
from ltq.message import Lease, Published
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    make_envelope,
    publish,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer

WRONG: list[Any] = [
    "",
    "orders eu",
    "orders\neu",
    "orders\n",
    "\norders",
    "orders\r",
    "orders\x00",
    "{orders}",
    "orders*",
    "örders",
    "ｏrders",
    "orders\u200b",
    "o" * 201,
    None,
    7,
    b"orders",
    ["orders"],
]
"""What is no name."""

NO_QUEUE = [*WRONG, "orders/eu", "/orders", "orders/"]
"""What is no name, and lanes."""

LONGEST = "".join(["a" * 100, ":", "Z9_.-:" * 16, "b" * 3])
"""As long as a name may be, with each kind of character."""

QUEUE_CALLS: dict[str, Callable[[Broker, Any], Awaitable[object]]] = {
    "states": lambda broker, name: broker.states(name, ["id"]),
    "state": lambda broker, name: broker.state(name, "id"),
    "wait": lambda broker, name: broker.wait(name, "id", timeout=0.01),
    "watch": lambda broker, name: anext(broker.watch(name, "id", timeout=0.01)),
    "body": lambda broker, name: broker.body(name, "id"),
    "stats": lambda broker, name: broker.stats([QUEUE, name]),
    "tasks": lambda broker, name: broker.tasks(name),
    "clear": lambda broker, name: broker.clear(name),
    "cancel": lambda broker, name: broker.cancel(name, "id", 1.0),
    "pause": lambda broker, name: broker.pause(name),
    "resume": lambda broker, name: broker.resume(name),
    "promote": lambda broker, name: broker.promote(name, ["id"]),
    "cancel_many": lambda broker, name: broker.cancel_many(name),
    "rerun": lambda broker, name: broker.rerun(name, ["id"]),
    "sweep": lambda broker, name: broker.sweep([QUEUE, name]),
    "repair": lambda broker, name: broker.repair([QUEUE, name]),
    "first": lambda broker, name: broker.first(name, "fingerprint"),
    "dead_letters": lambda broker, name: broker.dead_letters(name),
    "replay": lambda broker, name: broker.replay(name, ["id"]),
    "purge": lambda broker, name: broker.purge(name, ["id"]),
    "purge all": lambda broker, name: broker.purge(name),
    "requeue": lambda broker, name: broker.requeue(Lease("id", name, 1)),
    "release": lambda broker, name: broker.release(Lease("id", name, 1)),
}

ID_CALLS: dict[str, Callable[[Broker, Any], Awaitable[object]]] = {
    "states": lambda broker, task_id: broker.states(QUEUE, ["id", task_id]),
    "state": lambda broker, task_id: broker.state(QUEUE, task_id),
    "wait": lambda broker, task_id: broker.wait(QUEUE, task_id, timeout=0.01),
    "watch": lambda broker, task_id: anext(broker.watch(QUEUE, task_id, timeout=0.01)),
    "find": lambda broker, task_id: broker.find(task_id),
    "body": lambda broker, task_id: broker.body(QUEUE, task_id),
    "cancel": lambda broker, task_id: broker.cancel(QUEUE, task_id, 1.0),
    "promote": lambda broker, task_id: broker.promote(QUEUE, ["id", task_id]),
    "rerun": lambda broker, task_id: broker.rerun(QUEUE, ["id", task_id]),
    "dead_letter": lambda broker, task_id: broker.dead_letter(QUEUE, task_id),
    "dead_letter of any": lambda broker, task_id: broker.dead_letter(None, task_id),
    "replay": lambda broker, task_id: broker.replay(QUEUE, ["id", task_id]),
    "purge": lambda broker, task_id: broker.purge(QUEUE, ["id", task_id]),
    "requeue": lambda broker, task_id: broker.requeue(Lease(task_id, QUEUE, 1)),
    "release": lambda broker, task_id: broker.release(Lease(task_id, QUEUE, 1)),
}


@contextmanager
def refused(value: object) -> Iterator[None]:
    """Expects an error that names the value, of which long ones are cut."""
    with pytest.raises(ConfigurationError) as caught:
        yield
    assert repr(value)[:50] in str(caught.value)


class TestNamesOfEnvelopes:
    @pytest.mark.parametrize("field", ["queue", "task_name", "id", "lane"])
    async def test_one_wrong_name_and_nothing_is_published(
        self, broker: Broker, field: str
    ) -> None:
        for value in NO_QUEUE if field != "lane" else NO_QUEUE[1:]:
            wrong = make_envelope(**{"id": "a", "task_name": QUEUE, field: value})
            for envelopes in (
                [make_envelope(), wrong, make_envelope()],
                [make_envelope(queue="other:send"), wrong],
                [wrong, make_envelope()],
                [wrong],
            ):
                with refused(value):
                    await broker.publish(envelopes)
        assert await broker.queues() == []

    @pytest.mark.parametrize("lane", ["mail:other", "mail:other/mail:send", f"{QUEUE}/a/b/c"])
    async def test_a_lane_is_one_of_its_queue(self, broker: Broker, lane: str) -> None:
        with refused(lane):
            await broker.publish([make_envelope(), make_envelope(lane=lane)])
        assert await broker.queues() == []

    async def test_each_allowed_character_may_be_in_each(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        assert len(LONGEST) == 200
        lane = f"{LONGEST}/{LONGEST}"
        names = {"id": LONGEST, "queue": LONGEST, "task_name": LONGEST, "lane": lane}
        assert await broker.publish([make_envelope(**names)]) == [Published.CREATED]
        assert await claim_ids(make_consumer(lane), 1) == [LONGEST]

    async def test_a_slot_of_a_schedule_is_held_to_it(self, broker: Broker) -> None:
        slot = ScheduleSlot(schedule="s", queue=QUEUE, spec="", after=0, slot=1, due=2)
        for value in NO_QUEUE:
            for wrong in (
                replace(slot, schedule=value),
                replace(slot, queue=value),
                replace(slot, envelope=make_envelope(id=value)),
            ):
                with refused(value):
                    await broker.fire(wrong)
        assert await broker.queues() == []
        assert (await broker.fire(slot)).last == 1


class TestNamesOfConsumers:
    async def test_what_is_no_lane_is_refused(self, broker: Broker) -> None:
        for value in [*WRONG, "/orders", "orders/", "a/b/c/d", "a/b\n", "/"]:
            with refused(value):
                broker.consumer([QUEUE, value])

    async def test_what_is_no_task_is_not_known(self, broker: Broker) -> None:
        for value in [*WRONG, "/orders", "orders/", "a/b/c", "a/b\n", "/"]:
            with refused(value):
                broker.consumer([QUEUE], knows=[QUEUE, value])
        text: Any = "mail"
        with refused(text):
            broker.consumer([QUEUE], knows=text)

    async def test_what_is_no_lane_is_not_served(self, broker: Broker) -> None:
        for value in [*WRONG, "/orders", "orders/", "a/b/c/d", "a/b\n", "/"]:
            with refused(value):
                await broker.serve([QUEUE, value], 5.0)
            with refused(value):
                await broker.served([QUEUE, value])
        assert await broker.served([QUEUE]) == [None]
        assert await broker.queues() == []

    async def test_queues_and_lanes_are_taken(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        lane = f"{QUEUE}/mail:other"
        own, other = await publish(broker), await publish(broker, lane=lane)
        assert await claim_ids(make_consumer(lane), 10) == [other.id]
        assert await claim_ids(make_consumer(QUEUE), 10) == [own.id]

    async def test_its_own_name_is_held_to_it(self, broker: Broker) -> None:
        for value in [*filter(None, WRONG), "a/b"]:
            with refused(value):
                broker.consumer([QUEUE], name=value)


class TestNamesInCalls:
    @pytest.mark.parametrize("call", QUEUE_CALLS)
    async def test_what_is_no_queue_is_refused(self, broker: Broker, call: str) -> None:
        for value in NO_QUEUE:
            with refused(value):
                await QUEUE_CALLS[call](broker, value)

    @pytest.mark.parametrize("call", ID_CALLS)
    async def test_what_is_no_id_is_refused(self, broker: Broker, call: str) -> None:
        for value in NO_QUEUE:
            with refused(value):
                await ID_CALLS[call](broker, value)

    async def test_a_text_is_no_list_of_names(self, broker: Broker) -> None:
        text: Any = "mail"
        for call in (
            broker.stats(text),
            broker.sweep(text),
            broker.repair(text),
            broker.states(QUEUE, text),
            broker.replay(QUEUE, text),
            broker.purge(QUEUE, text),
            broker.promote(QUEUE, text),
            broker.rerun(QUEUE, text),
            broker.serve(text, 5.0),
            broker.served(text),
        ):
            with pytest.raises(ConfigurationError, match="'mail'"):
                await call
        with pytest.raises(ConfigurationError, match="'mail'"):
            broker.consumer(text)
