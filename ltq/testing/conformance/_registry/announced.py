"""What a broker keeps of workers that announce themselves."""

import asyncio

import pytest

from ltq.broker import Broker, WorkerEntry
from ltq.broker.flows import ending_key, pack_follow
from ltq.errors import ConfigurationError
from ltq.message import Finish
from ltq.state import Status, WorkerInfo
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_one,
    make_envelope,
    make_worker_entry,
    publish,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker

MANY = 1000

BAD_ENTRIES = {
    "a name": {"name": "a b"},
    "a queue": {"queues": (QUEUE, "mail/send")},
    "a host": {"host": "a\nb"},
    "a version": {"version": "1" * 300},
}


async def only(broker: Broker) -> WorkerInfo:
    """The one worker that is listed."""
    (info,) = await broker.workers()
    return info


class TestAnnounced:
    async def test_it_hears_whether_there_are_endings(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        entry = make_worker_entry(queues=("other:x", QUEUE))
        elsewhere = make_worker_entry(name="elsewhere", queues=("other:x",))
        new = make_worker_entry(name="new", queues=("other:x", QUEUE))

        async def hear(*workers: WorkerEntry) -> list[bool]:
            """What they hear by every second call at least."""
            return [any([await broker.announce(one) for _ in range(2)]) for one in workers]

        assert await hear(entry, new, elsewhere) == [False] * 3
        await publish(broker)
        lease = (await claim_one(broker, make_consumer())).lease
        follow = pack_follow([make_envelope()])
        await broker.finish([Finish(lease, Status.COMPLETED, b"1", follow=follow)])
        assert await hear(entry, new, elsewhere) == [True, True, False]
        await broker.carried(QUEUE, [ending_key(lease.id, lease.token)])
        assert await hear(entry, new, elsewhere) == [False] * 3

    async def test_a_worker_is_listed_with_what_it_says(
        self, broker: Broker, open_broker: OpenBroker
    ) -> None:
        before = await broker.time()
        await broker.announce(make_worker_entry(queues=(QUEUE, "mail:all")))
        info = await only(open_broker())
        assert (info.name, info.host, info.pid) == ("host-1-abcd", "host", 1)
        assert (info.version, info.concurrency, info.started) == ("1.0", 10, 1e9)
        assert (info.queues, info.status) == ((QUEUE, "mail:all"), "alive")
        assert info.seen is not None
        assert before - 0.01 <= info.seen <= await broker.time() + 0.01
        assert (info.running, info.task_names, info.since) == ((), (), None)

    async def test_what_it_says_last_counts(self, broker: Broker) -> None:
        await broker.announce(make_worker_entry(concurrency=1))
        await broker.announce(make_worker_entry(concurrency=2))
        assert (await only(broker)).concurrency == 2

    async def test_its_tasks_are_listed_with_it(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        sent = await publish(broker)
        consumer = make_consumer(name="host-1-abcd")
        await broker.announce(make_worker_entry())
        delivery = await claim_one(broker, consumer)
        info = await only(broker)
        assert (info.running, info.task_names, info.pid) == ((sent.id,), (QUEUE,), 1)
        await broker.finish([Finish(delivery.lease, Status.COMPLETED)])
        assert (await only(broker)).running == ()

    async def test_one_of_several_namespaces_is_listed_once(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        for queue in (QUEUE, "shop:pay", "alone"):
            await publish(broker, queue=queue)
        queues = (QUEUE, "alone", "shop:pay")
        await broker.announce(make_worker_entry(queues=queues))
        await make_consumer(*queues, name="host-1-abcd").claim(3)
        info = await only(broker)
        assert (info.queues, len(info.running)) == (queues, 3)

    async def test_without_a_queue_it_is_not_listed(self, broker: Broker) -> None:
        await broker.announce(make_worker_entry(queues=()))
        assert await broker.workers() == []

    async def test_very_many_are_listed_by_name(self, broker: Broker) -> None:
        names = [f"host-{number}-abcd" for number in range(MANY)]
        for start in range(0, MANY, 100):
            some = names[start : start + 100]
            await asyncio.gather(*(broker.announce(make_worker_entry(name=n)) for n in some))
        assert [info.name for info in await broker.workers()] == sorted(names)

    @pytest.mark.parametrize("bad", BAD_ENTRIES.values(), ids=BAD_ENTRIES)
    async def test_what_is_no_entry_is_refused(self, broker: Broker, bad: dict[str, str]) -> None:
        entry = make_worker_entry(**bad)
        with pytest.raises(ConfigurationError):
            await broker.announce(entry)
        with pytest.raises(ConfigurationError):
            await broker.leave(entry)
        assert await broker.workers() == []


class TestSilent:
    async def test_one_that_says_nothing_is_silent_and_then_gone(self, broker: Broker) -> None:
        await broker.announce(make_worker_entry(silent_after=0.05, gone_after=0.5))
        seen = (await only(broker)).seen

        async def is_silent() -> bool:
            listed = await broker.workers()
            return [info.status for info in listed] == ["silent"]

        await eventually(is_silent, description="the end of its lease")
        assert (await only(broker)).seen == pytest.approx(seen, abs=0.01)

        async def is_gone() -> bool:
            return not await broker.workers()

        await eventually(is_gone, description="the end of its entry")

    async def test_it_is_alive_again_once_it_says_so(self, broker: Broker) -> None:
        entry = make_worker_entry(silent_after=0.05)
        await broker.announce(entry)

        async def is_silent() -> bool:
            return (await only(broker)).status == "silent"

        await eventually(is_silent, description="the end of its lease")
        await broker.announce(make_worker_entry())
        assert (await only(broker)).status == "alive"

    async def test_one_that_was_gone_is_listed_again(self, broker: Broker) -> None:
        entry = make_worker_entry(silent_after=0.01, gone_after=0.02)
        await broker.announce(entry)

        async def is_gone() -> bool:
            return not await broker.workers()

        await eventually(is_gone, description="the end of its entry")
        await broker.announce(entry)
        await broker.announce(make_worker_entry(name="other"))
        assert "other" in [info.name for info in await broker.workers()]

    async def test_its_tasks_are_listed_until_they_are_taken_over(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        sent = await publish(broker)
        await broker.announce(make_worker_entry(silent_after=0.05))
        await make_consumer(name="host-1-abcd", lease=0.05).claim(1)

        async def is_silent() -> bool:
            return (await only(broker)).status == "silent"

        await eventually(is_silent, description="the end of its lease")
        assert (await only(broker)).running == (sent.id,)
        await eventually(lambda: recovered(broker), description="the end of the task's lease")
        assert (await only(broker)).running == ()


async def recovered(broker: Broker) -> bool:
    return (await broker.sweep([QUEUE])).recovered == 1


class TestConsumersWithoutAWorker:
    async def test_only_name_and_tasks_are_known(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        await make_consumer(name="raw").claim(1)
        info = await only(broker)
        assert (info.name, info.status, len(info.running)) == ("raw", "alive", 1)
        assert (info.host, info.pid, info.version, info.concurrency) == (None,) * 4
        assert (info.queues, info.started, info.seen) == ((), None, None)

    async def test_it_is_silent_when_all_its_leases_have_ended(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        await publish(broker)
        await make_consumer(name="raw", lease=0.05).claim(1)

        async def is_silent() -> bool:
            return (await only(broker)).status == "silent"

        await eventually(is_silent, description="the end of its lease")


class TestLeave:
    async def test_one_that_ended_is_not_listed(self, broker: Broker) -> None:
        entry = make_worker_entry(queues=(QUEUE, "shop:pay"))
        await broker.announce(entry)
        await broker.announce(make_worker_entry(name="other"))
        await broker.leave(entry)
        assert (await only(broker)).name == "other"
        await broker.leave(entry)
        await broker.announce(entry)
        assert len(await broker.workers()) == 2

    async def test_what_the_last_one_served_is_served_no_more(self, broker: Broker) -> None:
        lanes = [QUEUE, f"{QUEUE}/mail:send"]
        first, last = make_worker_entry(), make_worker_entry(name="last")
        for entry in (first, last):
            await broker.serve(lanes, 60.0)
            await broker.announce(entry)
        await broker.leave(first, lanes)
        assert await broker.served(lanes) == [0.0, 0.0], "the other one may serve them, too"
        await broker.leave(last, lanes)
        ages = await broker.served(lanes)
        assert all(age is not None and 0 < age < 60 for age in ages)
        assert await broker.queues() == [QUEUE], "it is known nevertheless"

    async def test_what_was_never_served_is_not_served_afterwards(self, broker: Broker) -> None:
        await broker.leave(make_worker_entry(), [QUEUE])
        assert await broker.served([QUEUE]) == [None]

    async def test_what_is_no_lane_is_refused(self, broker: Broker) -> None:
        with pytest.raises(ConfigurationError):
            await broker.leave(make_worker_entry(), ["mail//send"])
