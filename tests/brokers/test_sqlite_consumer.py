"""When a consumer of a SQLite file looks whether there is something to claim, before it waits."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ltq.broker import Consumer, ConsumerConfig
from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._places.store import SqliteStore
from ltq.message import Envelope, new_id

SOON = 5.0


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[SqliteBroker]:
    async with SqliteBroker(f"sqlite:///{tmp_path}/jobs.db", clock=lambda: 1000.0) as broker:
        yield broker  # its clock stands still: what is delayed is never due before it is waited for


@pytest.fixture
async def consumer(broker: SqliteBroker) -> AsyncIterator[Consumer]:
    async with broker.consumer(["mail"]) as consumer:
        yield consumer


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[ConsumerConfig]:
    """One item for each look."""
    looks: list[ConsumerConfig] = []
    look = SqliteStore.next_claim

    def next_claim(store: SqliteStore, config: ConsumerConfig) -> float | None:
        looks.append(config)
        return look(store, config)

    monkeypatch.setattr(SqliteStore, "next_claim", next_claim)
    return looks


async def publish(broker: SqliteBroker, delay: float = 0.0) -> None:
    sent = Envelope(id=new_id(), queue="mail", task_name="mail", body=b"", delay=delay)
    await broker.publish([sent])


class TestWait:
    async def test_after_a_claim_that_left_nothing_it_does_not_look(
        self, consumer: Consumer, looks: list[ConsumerConfig]
    ) -> None:
        await consumer.claim(1)
        assert not await consumer.wait(0.01)
        assert looks == []

    async def test_it_looks_if_there_were_news_since(
        self, broker: SqliteBroker, consumer: Consumer, looks: list[ConsumerConfig]
    ) -> None:
        await consumer.claim(1)
        await publish(broker)
        assert await consumer.wait(SOON)
        assert len(looks) == 1

    async def test_it_looks_if_the_claim_was_full(
        self, broker: SqliteBroker, consumer: Consumer, looks: list[ConsumerConfig]
    ) -> None:
        for _ in range(2):
            await publish(broker)
        await consumer.claim(1)
        assert await consumer.wait(SOON)
        assert len(looks) == 1

    async def test_it_looks_if_the_last_claim_failed(
        self, consumer: Consumer, looks: list[ConsumerConfig], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await consumer.claim(1)
        with monkeypatch.context() as broken:
            broken.setattr(SqliteStore, "claim", None)
            with pytest.raises(TypeError):
                await consumer.claim(1)
        assert not await consumer.wait(0.1)
        assert len(looks) == 1

    async def test_it_ends_when_what_the_claim_has_seen_is_due(
        self, broker: SqliteBroker, consumer: Consumer, looks: list[ConsumerConfig]
    ) -> None:
        await publish(broker, delay=0.05)
        await consumer.claim(1)
        assert await consumer.wait(SOON)
        assert looks == []
