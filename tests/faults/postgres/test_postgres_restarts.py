"""PostgreSQL is killed, restarted, hangs or cuts connections, under load."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable

import psycopg
import pytest

from devtools.ledger import Ledger
from devtools.postgres import PostgresServer
from devtools.workers import Fleet
from ltq.brokers.postgres import PostgresBroker
from ltq.errors import BrokerError
from tests.elapse import elapse
from tests.eventually import eventually
from tests.faults.load import Load

pytestmark = pytest.mark.slow

SOON = 4.0
"""Seconds after which everything works again: recovery, and the pauses of who tries again."""

PATIENCE = 5.0
"""Seconds a send may take to say that it failed."""

CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'ltq' AND pid <> pg_backend_pid() {}"""


def check_runs(ledger: Ledger) -> None:
    """No lease has ended, so nothing has run twice."""
    starts = Counter(event.id for event in ledger.events("start"))
    assert [one for one, count in starts.items() if count > 1] == []


def check_refusals(load: Load) -> None:
    assert [(took, str(error)) for took, error in load.refused if took > PATIENCE] == []


def times_begun(pg: PostgresServer) -> int:
    """How often the server has said that it accepts connections."""
    return sum(pg.READY.decode() in line.lower() for line in pg.output)


@pytest.mark.usefixtures("pg_broker")
class TestRestart:
    async def test_killed_again_and_again_it_loses_nothing(
        self, pg: PostgresServer, pg_url: str, fleet: Fleet, ledger: Ledger
    ) -> None:
        workers = [await fleet.start(pg_url) for _ in range(2)]
        async with Load(ledger) as load:
            for away in (0.0, 0.5, 2.0):
                await load.flows()
                pg.kill()
                await elapse(away, "the server is away")
                await asyncio.to_thread(pg.start)
                assert await load.flows() <= SOON
            await load.finish()
        assert load.sent > 100
        check_runs(ledger)
        check_refusals(load)
        assert [worker.exit_code for worker in workers] == [None, None]

    async def test_restarted_by_an_administrator_it_loses_nothing(
        self, pg: PostgresServer, pg_url: str, fleet: Fleet, ledger: Ledger
    ) -> None:
        await fleet.start(pg_url)
        async with Load(ledger) as load:
            for _ in range(3):
                await load.flows()
                pg.stop()
                await asyncio.to_thread(pg.start)
                assert await load.flows() <= SOON
            await load.finish()
        check_runs(ledger)
        check_refusals(load)

    async def test_a_process_of_the_server_that_dies_takes_all_with_it(
        self, pg: PostgresServer, pg_url: str, fleet: Fleet, ledger: Ledger
    ) -> None:
        """As the kernel does that runs out of memory: the server recovers by itself."""
        await fleet.start(pg_url)
        async with Load(ledger) as load:
            for _ in range(3):
                await load.flows()
                begun = times_begun(pg)
                pg.kill_one()
                # For some seconds it may accept connections still, then it waits for its processes.
                await eventually(lambda: times_begun(pg) > begun, 20, "it has begun anew")  # noqa: B023  called at once
                await eventually(pg.accepts, 20, "the server has recovered")
                assert await load.flows() <= SOON
            await load.finish()
        check_runs(ledger)
        check_refusals(load)


@pytest.mark.usefixtures("pg_broker")
class TestCut:
    @pytest.mark.parametrize("of", ["", "AND query LIKE '%LISTEN%'", "AND state = 'active'"])
    async def test_connections_cut_ten_times_a_second(
        self, pg: PostgresServer, pg_url: str, fleet: Fleet, ledger: Ledger, of: str
    ) -> None:
        worker = await fleet.start(pg_url)
        async with Load(ledger) as load:
            with psycopg.connect(pg.url, autocommit=True) as admin:
                for _ in range(30):
                    admin.execute(CUT.format(of).encode())
                    await elapse(0.1, "connections are cut ten times a second")
            assert await load.flows() <= SOON
            await load.finish()
        check_runs(ledger)
        assert load.refused == []
        assert worker.exit_code is None


@pytest.mark.usefixtures("pg_broker")
class TestHang:
    async def test_a_server_that_hangs_is_noticed_and_survived(
        self, pg: PostgresServer, pg_url: str, fleet: Fleet, ledger: Ledger
    ) -> None:
        worker = await fleet.start(pg_url)
        async with Load(ledger) as load:
            pg.freeze()
            await elapse(10.0, "it hangs for longer than any deadline")
            pg.thaw()
            assert await load.flows() <= SOON
            await load.finish()
        assert len(load.refused) >= 2
        check_runs(ledger)
        check_refusals(load)
        assert worker.exit_code is None

    async def test_calls_that_wait_for_their_turn_fail_in_time_too(
        self, pg: PostgresServer, pg_broker: PostgresBroker
    ) -> None:
        pg.freeze()
        try:
            calls = [timed(pg_broker.pause("faults")) for _ in range(5)]
            calls += [timed(pg_broker.states("faults", ["1"])) for _ in range(20)]
            took = await asyncio.gather(*calls)
        finally:
            pg.thaw()
        assert max(took) <= PATIENCE


async def timed(call: Awaitable[object]) -> float:
    """How long a call takes that fails."""
    began = time.monotonic()
    with pytest.raises(BrokerError):
        await call
    return time.monotonic() - began
