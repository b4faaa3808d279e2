"""Workflows that are sent while the store is away: what waits is there before what begins."""

from typing import Any

import aio_pika
import pytest

from ltq import Status
from ltq.brokers.rabbitmq import RabbitBroker
from ltq.brokers.rabbitmq._sending.workflows import Workflows, waits
from ltq.brokers.rabbitmq._server import copies
from ltq.errors import BrokerError, TaskNotFoundError
from ltq.testing import FlakyBroker
from tests.brokers.rabbitmq.conftest import Outside
from tests.eventually import eventually
from tests.flow.stage import Stage


@pytest.fixture
def stage(broker: RabbitBroker) -> Stage:
    return Stage(broker)


async def test_it_runs_once_the_store_is_back(stage: Stage, store: FlakyBroker) -> None:
    with store.fail():
        handle = await stage.total.send()
        beside = await stage.numbers.step(4).then(stage.add).send()
    async with stage.one, stage.two:
        assert await handle.result(10) == 6
        assert await beside.result(10) == 6
    assert stage.ran["add"] == 2


async def test_a_first_node_does_not_end_before_the_others_are_there(
    stage: Stage, store: FlakyBroker
) -> None:
    """The worker of those that wait does not run, so nobody takes what is in its own queue."""
    with store.fail():
        handle = await stage.numbers.step(3).map(stage.double).send()
    first = f"{handle.id}.n0"

    async def has_ended() -> bool:
        try:
            return (await stage.broker.state(stage.numbers.queue, first)).status.is_final
        except TaskNotFoundError:
            return False

    async with stage.one:
        await eventually(has_ended, description="the first node has ended")
    assert (await handle.state()).status is Status.DELAYED
    async with stage.two:
        assert await handle.result(10) == [0, 2, 4]


async def test_so_it_is_if_the_store_goes_or_comes_in_between(
    stage: Stage, store: FlakyBroker
) -> None:
    """What waits is sent in a call of its own, if it is in another namespace."""
    node = stage.numbers.step(3).map(stage.double)
    for lost in (False, True):
        fault = store.fail(next=1, on="send", lost=lost)
        handle = await node.send()
        fault.heal()
        async with stage.one, stage.two:
            assert await handle.result(10) == [0, 2, 4]


async def test_it_is_one_message_that_an_older_release_does_not_take(
    stage: Stage, store: FlakyBroker, outside: Outside
) -> None:
    with store.fail():
        handle = await stage.total.send()
    assert await outside.count("one") == 1
    assert await outside.count("two") <= 0
    queue = await outside.channel.get_queue(f"{outside.prefix}.one")
    message: Any = await queue.get()
    assert isinstance(message, aio_pika.abc.AbstractIncomingMessage)
    assert message.headers[copies.VERSION_HEADER] == copies.WORKFLOW_VERSION
    copy = copies.decode(message.body)
    assert copy.envelope.id == f"{handle.id}.n0"
    assert [one.id for one in copy.before] == [handle.id, f"{handle.id}.n1"]
    await message.ack()


async def test_one_that_is_too_large_is_refused(
    stage: Stage, store: FlakyBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltq.brokers.rabbitmq._server.publisher.LARGEST", 100)
    with store.fail(), pytest.raises(BrokerError, match="2 tasks of a workflow have"):
        await stage.numbers.step(3).then(stage.add).send()


class TestWorkflows:
    def envelopes(self, stage: Stage, workflow_id: str) -> Any:
        plan: Any = stage.total._plan(workflow_id)
        return plan.envelopes(lambda _: None)

    def test_what_waits_goes_with_what_begins(self, stage: Stage) -> None:
        workflows = Workflows()
        first, mapped, last = self.envelopes(stage, "a")
        assert [waits(one) for one in (first, mapped, last)] == [False, True, True]
        assert workflows.split([last, mapped]) == ([], [])
        assert workflows.before([last]) == []
        assert workflows.before([first]) == [last, mapped]
        assert workflows.split([first]) == ([], [[last, mapped, first]])

    def test_other_tasks_go_alone(self, stage: Stage) -> None:
        workflows = Workflows()
        first, _, _ = self.envelopes(stage, "a")
        assert workflows.split([first]) == ([first], [])
        assert workflows.before([first]) == []

    def test_it_remembers_so_many(self, stage: Stage) -> None:
        workflows = Workflows()
        for number in range(101):
            _, mapped, last = self.envelopes(stage, f"w{number}")
            workflows.split([last, mapped])
        forgotten, known = (self.envelopes(stage, f"w{number}")[0] for number in (0, 1))
        assert workflows.before([forgotten]) == []
        assert len(workflows.before([known])) == 2
