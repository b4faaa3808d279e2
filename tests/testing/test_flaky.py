"""A broker that fails on demand."""

import asyncio
import inspect
import time
from typing import Any, get_args

import pytest

import ltq
from ltq.broker import Broker, ScheduleRecord
from ltq.broker.flows import Arrival, Ready
from ltq.brokers.memory import MemoryBroker
from ltq.message import Lease, Published
from ltq.state import Progress, Status
from ltq.testing import Box, FlakyBroker
from ltq.testing.conformance._schedules.kept import make_schedule
from ltq.testing.conformance._seam.schedule_slots import make_slot
from ltq.testing.faults import Call
from tests.conformance.factories import QUEUE, make_envelope, make_worker_entry

LEASE = Lease("a", QUEUE, 1)

RECORD = ScheduleRecord(
    name="nightly", namespace="mail", spec="", put="x", schedule=make_schedule(), last=1
)

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "publish": ([],),
    "first": (QUEUE, "x"),
    "finish": ([],),
    "heartbeat": ([], 1.0),
    "serve": ([QUEUE], 1.0),
    "served": ([QUEUE],),
    "announce": (make_worker_entry(),),
    "leave": (make_worker_entry(),),
    "progress": (LEASE, Progress(1)),
    "append": (LEASE, 0, [b"1"], 10),
    "sweep": ([QUEUE],),
    "repair": ([QUEUE],),
    "states": (QUEUE, ["a"]),
    "items": (QUEUE, "a"),
    "queues": (),
    "stats": ([QUEUE],),
    "clear": (QUEUE,),
    "cancel": (QUEUE, "a", 1.0),
    "pause": (QUEUE,),
    "resume": (QUEUE,),
    "promote": (QUEUE, ["a"]),
    "endings": (QUEUE,),
    "carried": (QUEUE, ["a 1"]),
    "arrive": (QUEUE, [Arrival("a", 0, 1)]),
    "held": (QUEUE, "a", [0]),
    "ctx": (QUEUE, "a"),
    "go_on": (QUEUE, "a", Ready(body=b"{}")),
    "cancel_each": (QUEUE, ["a"], 1.0),
    "restart": (QUEUE, ["a"], True),
    "cancel_many": (QUEUE,),
    "rerun": (QUEUE, []),
    "pack": (QUEUE, ["a"]),
    "pack_dead": (QUEUE, ["a"]),
    "adopt": ([],),
    "drop": ([],),
    "adopt_schedule": (RECORD, 1),
    "tasks": (QUEUE,),
    "history": (QUEUE,),
    "find": ("a",),
    "body": ("q", "a"),
    "dead_letters": (QUEUE,),
    "dead_letter": (QUEUE, "a"),
    "replay": (QUEUE, ["a"]),
    "purge": (QUEUE,),
    "time": (),
    "fire": (make_slot(),),
    "put_schedule": (make_schedule(), 1),
    "remove_schedule": (QUEUE, "nightly"),
    "pause_schedule": (QUEUE, "nightly"),
    "resume_schedule": (QUEUE, "nightly"),
    "schedule_marks": (),
    "changed_schedules": (QUEUE, 0),
    "schedules": (["nightly"],),
    "migrate": (),
    "ping": (),
    "hazards": (),
    "workers": (),
    "examine": (),
}
"""How each call of the seam may be made."""

CONSUMERS: dict[str, tuple[Any, ...]] = {"claim": (1,), "wait": (0.0,), "freed": (QUEUE,)}

DERIVED = {"aclose", "claim", "release", "requeue", "state", "wait", "watch"}
"""Methods of every broker that are made of the others, or may always be called."""


@pytest.fixture
def broker() -> FlakyBroker:
    """One with a store of its own."""
    store = MemoryBroker("memory://flaky")
    store.forget()
    return FlakyBroker(MemoryBroker("memory://flaky"))


class TestCalls:
    def test_what_it_says_of_itself_is_what_its_broker_says(self, broker: FlakyBroker) -> None:
        assert broker.migration == MemoryBroker("memory://flaky").migration
        assert broker.url == "memory://flaky"

    def test_every_call_of_the_seam_is_there(self) -> None:
        methods = {
            name
            for name, method in inspect.getmembers(Broker, inspect.isroutine)
            if not name.startswith("_") and inspect.iscoroutinefunction(method)
        }
        assert methods - DERIVED == ARGUMENTS.keys()
        assert methods - DERIVED <= vars(FlakyBroker).keys()
        renamed = {"send" if name == "publish" else name for name in ARGUMENTS}
        assert set(get_args(Call)) == renamed | CONSUMERS.keys() | {"watch"}

    @pytest.mark.parametrize("method", ARGUMENTS)
    async def test_each_may_fail(self, broker: FlakyBroker, method: str) -> None:
        name: Any = "send" if method == "publish" else method
        broker.fail(on=name, next=1, error=ltq.BrokerError(f"no {name}"))
        with pytest.raises(ltq.BrokerError, match=f"no {name}"):
            await getattr(broker, method)(*ARGUMENTS[method])
        try:
            plain = await getattr(MemoryBroker("memory://other"), method)(*ARGUMENTS[method])
        except ltq.TaskNotFoundError:
            with pytest.raises(ltq.TaskNotFoundError):
                await getattr(broker, method)(*ARGUMENTS[method])
        else:
            again = await getattr(broker, method)(*ARGUMENTS[method])
            assert type(again) is type(plain)
        assert broker.calls == {name: 2}

    @pytest.mark.parametrize("method", CONSUMERS)
    async def test_those_of_a_consumer_as_well(self, broker: FlakyBroker, method: Any) -> None:
        async with broker.consumer([QUEUE], name="c") as consumer:
            assert consumer.name == "c"
            with broker.fail(on=method), pytest.raises(ltq.BrokerError):
                await getattr(consumer, method)(*CONSUMERS[method])
            await getattr(consumer, method)(*CONSUMERS[method])
            assert broker.calls == {method: 2}

    async def test_a_watch_fails_where_it_is_read(self, broker: FlakyBroker) -> None:
        broker.fail(on="watch", next=1)
        with pytest.raises(ltq.BrokerError):
            await anext(broker.watch(QUEUE, "a"))
        with pytest.raises(ltq.TaskNotFoundError):
            await anext(broker.watch(QUEUE, "a"))

    async def test_it_is_otherwise_the_broker_it_stands_before(self, broker: FlakyBroker) -> None:
        assert (broker.url, broker.is_local, broker.exists) == ("memory://flaky", True, True)
        async with broker.clone() as clone:
            assert await clone.publish([make_envelope(id="a")]) == [Published.CREATED]
        assert (await broker.state(QUEUE, "a")).status is Status.PENDING


class TestFaults:
    async def test_the_next_so_many_calls_fail(self, broker: FlakyBroker) -> None:
        fault = broker.fail(next=3)
        for _ in range(3):
            with pytest.raises(ltq.BrokerError, match="because the test wants it to"):
                await broker.ping()
        await broker.ping()
        assert (fault.count, fault.left) == (3, 0)

    async def test_or_all_until_it_is_healed(self, broker: FlakyBroker) -> None:
        first, second = broker.fail(on="ping"), broker.fail(on=["ping", "time"])
        first.heal()
        first.heal()
        with pytest.raises(ltq.BrokerError):
            await broker.ping()
        with broker.fail(on="queues"):
            pass
        await broker.queues()
        broker.heal()
        await broker.ping()
        assert (first.count, second.count) == (0, 1)

    async def test_a_lost_reply_is_that_of_a_call_that_was_done(self, broker: FlakyBroker) -> None:
        broker.fail(on="send", next=1, lost=True)
        with pytest.raises(ltq.BrokerError):
            await broker.publish([make_envelope(id="a")])
        assert await broker.publish([make_envelope(id="a")]) == [Published.EXISTS]

    async def test_a_slow_call_takes_so_much_longer(self, broker: FlakyBroker) -> None:
        broker.slow(0.02, on="ping")
        began = time.monotonic()
        await broker.ping()
        assert time.monotonic() - began >= 0.02
        broker.slow(60)
        broker.heal()
        await asyncio.wait_for(broker.ping(), 10)

    async def test_clones_fail_with_it(self, broker: FlakyBroker) -> None:
        clone = broker.clone()
        with broker.fail(), pytest.raises(ltq.BrokerError):
            await clone.ping()
        await clone.ping()

    @pytest.mark.parametrize("on", ["publish", ["send", "ask"], 5])
    def test_a_call_there_is_not_is_refused(self, broker: FlakyBroker, on: Any) -> None:
        with pytest.raises(
            ltq.ConfigurationError,
            match=r"on=.* is not allowed: adopt, adopt_schedule, announce, append, arrive, body",
        ):
            broker.fail(on=on)

    def test_so_are_other_wrong_values(self, broker: FlakyBroker) -> None:
        with pytest.raises(ltq.ConfigurationError, match="next=0 is not allowed"):
            broker.fail(next=0)
        with pytest.raises(ltq.ConfigurationError, match=r"error=.* an exception"):
            broker.fail(error=ValueError)  # type: ignore[arg-type]
        with pytest.raises(ltq.ConfigurationError, match="seconds=-1 is not allowed"):
            broker.slow(-1)


class TestWorkers:
    async def test_one_goes_on_with_a_broker_that_comes_and_goes(self) -> None:
        broker = FlakyBroker(MemoryBroker("memory://comes-and-goes"))
        worker = ltq.Worker("shop", broker=broker)

        @worker.task
        async def double(number: int) -> int:
            return 2 * number

        async with worker:
            broker.fail(on=["claim", "finish", "wait"], next=3)
            handles = await double.send_many([double.message(n) for n in range(20)])
            results = await asyncio.wait_for(ltq.gather(*handles), 10)
        assert results == tuple(range(0, 40, 2))

    async def test_in_a_box_its_pauses_follow_the_clock(self, worker: ltq.Worker, box: Box) -> None:
        @worker.task
        async def pay() -> str:
            return "paid"

        handle = await pay.send()
        with box.broker.fail(on="finish") as fault:
            await box.clock.advance(minutes=1)
            assert fault.count > 20
            assert (await handle.state()).status is Status.WORKING
        await box.clock.advance(5)
        assert (await handle.state()).result == "paid"

    async def test_a_slow_broker_in_a_box_as_well(self, worker: ltq.Worker, box: Box) -> None:
        @worker.task
        async def pay() -> float:
            return box.clock()

        began = box.clock()
        handle = await pay.send()
        box.broker.slow(30, on="claim")
        await box.clock.advance(29)
        assert (await handle.state()).status is Status.PENDING
        await box.clock.advance(1)
        assert (await handle.state()).result == began + 30
