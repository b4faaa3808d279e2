"""Publishing: what the answers of the broker mean to the sender."""

import time
from collections.abc import Sequence
from typing import Any

import pytest

from ltq import BrokerError, ConfigurationError, Event, QueueFullError
from ltq._sender.publish import publish
from ltq.events import EventStream
from ltq.message import Envelope, Published
from ltq.state import QueueStats

CREATED, EXISTS, FULL = Published.CREATED, Published.EXISTS, Published.FULL


class Scripted:
    """A broker that gives answers in their order."""

    def __init__(self, *answers: list[Published], first: str | None = "first") -> None:
        self.answers = list(answers)
        self.calls: list[list[str]] = []
        self._first = first

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        self.calls.append([envelope.id for envelope in envelopes])
        if not self.answers:
            raise BrokerError("away")
        return self.answers.pop(0)

    async def first(self, queue: str, fingerprint: str) -> str | None:
        return self._first

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        return [QueueStats(queue=one, pending=2, delayed=1, working=9, dead=9) for one in queues]


def envelopes(*ids: str, **options: Any) -> list[Envelope]:
    return [
        Envelope(id=one, queue="q", task_name="q", body=b"", max_pending=3, **options)
        for one in ids
    ]


def patient(*ids: str, timeout: float = 10.0) -> list[Envelope]:
    return envelopes(*ids, on_full="wait", full_timeout=timeout)


@pytest.fixture
def events() -> EventStream:
    return EventStream("shop")


async def test_the_ids_are_those_of_the_envelopes(events: EventStream) -> None:
    broker = Scripted([CREATED, EXISTS])
    assert await publish(broker, envelopes("a", "b"), events) == ["a", "b"]


async def test_a_duplicate_gets_the_id_of_the_first_task(events: EventStream) -> None:
    broker = Scripted([CREATED, Published.DUPLICATE])
    assert await publish(broker, envelopes("a", "b"), events) == ["a", "first"]
    assert len(broker.calls) == 1


async def test_a_duplicate_of_a_task_just_forgotten_is_sent_again(events: EventStream) -> None:
    broker = Scripted([CREATED, Published.DUPLICATE], [CREATED], first=None)
    assert await publish(broker, envelopes("a", "b"), events) == ["a", "b"]
    assert broker.calls == [["a", "b"], ["b"]]


async def test_an_id_of_another_task_is_an_error(events: EventStream) -> None:
    broker = Scripted([Published.ID_CONFLICT])
    with pytest.raises(ConfigurationError, match="id 'a' belongs to another task, not to q"):
        await publish(broker, envelopes("a"), events)


async def test_a_full_queue_is_an_error_that_says_how_full(events: EventStream) -> None:
    broker = Scripted([CREATED, FULL])
    with pytest.raises(QueueFullError) as caught:
        await publish(broker, envelopes("a", "b"), events)
    assert (caught.value.queue, caught.value.depth, caught.value.limit) == ("q", 3, 3)


async def test_it_waits_for_room_and_sends_only_what_was_refused(events: EventStream) -> None:
    broker = Scripted([CREATED, FULL, FULL], [FULL, FULL], [CREATED, FULL], [CREATED])
    ids = await publish(broker, patient("a", "b", "c"), events)
    assert ids == ["a", "b", "c"]
    assert broker.calls == [["a", "b", "c"], ["b", "c"], ["b", "c"], ["c"]]


async def test_an_impatient_one_is_given_up_when_the_patient_ones_are_sent(
    events: EventStream,
) -> None:
    broker = Scripted([FULL, FULL, FULL], [FULL, FULL], [CREATED, FULL], [CREATED])
    mixed = [*patient("a"), *envelopes("b"), *patient("c")]
    with pytest.raises(QueueFullError):
        await publish(broker, mixed, events)
    assert broker.calls == [["a", "b", "c"], ["a", "c"], ["a", "c"], ["c"]]


class Answering(Scripted):
    """A broker whose queue has room for calls of at most so many envelopes."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        self.calls.append([envelope.id for envelope in envelopes])
        return [CREATED if len(envelopes) <= self._room else FULL] * len(envelopes)


async def test_each_waits_as_long_as_it_says(events: EventStream) -> None:
    broker = Answering(room=1)
    with pytest.raises(QueueFullError):
        await publish(broker, [*patient("a"), *patient("b", timeout=0.03)], events)
    assert broker.calls[0] == ["a", "b"]
    assert broker.calls[-1] == ["a"]


async def test_a_wrong_id_does_not_hold_up_the_others(events: EventStream) -> None:
    broker = Scripted([Published.ID_CONFLICT, FULL], [CREATED])
    with pytest.raises(ConfigurationError, match="id 'a' belongs to another task"):
        await publish(broker, patient("a", "b"), events)
    assert broker.calls == [["a", "b"], ["b"]]


@pytest.mark.slow
async def test_many_that_wait_take_little_time(events: EventStream) -> None:
    many = patient(*map(str, range(20_000)))
    began = time.process_time()
    await publish(Answering(room=100), many, events)
    assert time.process_time() - began < 2.0


async def test_listeners_hear_of_each_task_once(events: EventStream) -> None:
    heard: list[Event] = []
    events.subscribe(heard.append)
    await publish(Scripted([EXISTS, FULL], [CREATED]), patient("a", "b"), events)
    assert [event.id for event in heard] == ["b"]


async def test_an_error_of_the_broker_is_raised(events: EventStream) -> None:
    with pytest.raises(BrokerError, match="away"):
        await publish(Scripted(), envelopes("a"), events)
