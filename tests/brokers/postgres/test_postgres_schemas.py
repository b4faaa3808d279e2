"""Workflows beside one another in the schemas of a database: none touches, or reaches, another."""

import pytest

import ltq
from ltq._flow.apart import carry_left
from ltq.broker import Broker
from ltq.brokers.postgres import PostgresBroker
from ltq.errors import ConfigurationError
from ltq.state import Status
from ltq.testing.conformance._support.eventually import PATIENCE
from tests.flow.stage import Stage

MANY = 40


async def left(stage: Stage) -> int:
    """How many tasks and endings are left."""
    broker: Broker = stage.broker
    stats = await broker.stats(await broker.queues())
    endings = [await broker.endings(queue) for queue in (stage.add.queue, stage.double.queue)]
    return sum(one.pending + one.delayed + one.working for one in stats) + sum(map(len, endings))


async def test_a_workflow_over_two_schemas_is_refused_before_anything_is_sent(
    postgres_url: str, emptied_postgres_url: str
) -> None:
    one, other = Stage(PostgresBroker(postgres_url)), Stage(PostgresBroker(emptied_postgres_url))
    async with one.broker, other.broker:
        mapped = one.numbers.step(3).map(other.double).then(one.add)
        joined = ltq.join(one.numbers.step(3), other.numbers.step(3))
        for node in (mapped, joined):
            with pytest.raises(ConfigurationError, match="a workflow has one broker") as raised:
                await node.send()
            for url in (postgres_url, emptied_postgres_url):
                assert f"?{url.partition('?')[2]}" in str(raised.value)
        assert await left(one) == await left(other) == 0


async def test_a_schema_is_the_same_however_its_url_is_written(postgres_url: str) -> None:
    """With other options, or as another user."""
    one = Stage(PostgresBroker(postgres_url))
    other = Stage(PostgresBroker(f"{postgres_url}&history=0&application_name=shop"))
    async with one.broker, other.broker, one.one, other.two:
        node = one.numbers.step(4).map(other.double).then(one.add)
        assert await (await node.send()).result(PATIENCE) == 12


async def test_workflows_of_one_id_in_two_schemas_know_nothing_of_each_other(
    postgres_url: str, emptied_postgres_url: str
) -> None:
    one, other = Stage(PostgresBroker(postgres_url)), Stage(PostgresBroker(emptied_postgres_url))
    async with one.broker, other.broker:
        handles = []
        for stage, count in ((one, MANY), (other, 2 * MANY)):
            node = stage.numbers.step(count).map(stage.double).then(stage.add)
            handles.append(await node.with_options(id="w").send())
        first, second = handles
        async with one.one, one.two:
            assert await first.result(PATIENCE) == MANY * (MANY - 1)
        assert (await second.state()).status is Status.DELAYED
        assert (other.ran, await left(one)) == ({}, 0)
        assert await second.cancel()
        assert (await first.state()).status is Status.COMPLETED
        assert {node.status for node in (await first.tree()).nodes} == {Status.COMPLETED}
        async with other.one, other.two:
            again = await other.total.send()
            assert await again.result(PATIENCE) == 6
        for queue in (other.add.queue, other.double.queue):  # a cancel leaves endings for later
            await carry_left(other.broker, queue)
        assert await left(other) == 0
