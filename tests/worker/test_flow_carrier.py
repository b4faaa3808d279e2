"""Workflows are carried on when their tasks end here, and what others have left is looked for."""

import asyncio
import logging
from typing import Any

import pytest

from ltq import Status
from ltq._flow.apart import LEFT_AFTER
from ltq._flow.values import Destination, Flow, ctx_with
from ltq._worker.upkeep import flows
from ltq._worker.upkeep.flows import FlowCarrier
from ltq.brokers.memory import MemoryBroker
from ltq.errors import BrokerError
from ltq.message import Finish, Lease
from ltq.names import new_id
from ltq.testing import FlakyBroker
from tests.eventually import eventually
from tests.flow.stage import Stage


class Stand:
    """A carrier whose pauses take no time, and are noted."""

    def __init__(self) -> None:
        self.broker = FlakyBroker(MemoryBroker(f"memory://{new_id()}?history=0"))
        self.stage = Stage(self.broker)
        self.pauses: list[float] = []
        self.carrier = FlowCarrier(
            self.broker, {"one:numbers", "one:add", "two:double"}, sleep=self.sleep
        )

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    async def finish(self) -> Finish:
        """An outcome of a task of a workflow. It is written."""
        await self.stage.numbers.step(2).then(self.stage.add).send()
        delivery = await self.stage.claim_one(self.stage.numbers.queue)
        finish = Finish(delivery.lease, Status.COMPLETED, b"[1,2]", flow=delivery.ctx)
        await self.broker.finish([finish])
        return finish

    @property
    def looks(self) -> int:
        """How many calls looked for endings."""
        return self.broker.calls["endings"]

    async def left(self) -> int:
        return len(await self.broker.endings(self.stage.numbers.queue))

    async def pending(self) -> int:
        """How many tasks go on."""
        (stats,) = await self.broker.stats([self.stage.add.queue])
        return stats.pending


@pytest.fixture
async def stand() -> Any:
    stand = Stand()
    yield stand
    await stand.carrier.aclose()


class TestOutcomes:
    async def test_the_workflow_goes_on_at_once(self, stand: Stand) -> None:
        stand.carrier.wrote(await stand.finish())
        assert await stand.carrier.drain(5.0)
        assert (await stand.left(), await stand.pending()) == (0, 1)
        assert stand.pauses == []

    async def test_a_broker_that_is_away_is_asked_again(
        self, stand: Stand, caplog: pytest.LogCaptureFixture
    ) -> None:
        finish = await stand.finish()
        stand.broker.fail("arrive", next=2)
        stand.carrier.wrote(finish)
        assert await stand.carrier.drain(5.0)
        assert (await stand.left(), await stand.pending()) == (0, 1)
        assert len(stand.pauses) == 2
        assert 0.0 < stand.pauses[0] < stand.pauses[1]
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert "what follows 1 tasks cannot go on yet" in record.getMessage()

    async def test_after_some_attempts_it_is_left_for_a_look(self, stand: Stand) -> None:
        finish = await stand.finish()
        fault = stand.broker.fail("arrive")
        stand.carrier.wrote(finish)
        assert await stand.carrier.drain(5.0)
        assert len(stand.pauses) == flows._ATTEMPTS - 1
        assert await stand.left() == 1
        fault.heal()
        stand.carrier.wrote(finish)
        assert await stand.carrier.drain(5.0)
        assert (await stand.left(), await stand.pending()) == (0, 1)

    async def test_very_many_sets_of_namespaces_share_a_batch(
        self, stand: Stand, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(flows, "_MOST_APART", 3)
        for number in range(9):
            flow = Flow(queue=f"w{number}:a", end="e", to=(Destination(f"w{number}:a", "e", 0, 1),))
            lease = Lease(f"id{number}", "one:numbers", 1)
            stand.carrier.wrote(Finish(lease, Status.COMPLETED, flow=ctx_with(b"", flow)))
        assert len(stand.carrier._batchers) == 4
        assert await stand.carrier.drain(5.0)


class TestLooks:
    async def look(self, stand: Stand) -> None:
        """Let it look once."""
        looked = stand.looks
        stand.carrier.start()
        await eventually(lambda: stand.looks >= looked + 2, 5, "it has looked")
        stand.carrier.stop()

    async def test_what_others_have_left_goes_on(
        self, stand: Stand, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        caplog.set_level(logging.INFO, "ltq.worker")
        monkeypatch.setattr(flows, "LEFT_AFTER", 0.0)
        await stand.finish()
        stand.carrier.start()
        await eventually(lambda: caplog.records, 5, "it has looked")
        assert (await stand.left(), await stand.pending()) == (0, 1)
        assert [record.getMessage() for record in caplog.records] == [
            "carried workflows on after 1 tasks, which other workers had left"
        ]

    @pytest.mark.parametrize(
        ("error", "level"),
        [(BrokerError("away"), "DEBUG"), (ValueError("a bug"), "ERROR")],
    )
    async def test_a_failure_does_not_end_it(
        self, stand: Stand, error: Exception, level: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "ltq.worker")
        stand.broker.fail("endings", next=1, error=error)
        await self.look(stand)
        assert [record.levelname for record in caplog.records] == [level]

    async def test_a_refusal_is_a_warning(
        self, stand: Stand, caplog: pytest.LogCaptureFixture
    ) -> None:
        error = BrokerError("no right to do that")
        error.is_refusal = True
        stand.broker.fail("endings", next=2, error=error)
        await self.look(stand)
        warnings = [one for one in caplog.records if one.levelno == logging.WARNING]
        assert [one.getMessage() for one in warnings] == [
            "what follows some tasks cannot go on: no right to do that"
        ]

    async def test_news_from_any_thread_bring_a_look_soon(self, stand: Stand) -> None:
        stand.carrier.start()
        await eventually(lambda: stand.looks == 2, 5, "each namespace is looked at")
        assert stand.pauses == []
        await asyncio.to_thread(stand.carrier.look_soon)
        await eventually(lambda: stand.looks == 4, 5, "it looks again")
        assert stand.pauses == [LEFT_AFTER], "what has just ended is not left yet"

    async def test_without_news_it_looks_from_time_to_time(self, stand: Stand) -> None:
        given: list[float] = []

        def jitter(seconds: float) -> float:
            given.append(seconds)
            return 0.001

        carrier = FlowCarrier(stand.broker, {"one:add"}, jitter=jitter)
        carrier.start()
        await eventually(lambda: stand.looks >= 3, 5, "it looks again and again")
        await carrier.aclose()
        assert {*given} == {flows.LOOK_EVERY}
