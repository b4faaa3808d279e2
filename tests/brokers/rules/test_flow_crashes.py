"""Workflows whose carriers crash between any two calls, or with a call whose reply is lost."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from msgspec import structs

import ltq
import ltq.testing
from ltq import Status, Worker
from ltq._flow.apart import carry_apart, carry_found, carry_left
from ltq._flow.carry import carry
from ltq.broker.flows import Ending, is_in_flow, pack_follow
from ltq.brokers.memory import MemoryBroker
from ltq.errors import BrokerError
from ltq.message import Delivery, Envelope, Failure, Finish, Published, new_id

_FEW = 30
"""Elements of a map in the tests with many seeds."""

_QUICK = 10
"""So many seeds are in the quick part."""


def seeds(count: int) -> list[Any]:
    """So many seeds."""
    quick, more = range(_QUICK), range(_QUICK, count)
    return [*quick, *(pytest.param(seed, marks=pytest.mark.slow) for seed in more)]


class CrashError(Exception):
    """The process that carried a workflow on is gone."""


class Crashing:
    """A broker whose caller crashes now and then: before a call, or after it."""

    def __init__(self, broker: MemoryBroker, seed: int, likely: float) -> None:
        self._broker = broker
        self._random = random.Random(seed)
        self._likely = likely
        self.crashes = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._broker, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            for_whom = self._random.random()
            if for_whom < self._likely / 2:
                self.crashes += 1
                raise CrashError
            answer = await method(*args, **kwargs)
            if for_whom < self._likely:
                self.crashes += 1
                raise CrashError
            return answer

        return call


class Stage:
    """A broker, tasks, and what runs them without a worker: one task after the other."""

    def __init__(self, seed: int, likely: float) -> None:
        self.broker = MemoryBroker(f"memory://{new_id()}?history=0")
        self.crashing: Any = Crashing(self.broker, seed, likely)
        self.ran: Counter[str] = Counter()
        self.fails = False
        self.after: dict[str, list[Envelope]] = {}
        """What follows tasks, by their ids."""
        self.worker = Worker("one", broker=self.broker)
        self.other = Worker("two", broker=self.broker)

        @self.worker.task
        async def numbers(count: int) -> list[int]:
            return list(range(count))

        @self.other.task
        async def double(number: int) -> int:
            if self.fails and number == 3:
                raise ValueError("three")
            self.ran[f"double {number}"] += 1
            return 2 * number

        @self.worker.task
        async def add(given: list[int]) -> int:
            self.ran["add"] += 1
            return sum(given)

        self.numbers, self.double, self.add = numbers, double, add

    async def run(self) -> None:
        """Run all that can run, carried on by processes that crash."""
        queues = [self.numbers.queue, self.add.queue, self.double.queue]
        async with self.broker.consumer(queues) as consumer:
            while await self._carry(queues) + await self._work(await consumer.claim(500)):
                pass

    async def _work(self, claim: Any) -> int:
        for first in range(0, len(claim.deliveries), 100):
            outcomes = [await self._ended(one) for one in claim.deliveries[first : first + 100]]
            await self.broker.finish(outcomes)
            told = [Ending.of(one) for one in outcomes if is_in_flow(one.flow) or one.follow]
            with suppress(CrashError):  # then the others find it
                await carry(self.crashing, told)
        return len(claim.deliveries)

    async def _carry(self, queues: list[str]) -> int:
        """What other workers do about what was left."""
        found = 0
        for queue in queues[1:]:
            for _ in range(1000):
                endings = await self.broker.endings(queue)
                found += len(endings)
                if not endings:
                    break
                try:
                    await carry(self.crashing, endings)
                except CrashError:
                    continue
        return found

    async def _ended(self, delivery: Delivery) -> Finish:
        (args, _) = msgspec.json.decode(delivery.body)
        tasks = {task.name: task for task in (self.numbers, self.double, self.add)}
        try:
            result = await tasks[delivery.task_name](*args)
        except ValueError as error:
            failure = Failure("ValueError", str(error))
            return Finish(
                delivery.lease, Status.FAILED, failure=failure, dead=True, flow=delivery.ctx
            )
        encoded = msgspec.json.encode(result)
        follow = pack_follow(self.after.get(delivery.lease.id, []))
        lease, done = delivery.lease, Status.COMPLETED
        return Finish(lease, done, encoded, flow=delivery.ctx, follow=follow)


@pytest.mark.parametrize("seed", seeds(100))
async def test_a_fan_in_goes_on_once(seed: int) -> None:
    stage = Stage(seed, likely=0.2)
    total = stage.numbers.step(_FEW).map(stage.double).then(stage.add)
    handle = await ltq.join(total, stage.numbers.step(2)).send()
    await stage.run()
    assert await handle.result(0.0) == (_FEW * (_FEW - 1), [0, 1])
    assert stage.ran["add"] == 1


@pytest.mark.parametrize("seed", seeds(30))
@pytest.mark.parametrize("policy", ["cancel", "continue"])
async def test_a_replay_carries_it_on(seed: int, policy: Any) -> None:
    stage = Stage(seed, likely=0.1)
    stage.fails = True
    total = stage.numbers.step(_FEW).map(stage.double).then(stage.add)
    node = ltq.join(total, stage.numbers.step(2).map(stage.double))
    handle = await node.with_options(on_failure=policy).send()
    await stage.run()
    with pytest.raises(ltq.TaskFailedError, match="three"):
        await handle.result(0.0)
    stage.fails = False
    letters = await stage.broker.dead_letters(stage.double.queue)
    await stage.broker.replay(stage.double.queue, [letter.id for letter in letters])
    await stage.run()
    assert await handle.result(0.0) == (_FEW * (_FEW - 1), [0, 2])
    assert stage.ran["add"] == 1


@pytest.mark.slow
async def test_a_map_of_ten_thousand_goes_on_once() -> None:
    stage = Stage(7, likely=0.02)
    handle = await stage.numbers.step(10_000).map(stage.double).then(stage.add).send()
    await stage.run()
    assert await handle.result(0.0) == 10_000 * 9_999
    assert stage.ran["add"] == 1
    assert stage.crashing.crashes > 0


@pytest.mark.parametrize("seed", seeds(100))
async def test_what_follows_is_sent_once(seed: int) -> None:
    stage = Stage(seed, likely=0.3)
    for first in range(0, _FEW, 3):
        handle = await stage.numbers.send(first)
        stage.after[handle.id] = [
            Envelope(
                id=f"after-{number}",
                queue=stage.double.queue,
                task_name=stage.double.name,
                body=msgspec.json.encode(((number,), {})),
            )
            for number in range(first, first + 3)
        ]
        # What follows may have something to follow itself.
        (last, *_) = stage.after[handle.id]
        stage.after[last.id] = [structs.replace(last, id=f"later-{first}", body=b"[[-1],{}]")]
    await stage.run()
    assert stage.ran == {f"double {n}": 1 for n in range(_FEW)} | {"double -1": _FEW // 3}
    assert await stage.broker.endings(stage.numbers.queue) == []
    assert await stage.broker.endings(stage.double.queue) == []


async def test_what_is_refused_holds_up_no_other() -> None:
    stage = Stage(1, likely=0.0)
    made = Envelope(id="", queue=stage.add.queue, task_name=stage.add.name, body=b"[[[]],{}]")

    class Refusing(ltq.testing.FlakyBroker):
        async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
            if any(one.id == "refused" for one in envelopes):
                raise RefusedError("too large")
            return await super().publish(envelopes)

    for name in ("a", "refused", "b"):
        handle = await stage.numbers.send(0)
        stage.after[handle.id] = [structs.replace(made, id=name)]
    broker = Refusing(stage.broker)
    async with stage.broker.consumer([stage.numbers.queue]) as consumer:
        claim = await consumer.claim(3)
        await stage.broker.finish([await stage._ended(one) for one in claim.deliveries])
    found = await carry_found(broker, stage.numbers.queue)
    assert (found.number, [str(left.error) for left in found.lefts]) == (2, ["too large"])
    states = await stage.broker.states(stage.add.queue, ["a", "refused", "b"])
    assert [state is None for state in states] == [False, True, False]
    (ending,) = await stage.broker.endings(stage.numbers.queue)
    assert [[ending]] == [left.endings for left in found.lefts]
    spoilt = structs.replace(ending, follow=b"\xc1")
    (left,) = await carry_apart(broker, [spoilt])
    assert isinstance(left.error, msgspec.DecodeError)
    assert await carry_left(stage.broker, stage.numbers.queue) == 1


class RefusedError(BrokerError):
    """A call was refused."""

    is_refusal = True


async def test_a_broker_that_is_away_leaves_the_ending() -> None:
    stage = Stage(1, likely=0.0)
    handle = await stage.numbers.step(3).then(stage.add).send()
    async with stage.broker.consumer([stage.numbers.queue]) as consumer:
        (delivery,) = (await consumer.claim(1)).deliveries
    await stage.broker.release(delivery.lease, result=b"[1,2]")
    away = ltq.testing.FlakyBroker(stage.broker)
    endings = await stage.broker.endings(stage.numbers.queue)
    with away.fail(on="arrive"), pytest.raises(BrokerError):
        await carry(away, endings)
    assert await stage.broker.endings(stage.numbers.queue) == endings
    await carry(away, endings)
    await stage.run()
    assert await handle.result(0.0) == 3
