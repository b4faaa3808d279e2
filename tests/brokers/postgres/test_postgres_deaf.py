"""Where nobody can listen, as behind a pooler of transactions, the broker looks by itself."""

import logging

import pytest

import ltq
from ltq.brokers.postgres import PostgresBroker
from ltq.brokers.postgres._server.connections import Connection
from ltq.brokers.postgres._server.ears import Ears
from ltq.testing.conformance._support.eventually import PATIENCE
from tests.elapse import elapse

pytestmark = pytest.mark.slow


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """LISTEN is accepted, and nothing is ever heard."""

    async def hear(_: Ears, connection: Connection) -> None:
        async for _notice in connection.notifies():
            pass

    monkeypatch.setattr(Ears, "_hear", hear)


@pytest.mark.usefixtures("deaf")
async def test_workers_and_results_go_on_by_looking(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="ltq.broker")
    broker = PostgresBroker(postgres_url)
    worker = ltq.Worker("shop", broker=broker)

    @worker.task
    async def pack(number: int) -> int:
        return number

    async with broker, worker:
        assert await (await pack.send(1)).result(PATIENCE) == 1
        await elapse(1.2, "it takes a second to know that nothing is heard")
        assert await (await pack.send(2)).result(3.0) == 2
    told = [
        one.message for one in caplog.records if "does not deliver notifications" in one.message
    ]
    assert len(told) == 1
