"""What a moved task takes along of `unique_for`: its duplicates stay duplicates, for as long."""

import pytest
from msgspec.structs import replace

from ltq.broker import Broker, Consumer, Parcel
from ltq.message import Envelope, Published
from ltq.state import Status
from ltq.testing.conformance._moving.parcels import pack_one
from ltq.testing.conformance._seam.dead_letters import bury
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import QUEUE, claim_one, make_envelope, publish

THERE = "there:send"
"""A queue of another namespace. It stands for another store, as nothing of this one counts in it.
"""


def alike(queue: str = QUEUE) -> Envelope:
    """A task with the fingerprint of all others here."""
    return make_envelope(queue=queue, fingerprint="f", unique_for=30.0)


def arrives(parcel: Parcel) -> Parcel:
    """A parcel as the other store gets it."""
    return replace(parcel, envelope=replace(parcel.envelope, queue=THERE))


class TestUniqueMoves:
    async def test_a_parcel_says_until_when_others_are_duplicates(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        first = alike()
        await broker.publish([first])
        until = ((await broker.state(QUEUE, first.id)).enqueue_time or 0.0) + 30.0
        parcels = [await pack_one(broker, first.id)]
        await broker.requeue((await claim_one(broker, consumer)).lease)
        parcels.append(await pack_one(broker, first.id))
        for parcel in parcels:
            assert parcel.envelope.fingerprint == "f"
            assert parcel.unique_until == pytest.approx(until, abs=0.1)

    async def test_it_says_nothing_if_others_may_be_sent(self, broker: Broker) -> None:
        plain, short = await publish(broker), await publish(broker, fingerprint="f", unique_for=0.1)

        async def is_over() -> bool:
            return await broker.first(QUEUE, "f") is None

        await eventually(is_over)
        parcels = [await pack_one(broker, one.id) for one in (plain, short)]
        await broker.publish([alike()])
        parcels.append(await pack_one(broker, short.id))  # another one is the first now
        assert [(one.envelope.fingerprint, one.unique_until) for one in parcels] == [("", 0.0)] * 3

    async def test_a_duplicate_is_answered_there_as_it_was_here(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        first = alike()
        await broker.publish([first])
        parcel = arrives(await pack_one(broker, first.id))
        assert await broker.drop([await pack_one(broker, first.id)]) == []
        assert await broker.adopt([parcel]) == [Published.CREATED]
        both = [alike(), alike(THERE)]  # also what is sent to the old one by mistake
        assert await broker.publish(both) == [Published.DUPLICATE] * 2
        assert await broker.first(THERE, "f") == first.id
        assert await broker.adopt([parcel]) == [Published.EXISTS]

    async def test_it_goes_on_to_a_third_one(self, broker: Broker) -> None:
        first = alike()
        await broker.publish([first])
        parcel = arrives(await pack_one(broker, first.id))
        await broker.adopt([parcel])
        (again,) = await broker.pack(THERE, [first.id])
        assert again is not None
        assert again.envelope == parcel.envelope
        assert again.unique_until == pytest.approx(parcel.unique_until, abs=0.1)

    async def test_it_ends_at_the_same_moment(self, broker: Broker) -> None:
        until = await broker.time() + 0.5
        parcel = Parcel(
            envelope=replace(alike(THERE), unique_for=0.0),
            status=Status.PENDING,
            enqueue_time=1e9,
            unique_until=until,
        )
        assert await broker.adopt([parcel]) == [Published.CREATED]
        assert await broker.publish([alike(THERE)]) == [Published.DUPLICATE]

        async def may_be_sent_again() -> bool:
            return await broker.publish([alike(THERE)]) == [Published.CREATED]

        await eventually(may_be_sent_again)
        assert await broker.time() >= until - 0.01  # lives are milliseconds, from another moment on

    async def test_one_that_is_over_does_not_begin_anew(self, broker: Broker) -> None:
        parcel = Parcel(
            envelope=replace(alike(THERE), unique_for=0.0),
            status=Status.PENDING,
            enqueue_time=1e9,
            unique_until=await broker.time() - 0.001,
        )
        assert await broker.adopt([parcel]) == [Published.CREATED]
        assert await broker.first(THERE, "f") is None

    async def test_what_was_sent_there_before_stays_the_first(self, broker: Broker) -> None:
        first, there = alike(), alike(THERE)
        await broker.publish([first, there])
        parcel = arrives(await pack_one(broker, first.id))
        assert await broker.adopt([parcel]) == [Published.CREATED], "it was promised here"
        assert await broker.first(THERE, "f") == there.id

    async def test_a_dead_letter_takes_it_along(self, broker: Broker, consumer: Consumer) -> None:
        task_id = await bury(broker, consumer, fingerprint="f", unique_for=30.0)
        parcel = arrives(await pack_one(broker, task_id, dead=True))
        assert await broker.adopt([parcel]) == [Published.CREATED]
        assert await broker.publish([alike(THERE)]) == [Published.DUPLICATE]
        assert await broker.first(THERE, "f") == task_id

    async def test_a_task_with_the_id_of_another_changes_nothing(self, broker: Broker) -> None:
        first = alike()
        await broker.publish([first])
        parcel = arrives(await pack_one(broker, first.id))
        await publish(broker, id=first.id, queue=THERE)
        assert await broker.adopt([parcel]) == [Published.ID_CONFLICT]
        assert await broker.first(THERE, "f") is None
