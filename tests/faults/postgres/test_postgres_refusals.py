"""PostgreSQL refuses for a while; afterwards everything works again, soon, and nothing is lost."""

import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from devtools.ledger import Ledger
from devtools.postgres import PostgresServer, unprivileged
from devtools.workers import Fleet
from ltq.brokers.postgres import PostgresBroker
from ltq.errors import BrokerError
from tests.elapse import elapse
from tests.eventually import eventually
from tests.faults import jobs
from tests.faults.load import Load

pytestmark = pytest.mark.slow

SOON = 3.0
"""Seconds after which everything works again."""

PATIENCE = 5.0
"""Seconds a send may take to say that it failed."""

LASTS = 2.5
"""Seconds of each fault."""

CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'ltq' AND pid <> pg_backend_pid()"""

Fault = Callable[[PostgresServer], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def readonly(pg: PostgresServer) -> AsyncIterator[None]:
    """As a server that was primary, or whose disk is nearly full."""
    pg.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    pg.execute("SELECT pg_reload_conf()")
    yield
    pg.execute("ALTER SYSTEM RESET default_transaction_read_only")
    pg.execute("SELECT pg_reload_conf()")


@asynccontextmanager
async def too_many_connections(pg: PostgresServer) -> AsyncIterator[None]:
    pg.execute("ALTER ROLE worker CONNECTION LIMIT 0")
    pg.execute(CUT)
    yield
    pg.execute("ALTER ROLE worker CONNECTION LIMIT -1")


@asynccontextmanager
async def all_refused(pg: PostgresServer) -> AsyncIterator[None]:
    pg.execute("ALTER ROLE worker NOLOGIN")
    pg.execute(CUT)
    yield
    pg.execute("ALTER ROLE worker LOGIN")


@asynccontextmanager
async def tables_locked(pg: PostgresServer) -> AsyncIterator[None]:
    """As an ALTER TABLE of a migration does."""
    with psycopg.connect(pg.url) as other:
        other.execute("LOCK TABLE ltq.tasks, ltq.final IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


@asynccontextmanager
async def deadlocks(pg: PostgresServer) -> AsyncIterator[None]:
    """Each statement fails for a while, as with others that lock in another order."""
    for state in ("40P01", "40001"):
        pg.execute(RAISING.format(state))
        await elapse(LASTS / 2, "each write fails with one state")
    yield
    pg.execute("DROP TRIGGER fault ON ltq.tasks")


RAISING = """
CREATE OR REPLACE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF random() < 0.5 THEN RAISE EXCEPTION 'fault' USING errcode = '{}'; END IF;
RETURN NULL; END $$;
CREATE OR REPLACE TRIGGER fault AFTER INSERT OR UPDATE OR DELETE ON ltq.tasks
EXECUTE FUNCTION fault()"""


@asynccontextmanager
async def cancelled(pg: PostgresServer) -> AsyncIterator[None]:
    """An administrator, or a timeout, ends statements again and again."""
    cancel = CUT.replace("pg_terminate_backend", "pg_cancel_backend")
    for _ in range(int(LASTS / 0.02)):
        pg.execute(f"{cancel} AND state = 'active'")
        await elapse(0.02, "statements are cancelled all the time")
    yield


@asynccontextmanager
async def columns_change(pg: PostgresServer) -> AsyncIterator[None]:
    """Prepared plans are stale again and again."""
    for kind in ("bigint", "integer") * 5:
        pg.execute(f"ALTER TABLE ltq.tasks ALTER deaths TYPE {kind}")
        pg.execute(f"ALTER TABLE ltq.final ALTER deaths TYPE {kind}")
        await elapse(LASTS / 10, "workers use their plans")
    yield


FAULTS = [
    readonly,
    too_many_connections,
    all_refused,
    tables_locked,
    deadlocks,
    cancelled,
    columns_change,
]


@pytest.fixture
def pg_url(pg: PostgresServer) -> str:
    """That of a role that is nobody's administrator."""
    pg.execute("CREATE ROLE worker LOGIN; GRANT CREATE ON DATABASE postgres TO worker")
    return f"{pg.url.replace('ltq@', 'worker@')}?migrate=auto"


@pytest.mark.usefixtures("pg_broker")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_afterwards_it_consumes_again(
    fault: Fault, pg: PostgresServer, pg_url: str, fleet: Fleet, ledger: Ledger
) -> None:
    worker = await fleet.start(pg_url)
    async with Load(ledger) as load:
        async with fault(pg):
            await elapse(LASTS, "the fault lasts")
        assert await load.flows() <= SOON
        await load.finish()
    assert worker.exit_code is None
    assert worker.lines("Traceback") == worker.lines("cannot be written") == []
    assert [took for took, _ in load.refused if took > PATIENCE] == []
    starts = Counter(event.id for event in ledger.events("start"))
    assert [one for one, count in starts.items() if count > 1] == []


@pytest.mark.usefixtures("pg_broker")
@pytest.mark.parametrize("fault", [readonly, tables_locked], ids=lambda fault: fault.__name__)
async def test_what_ends_meanwhile_is_written_afterwards(
    fault: Fault, pg: PostgresServer, pg_url: str, fleet: Fleet, ledger: Ledger
) -> None:
    worker = await fleet.start(pg_url)
    handles = [await jobs.hold.send("gate") for _ in range(10)]
    await eventually(lambda: len(ledger.events("start")) == 10, 15)
    async with fault(pg):
        ledger.open("gate")
        await worker.logged("outcomes wait")
    assert {await handle.result(10) for handle in handles} == {worker.pid}
    assert {(await handle.state()).dequeue_count for handle in handles} == {1}


HARSH = (
    "statement_timeout = '1ms'",
    "lock_timeout = '1ms'",
    "idle_in_transaction_session_timeout = '1ms'",
    "default_transaction_isolation = 'serializable'",
    "idle_session_timeout = '300ms'",
    "search_path = ''",
)
ODD = (
    "default_transaction_isolation = 'repeatable read'",
    "default_transaction_deferrable = on",
    "plan_cache_mode = 'force_generic_plan'",
    "client_min_messages = 'debug1'",
    "row_security = off",
)


@pytest.mark.parametrize("settings", [HARSH, ODD], ids=["harsh", "odd"])
async def test_settings_of_the_role_change_nothing(
    settings: Sequence[str],
    pg: PostgresServer,
    pg_url: str,
    fleet: Fleet,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for setting in settings:
        pg.execute(f"ALTER ROLE worker SET {setting}")
    async with PostgresBroker(pg_url) as broker:
        monkeypatch.setattr(jobs.worker, "broker", broker)
        worker = await fleet.start(pg_url)
        async with Load(ledger) as load:
            failed = await jobs.fail.send()
            for _ in range(3):
                await load.flows()
            await load.finish()
            await failed.wait(10)
            assert [letter.id for letter in await broker.dead_letters(failed.queue)] == [failed.id]
    assert load.refused == []
    assert [line for line in worker.lines("WARNING") if "fsync is off" not in line] == []


@pytest.fixture
def small_disk(pg: PostgresServer, tmp_path: Path) -> Iterator[None]:
    """Tables lie on a disk of 24 MB."""
    folder = Path(f"/tmp/ltq-small-{pg.port}")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        folder.rmdir()
        pytest.skip("no tmpfs can be mounted here")
    try:
        own = unprivileged()
        subprocess.run(["chown", f"{own['user']}:{own['group']}", str(folder)], check=True)
        pg.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
        pg.execute("GRANT CREATE ON TABLESPACE small TO PUBLIC")
        pg.execute("ALTER DATABASE postgres SET default_tablespace = small")
        yield
        pg.kill()
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


@pytest.mark.usefixtures("small_disk")
async def test_a_full_disk_loses_nothing(
    pg: PostgresServer, pg_url: str, fleet: Fleet, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with PostgresBroker(pg_url) as broker:
        await broker.migrate()
        monkeypatch.setattr(jobs.worker, "broker", broker)
        worker = await fleet.start(pg_url)
        handles = [await jobs.hold.send("gate") for _ in range(100)]
        await eventually(lambda: len(ledger.events("start")) == 100, 15)
        fill(pg)
        told = await refusal()
        assert "No space left on device" in str(told)
        assert not told.is_refusal
        ledger.open("gate")
        await worker.logged("outcomes wait")
        await elapse(2.0, "it stays full")
        pg.execute("DROP TABLE filler")
        assert {await handle.result(10) for handle in handles} == {worker.pid}
        assert await (await jobs.double.send(2)).result(10) == 4
        assert worker.lines("it counts as failed") == []


def fill(pg: PostgresServer) -> None:
    pg.execute("CREATE TABLE filler (text text)")
    for size in (100_000, 10_000, 1000, 100, 10, 1):
        insert = f"INSERT INTO filler SELECT repeat('x', 500) FROM generate_series(1, {size})"
        while True:
            try:
                pg.execute(insert)
            except psycopg.errors.DiskFull:
                break


async def refusal() -> BrokerError:
    """What a send is told, at the latest when no page has room any more."""
    for _ in range(2000):
        began = time.monotonic()
        try:
            await jobs.limited.send()
        except BrokerError as error:
            assert time.monotonic() - began < PATIENCE
            return error
    raise AssertionError("the disk is not full")
