"""Behind pgbouncer in transaction mode, where settings are refused and LISTEN hears nothing."""

import asyncio
import logging
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

import ltq
from devtools.postgres import unprivileged
from devtools.programs import find_pgbouncer
from devtools.servers import free_port
from ltq.brokers.postgres import PostgresBroker
from ltq.state import Status
from ltq.testing.conformance._support.eventually import PATIENCE
from tests.eventually import eventually
from tests.flow.stage import Stage

pytestmark = pytest.mark.slow

_CONFIG = """
[databases]
postgres = host=127.0.0.1 port={server} dbname=postgres user=ltq
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
pool_mode = transaction
default_pool_size = {size}
unix_socket_dir =
{more}
"""


def _answers(port: int) -> bool:
    try:
        psycopg.connect(f"postgresql://ltq@127.0.0.1:{port}/postgres").close()
    except psycopg.OperationalError:
        return False
    return True


@asynccontextmanager
async def pooler(postgres_url: str, size: int = 3, more: str = "") -> AsyncIterator[str]:
    """The URL of a server through a pooler."""
    executable = find_pgbouncer()
    if executable is None:
        pytest.skip("no pgbouncer here")
    server = psycopg.conninfo.conninfo_to_dict(postgres_url.partition("?")[0])["port"]
    port = free_port()
    user = unprivileged()
    config = Path("/tmp") / f"ltq-pgbouncer-{port}.ini"
    config.write_text(_CONFIG.format(server=server, port=port, size=size, more=more))
    config.chmod(0o644)
    command = [executable, "-q", str(config)]
    process = await asyncio.to_thread(lambda: subprocess.Popen(command, cwd="/", **user))
    try:
        await eventually(lambda: _answers(port), description="the pooler's first answer")
        yield postgres_url.replace(f":{server}/", f":{port}/")
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)
        config.unlink()


@pytest.fixture
async def pooled_url(postgres_url: str) -> AsyncIterator[str]:
    """The server of the run through a pooler."""
    async with pooler(postgres_url) as url:
        yield url


async def test_nothing_is_prepared_where_settings_are_ignored(postgres_url: str) -> None:
    """A name of a prepared statement may stand for another one in the process that serves next."""
    ignoring = "ignore_startup_parameters = extra_float_digits,options"
    async with pooler(postgres_url, 1, ignoring) as url:
        async with PostgresBroker(url) as broker:
            for _ in range(8):
                await broker.serve(["shop"], 1.0)
                await broker.stats(["shop"])
        with psycopg.connect(url.partition("?")[0]) as same:
            found = same.execute("SELECT statement FROM pg_prepared_statements").fetchall()
    assert found == []


async def test_workers_and_results_go_on(pooled_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="ltq.broker")
    broker = PostgresBroker(pooled_url)
    worker = ltq.Worker("shop", broker=broker, concurrency=10)

    @worker.task
    async def pack(number: int) -> int:
        return number

    async with broker, worker:
        for batch in range(10):
            sent = [pack.message(10 * batch + one) for one in range(10)]
            handles = await pack.send_many(sent)
            results = [await handle.result(PATIENCE) for handle in handles]
            assert results == [10 * batch + one for one in range(10)]
        await eventually(lambda: _told(caplog), description="the word that nothing is heard")
        assert await (await pack.send(1)).result(3.0) == 1
    assert _told(caplog) == 1


async def test_workflows_go_on_and_are_cancelled(pooled_url: str) -> None:
    """A step of rules is a transaction of several statements, all in one process of the server."""
    stage = Stage(PostgresBroker(pooled_url))
    async with stage.broker:
        waiting = await stage.numbers.step(9).map(stage.double).then(stage.add).send()
        assert await waiting.cancel()
        async with stage.one, stage.two:
            nodes = [
                stage.numbers.step(count).map(stage.double).then(stage.add)
                for count in range(0, 100, 10)
            ]
            handle = await ltq.join(*nodes).send()
            *_, tree = [tree async for tree in handle.watch_tree(PATIENCE)]
            assert await handle.result(1.0) == tuple(n * (n - 1) for n in range(0, 100, 10))
            assert {node.status for node in tree.nodes} == {Status.COMPLETED}
            await eventually(lambda: _is_carried_on(stage), description="what the cancel has left")
        assert {node.status for node in (await waiting.tree()).nodes} == {Status.CANCELLED}


async def _is_carried_on(stage: Stage) -> bool:
    return not await stage.broker.endings(stage.double.queue)


def _told(caplog: pytest.LogCaptureFixture) -> int:
    return sum("does not deliver notifications" in one.message for one in caplog.records)
