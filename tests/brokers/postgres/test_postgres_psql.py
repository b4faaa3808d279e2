"""Tasks that another language sends, by a function in SQL."""

import shutil
import subprocess
from collections.abc import Callable

import psycopg
import pytest

import ltq

pytestmark = pytest.mark.slow

Enqueue = Callable[[str], str]


@pytest.fixture
def enqueue(postgres_url: str, postgres_admin: psycopg.Connection) -> Enqueue:
    schema = postgres_url.partition("schema=")[2]

    def enqueue(arguments: str) -> str:
        row = postgres_admin.execute(f"SELECT {schema}.enqueue({arguments})".encode()).fetchone()
        assert row is not None
        return str(row[0])

    return enqueue


@pytest.fixture
def psql(postgres_server: str) -> Callable[[str], str]:
    """Runs a query by `psql`."""
    executable = shutil.which("psql")
    if executable is None:
        pytest.skip("no psql on PATH")
    command = [executable, "-X", "-qAt", "-v", "ON_ERROR_STOP=1", postgres_server, "-c"]

    def psql(query: str) -> str:
        run = subprocess.run([*command, query], capture_output=True, text=True, check=True)
        return run.stdout.strip()

    return psql


@pytest.fixture
def worker(postgres_url: str) -> ltq.Worker:
    return ltq.Worker("shop", broker_url=postgres_url)


def checkout_of(worker: ltq.Worker) -> ltq.Task[..., str]:
    @worker.task
    async def checkout(order: int, gift: bool = False, *, note: str = "") -> str:
        return f"{order} {gift} {note}"

    return checkout


async def test_plain_psql_sends_and_a_worker_runs_it(
    worker: ltq.Worker, postgres_url: str, psql: Callable[[str], str]
) -> None:
    checkout = checkout_of(worker)
    schema = postgres_url.partition("schema=")[2]
    sent = psql(f"""SELECT {schema}.enqueue('shop:checkout', '[7, true]', '{{"note": "né"}}')""")
    await worker.run(burst=True)
    assert await checkout.handle(sent).result(timeout=5) == "7 True né"
    await worker.aclose()


async def test_options_are_as_in_python(worker: ltq.Worker, enqueue: Enqueue) -> None:
    checkout = checkout_of(worker)
    names = "id => 'order-1', delay => 60, priority => 'high', tags => '{tenant:7,new,new}'"
    assert enqueue(f"'shop:checkout', '[1]', {names}") == "order-1"
    state = await checkout.handle("order-1").state()
    assert state is not None
    assert state.status is ltq.Status.DELAYED
    assert state.priority is ltq.Priority.HIGH
    assert set(state.tags) == {"tenant:7", "new"}
    await worker.aclose()


async def test_an_id_that_is_there_is_not_sent_again(worker: ltq.Worker, enqueue: Enqueue) -> None:
    checkout_of(worker)
    for _ in range(2):
        enqueue("'shop:checkout', '[1]', id => 'once'")
    (stats,) = await worker.broker.stats(["shop:checkout"])
    assert stats.pending == 1
    with pytest.raises(psycopg.errors.UniqueViolation, match="another task has the id once"):
        enqueue("'shop:other', id => 'once'")
    await worker.aclose()


async def test_an_open_transaction_holds_nobody_up(
    worker: ltq.Worker, postgres_url: str, enqueue: Enqueue
) -> None:
    checkout = checkout_of(worker)
    url, _, schema = postgres_url.partition("?schema=")
    with psycopg.connect(url) as first:  # to send to the queue
        first.execute(f"SELECT {schema}.enqueue('shop:checkout', '[1]', id => 'one')".encode())
        enqueue("'shop:checkout', '[2]', id => 'two'")
        await worker.run(burst=True)
        assert await checkout.handle("two").result(timeout=5) == "2 False "
        first.commit()
    await worker.run(burst=True)
    assert await checkout.handle("one").result(timeout=5) == "1 False "
    await worker.aclose()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ("''", "task"),
        ("NULL", "task"),
        ("'a/b'", "task"),
        ("'a:b', '{}'", "args"),
        ("'a:b', NULL", "args"),
        ("'a:b', '[]', '[]'", "kwargs"),
        ("'a:b', queue => 'a b'", "queue"),
        ("'a:b', id => ''", "id"),
        ("'a:b', delay => -1", "delay"),
        ("'a:b', delay => 'nan'", "delay"),
        ("'a:b', delay => 'infinity'", "delay"),
        ("'a:b', delay => NULL", "delay"),
        ("'a:b', priority => 'urgent'", "priority"),
        ("'a:b', priority => NULL", "priority"),
        ("'a:b', tags => '{a b}'", "tags"),
        ("'a:b', tags => ARRAY(SELECT n::text FROM generate_series(1, 17) AS n)", "tags"),
        ("'a:b', tags => ARRAY[NULL::text]", "tags"),
    ],
)
def test_what_is_not_allowed_is_named(enqueue: Enqueue, arguments: str, name: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=f"value of {name} is not"):
        enqueue(arguments)
