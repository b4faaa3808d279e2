"""A primary goes, a standby takes its place: workers go on with it, and nothing is lost."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.ledger import Ledger
from devtools.postgres import PostgresServer
from devtools.proxy import Proxy
from devtools.workers import Fleet
from ltq.brokers.postgres import PostgresBroker
from ltq.errors import BrokerError
from tests.elapse import elapse
from tests.eventually import eventually
from tests.faults import jobs
from tests.faults.load import Load

pytestmark = pytest.mark.slow

SOON = 4.0
"""Seconds after which everything works again."""

_FOLLOWED = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"


@pytest.fixture
def standby(postgres_folder: Path, pg: PostgresServer) -> Iterator[PostgresServer]:
    """It has each commit before that is acknowledged."""
    with PostgresServer(postgres_folder, standby_of=pg) as standby:
        pg.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        pg.execute("SELECT pg_reload_conf()")
        yield standby
        standby.kill()


async def follows(pg: PostgresServer) -> None:
    """Wait until commits wait for the standby."""
    await eventually(lambda: pg.execute(_FOLLOWED) == [(1,)], 15, "a synchronous standby")


def check_runs(ledger: Ledger) -> None:
    starts = Counter(event.id for event in ledger.events("start"))
    assert [one for one, count in starts.items() if count > 1] == []


async def test_the_other_host_of_the_url_is_found(
    pg: PostgresServer,
    standby: PostgresServer,
    fleet: Fleet,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosts = f"127.0.0.1:{pg.port},127.0.0.1:{standby.port}"
    url = f"postgresql://ltq@{hosts}/postgres?target_session_attrs=read-write&migrate=auto"
    await follows(pg)
    async with PostgresBroker(url) as broker:
        await broker.migrate()
        monkeypatch.setattr(jobs.worker, "broker", broker)
        worker = await fleet.start(url)
        async with Load(ledger) as load:
            pg.kill()
            await elapse(1.0, "somebody notices")
            await asyncio.to_thread(standby.promote)
            assert await load.flows() <= SOON
            await load.finish()
        assert worker.exit_code is None
    check_runs(ledger)


async def test_an_address_that_moves_is_followed(
    pg: PostgresServer,
    standby: PostgresServer,
    fleet: Fleet,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The old primary lives on as one that nobody may write to, and connections to it stay open."""
    await follows(pg)
    async with Proxy(pg.port) as proxy:
        url = f"postgresql://ltq@127.0.0.1:{proxy.port}/postgres?migrate=auto&sslmode=disable"
        async with PostgresBroker(f"{url}&gssencmode=disable") as broker:
            await broker.migrate()
            monkeypatch.setattr(jobs.worker, "broker", broker)
            worker = await fleet.start(f"{url}&gssencmode=disable")
            async with Load(ledger) as load:
                pg.execute("ALTER SYSTEM SET default_transaction_read_only = on")
                pg.execute("SELECT pg_reload_conf()")
                await elapse(0.5, "no transaction that writes is open any more")
                await asyncio.to_thread(standby.promote)
                proxy.server_port = standby.port
                assert await load.flows() <= SOON
                await load.finish()
            assert worker.exit_code is None
    check_runs(ledger)


async def test_a_worker_of_a_standby_begins_when_it_is_promoted(
    pg: PostgresServer,
    standby: PostgresServer,
    fleet: Fleet,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await follows(pg)
    async with PostgresBroker(f"{pg.url}?migrate=auto") as broker:
        await broker.migrate()
        monkeypatch.setattr(jobs.worker, "broker", broker)
        handle = await jobs.double.send(4)
    async with PostgresBroker(f"{standby.url}?migrate=auto") as broker:
        monkeypatch.setattr(jobs.worker, "broker", broker)
        assert (await broker.state(handle.queue, handle.id)).status.value == "pending"
        with pytest.raises(BrokerError, match=r"read-only transaction|during recovery"):
            await jobs.double.send(1)
        worker = await fleet.start(f"{standby.url}?migrate=auto")
        await worker.logged("trying again")
        pg.kill()
        await asyncio.to_thread(standby.promote)
        assert (
            await broker.wait(handle.queue, handle.id, timeout=SOON)
        ).status.value == "completed"
        assert worker.lines("Traceback") == []
