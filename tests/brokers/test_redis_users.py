"""All that takes a broker's URL takes those of Sentinel and of a cluster."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ltq
import ltq.sync
import ltq.testing
from devtools.redis_sets.cluster import ClusterSet
from devtools.redis_sets.sentinel import SentinelSet
from ltq.brokers.redis import RedisBroker
from ltq.errors import BrokerError
from ltq.state import Status
from tests.cli.processes import run_ltq, start_ltq
from tests.conformance.factories import make_envelope
from tests.eventually import eventually
from tests.web.boards import open_board
from tests.web.shop import make_shop

pytestmark = pytest.mark.slow

WORKER = "tests.cli.jobs:worker"


@pytest.fixture(scope="module", params=["sentinel", "cluster"])
def servers(
    request: pytest.FixtureRequest, redis_executable: str
) -> Iterator[ClusterSet | SentinelSet]:
    with (
        ClusterSet(redis_executable, replicas=0)
        if request.param == "cluster"
        else SentinelSet(redis_executable, replicas=1)
    ) as servers:
        yield servers


@pytest.fixture
def url(servers: ClusterSet | SentinelSet) -> str:
    """Of servers that are empty."""
    servers.empty()
    return servers.url


def make_worker(url: str) -> ltq.Worker[Any]:
    worker = ltq.Worker("jobs", broker_url=url)

    @worker.task
    async def double(number: int) -> int:
        return 2 * number

    return worker


async def ended(broker: ltq.Broker, queue: str) -> tuple[ltq.TaskState[bytes], ...]:
    return (await broker.tasks(queue, status="completed")).items


async def test_a_scheduler_fires_and_a_worker_runs_it(url: str) -> None:
    worker = make_worker(url)
    double = worker.tasks["jobs:double"]
    scheduler = ltq.Scheduler(broker_url=url)
    scheduler.cron("* * * * * *", double.message(4), name="doubled")
    async with worker:
        running = asyncio.create_task(scheduler.run())
        tasks = await eventually(lambda: ended(worker.broker, double.queue))
        assert [one.name for one in await scheduler.list()] == ["doubled"]
        await scheduler.stop()
        await running
    assert tasks[0].result == b"8"


async def test_synchronous_code_sends_and_awaits_the_end(url: str) -> None:
    worker = make_worker(url)

    def use() -> list[int]:
        handles = [worker.tasks["jobs:double"].send_sync(number) for number in range(3)]
        return [handle.result(timeout=10) for handle in handles]

    async with worker:
        assert await asyncio.to_thread(use) == [0, 2, 4]


async def test_commands_run_send_and_tell(url: str, tmp_path: Path) -> None:
    env = {"LTQ_BROKER_URL": url}
    async with start_ltq("run", WORKER, "--broker-url", url) as running:
        await running.err_line("concurrency")
        add = ("send", f"{WORKER}.add", "--args", "[1, 2]")
        done = await run_ltq(*add, "--wait", "--broker-url", url)
        assert (done.code, done.out.splitlines()[-1:]) == (0, ["3"]), done
        for command in (
            ["stats"],
            ["workers"],
            ["tasks", "jobs:add", "--status", "completed"],
            ["history", "jobs:add"],
            ["metrics"],
            ["schedule", "list"],
            ["dead", "list"],
            ["repair"],
        ):
            done = await run_ltq(*command, env=env)
            assert done.code == 0, (command, done)
            assert not done.err, (command, done)
    file = f"sqlite:///{tmp_path / 'jobs.db'}"
    done = await run_ltq(*add, "--broker-url", file)
    assert done.code == 0, done
    done = await run_ltq("move", file, url)
    assert done.code == 0, done
    async with RedisBroker(url) as broker:
        assert [one.pending for one in await broker.stats(["jobs:add"])] == [1]


async def test_pages_of_the_dashboard_show_and_change_it(url: str) -> None:
    worker = make_shop(url)
    async with worker.broker, open_board(worker) as board:
        note = worker.tasks["shop:note"]
        later = await note.with_options(delay=60).send("later")
        async with worker:
            failed = await worker.tasks["shop:checkout"].send(-1, email="a@b.c")
            await failed.wait(timeout=10)
            await eventually(board.broker.workers)
            assert "alive" in await board.text("/workers")
        text = await board.text("/")
        assert "Delayed 1" in text
        assert "Dead letters 1" in text
        assert "later" in await board.text("/queues/shop:note?status=delayed")
        assert failed.id in await board.text("/search?q=a@b.c")
        said = await board.said(f"/queues/shop:note/tasks/{later.id}/cancel")
        assert "cancelled" in said
        assert (await later.state()).status is Status.CANCELLED


async def test_faults_are_made_before_it(url: str) -> None:
    async with ltq.testing.FlakyBroker(RedisBroker(url)) as broker:
        broker.fail("send", next=1)
        with pytest.raises(BrokerError):
            await broker.publish([make_envelope(queue="jobs:one")])
        await broker.publish([make_envelope(queue="jobs:one")])
        assert [one.pending for one in await broker.stats(["jobs:one"])] == [1]
