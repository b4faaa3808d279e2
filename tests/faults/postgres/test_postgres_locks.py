"""Sessions of others hold locks for long, as one that is idle in transaction."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from devtools.ledger import Ledger
from devtools.postgres import PostgresServer
from devtools.workers import Fleet
from ltq.brokers.postgres import PostgresBroker
from ltq.brokers.postgres._schema.names import Schema
from ltq.cli._root import main
from ltq.errors import BrokerError
from ltq.state import Status
from tests.elapse import elapse
from tests.eventually import eventually
from tests.faults import jobs
from tests.faults.sent import send_holds, started

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("pg_broker")]


@contextmanager
def holding(pg: PostgresServer, statement: str, *values: Any) -> Iterator[psycopg.Connection[Any]]:
    """A session that is idle in transaction, after a statement."""
    with psycopg.connect(pg.url, application_name="psql") as other:
        other.execute(statement.encode(), values)
        yield other
        other.rollback()


ROW = "SELECT FROM ltq.tasks WHERE id = %s FOR UPDATE"


class TestRow:
    async def test_of_a_task_that_waits_it_keeps_no_other(
        self, pg: PostgresServer, pg_url: str, fleet: Fleet
    ) -> None:
        held, *others = [await jobs.double.send(number) for number in range(5)]
        with holding(pg, ROW, held.id):
            await fleet.start(pg_url)
            assert [await one.result(15) for one in others] == [2, 4, 6, 8]
            assert (await held.state()).status is Status.PENDING
        assert await held.result(10) == 0

    async def test_of_a_task_that_ends_it_keeps_no_other(
        self, pg: PostgresServer, pg_url: str, fleet: Fleet, ledger: Ledger
    ) -> None:
        """Its outcome is written when the row is free. Its lease ends, so it may run again."""
        worker = await fleet.start(pg_url, lease=2.0)
        held, *others = await send_holds(5)
        await started(ledger, [held, *others])
        with holding(pg, ROW, held.id):
            ledger.open("gate")
            assert {await one.result(10) for one in others} == {worker.pid}
            again = [await jobs.double.send(number) for number in range(20)]
            assert [await one.result(10) for one in again] == [2 * one for one in range(20)]
            await worker.logged("a session holds the row of")
            await elapse(3.0, "the lease ends")
            assert await (await jobs.double.send(4)).result(5) == 8
        assert await held.result(10) == worker.pid
        runs = Counter(event.id for event in ledger.events("start"))
        assert runs.pop(held.id) <= 2
        assert {*runs.values()} == {1}
        assert worker.lines("it counts as failed") == []

    async def test_of_a_task_that_runs_it_takes_no_lease_of_others(
        self, pg: PostgresServer, pg_url: str, fleet: Fleet, ledger: Ledger
    ) -> None:
        worker = await fleet.start(pg_url, lease=2.0)
        held, *others = await send_holds(5)
        await started(ledger, [held, *others])
        with holding(pg, ROW, held.id):
            await elapse(3.0, "leases end that are not renewed")
        ledger.open("gate")
        assert {await one.result(10) for one in others} == {worker.pid}
        await held.wait(10)
        assert {(await one.state()).dequeue_count for one in others} == {1}

    async def test_of_a_dead_worker_it_keeps_no_other(
        self, pg: PostgresServer, pg_url: str, fleet: Fleet, ledger: Ledger
    ) -> None:
        first = await fleet.start(pg_url, lease=2.0)
        held, *others = await send_holds(5)
        await started(ledger, [held, *others])
        with holding(pg, ROW, held.id):
            await first.kill()
            ledger.open("gate")
            second = await fleet.start(pg_url, lease=2.0)
            assert {await one.result(15) for one in others} == {second.pid}
        assert await held.result(10) == second.pid

    async def test_of_a_task_that_is_cancelled_it_is_told_in_time(
        self, pg: PostgresServer, pg_url: str, fleet: Fleet
    ) -> None:
        held = await jobs.double.send(1)
        with holding(pg, ROW, held.id):
            await fleet.start(pg_url)
            cancelling = asyncio.create_task(refused(held.cancel()))
            for number in range(20):
                assert await (await jobs.double.send(number)).result(5) == 2 * number
            assert await cancelling < 5.0
        assert await held.result(10) == 2


async def refused(call: Any) -> float:
    """How long a call takes that fails."""
    began = time.monotonic()
    with pytest.raises(BrokerError, match="lock timeout"):
        await call
    return time.monotonic() - began


class TestProcess:
    async def test_one_that_hangs_in_a_step_of_the_rules_keeps_nobody_for_long(
        self, pg: PostgresServer, pg_url: str, fleet: Fleet, pg_broker: PostgresBroker
    ) -> None:
        """The server ends its transaction."""
        await fleet.start(pg_url)
        link = pg_broker._here().link

        def step(store: Any) -> None:
            with store._step():
                store._places("faults")
                time.sleep(3.5)  # the task's own time: the event loop stands still

        assert await (await jobs.double.send(1)).result(15) == 2
        hanging = asyncio.create_task(link.run(step))
        await asyncio.gather(hanging, return_exceptions=True)
        assert await (await jobs.double.send(2)).result(5) == 4


class TestMigration:
    async def test_it_says_who_holds_its_lock(self, pg: PostgresServer) -> None:
        lock = Schema("other").lock + 3
        url = f"{pg.url}?schema=other"
        with holding(pg, "SELECT pg_advisory_xact_lock(%s, 0)", lock) as other:
            began = time.monotonic()
            command = ["migrate", "--broker-url", url]
            given = await asyncio.to_thread(CliRunner().invoke, main, command)
            assert time.monotonic() - began < 6.0
            assert given.exit_code == 1
            pid = other.info.backend_pid
            assert f"while others hold its lock: pid {pid} of ltq (psql, idle" in given.output
            assert given.output.count("\n") == 1
        again = await asyncio.to_thread(CliRunner().invoke, main, command)
        assert again.exit_code == 0

    async def test_workers_run_meanwhile(
        self, pg: PostgresServer, pg_url: str, fleet: Fleet, ledger: Ledger
    ) -> None:
        """Functions are made anew again and again."""
        await fleet.start(pg_url)
        script = PostgresBroker(pg_url).migration
        changes = script[script.index("CREATE OR REPLACE FUNCTION") :]
        handles = []
        for number in range(10):
            handles += [await jobs.double.send(10 * number + one) for one in range(10)]
            await asyncio.to_thread(pg.execute, f"BEGIN; {changes}")
        assert [await one.result(10) for one in handles] == [2 * one for one in range(100)]
        assert len(ledger.events("start")) == 100
        await eventually(lambda: len(ledger.events("end")) == 100)
