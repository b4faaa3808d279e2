"""Publishing: what the answers of the broker mean to the sender."""

from collections.abc import Sequence

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


def envelopes(*ids: str) -> list[Envelope]:
    return [Envelope(id=one, queue="q", task_name="q", body=b"", max_pending=3) for one in ids]


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
    ids = await publish(broker, envelopes("a", "b", "c"), events, full_timeout=10)
    assert ids == ["a", "b", "c"]
    assert broker.calls == [["a", "b", "c"], ["b", "c"], ["b", "c"], ["c"]]


async def test_listeners_hear_of_each_task_once(events: EventStream) -> None:
    heard: list[Event] = []
    events.subscribe(heard.append)
    await publish(Scripted([EXISTS, FULL], [CREATED]), envelopes("a", "b"), events, full_timeout=9)
    assert [event.id for event in heard] == ["b"]


async def test_an_error_of_the_broker_is_raised(events: EventStream) -> None:
    with pytest.raises(BrokerError, match="away"):
        await publish(Scripted(), envelopes("a"), events)
