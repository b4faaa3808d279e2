"""`examples/github.py`, its workers processes of their own, against a web server on loopback."""

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import assert_type

import pytest

import ltq
from devtools.servers import free_port
from examples import github
from examples.github import Repo, fetch
from ltq import Status
from ltq.broker import Broker
from tests.examples.programs import Program, StartProgram
from tests.examples.web import RETRY_AFTER, GithubServer, serve_github

WAIT = 30.0


@pytest.fixture
def server() -> Iterator[GithubServer]:
    with serve_github() as server:
        yield server


async def start_worker(start: StartProgram, **environment: str) -> Program:
    return await start("-m", "ltq", "run", "examples.github:worker", environment=environment)


async def start_producer(start: StartProgram, *arguments: str) -> Program:
    return await start("-m", "examples.github", *arguments)


def repository(name: str) -> Repo:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return Repo(name, 65432, 7, None, moment)


class TestProducer:
    async def test_a_table_tells_what_came_of_each(
        self, start: StartProgram, server: GithubServer
    ) -> None:
        worker = await start_worker(start)
        producer = await start_producer(start, "--base-url", server.url, "good/one", "flaky/one")
        assert await producer.ends() == 0, producer.output
        assert re.search(r"(?m)^good/one +completed +1 +65,432 +7 +pushed 2026", producer.output)
        assert re.search(r"(?m)^flaky/one +completed +2 +65,432", producer.output)
        assert await worker.stop() == 0, worker.output

    async def test_a_repository_that_is_not_there_is_told_by_the_exit_code(
        self, start: StartProgram, server: GithubServer
    ) -> None:
        await start_worker(start)
        producer = await start_producer(start, "--base-url", server.url, "good/one", "missing/one")
        assert await producer.ends() == 1, producer.output
        assert re.search(
            r"(?m)^missing/one +rejected +1 +there is no repository missing/one", producer.output
        )
        assert re.search(r"(?m)^good/one +completed", producer.output)
        assert "\nfailed: missing/one: there is no repository missing/one\n" in producer.output

    async def test_the_workers_environment_names_the_server(
        self, start: StartProgram, server: GithubServer
    ) -> None:
        await start_worker(start, LTQ_GITHUB_URL=server.url)
        producer = await start_producer(start)
        assert await producer.ends() == 0, producer.output
        assert {path for path, _ in server.requests} == {f"/repos/{repo}" for repo in github.SOME}

    async def test_it_asks_for_a_worker_when_nothing_happens(
        self, start: StartProgram, server: GithubServer
    ) -> None:
        producer = await start_producer(start, "--base-url", server.url, "good/one")
        await producer.says(github.NO_WORKER)
        await start_worker(start)
        assert await producer.ends() == 0, producer.output


class TestTask:
    """What is sent from here runs in a worker's process."""

    @pytest.fixture(autouse=True)
    def _same_server(self, monkeypatch: pytest.MonkeyPatch, broker: Broker) -> None:
        monkeypatch.setattr(github.worker, "broker", broker)

    async def test_a_result_is_a_repo_again(
        self, start: StartProgram, server: GithubServer
    ) -> None:
        await start_worker(start)
        handle = await fetch.send("good/one", base_url=server.url)
        assert_type(handle, ltq.Handle[Repo])
        assert await handle.result(timeout=WAIT) == repository("good/one")

    async def test_a_server_error_is_tried_again(
        self, start: StartProgram, server: GithubServer
    ) -> None:
        await start_worker(start)
        handle = await fetch.send("flaky/one", base_url=server.url)
        state = await handle.wait(timeout=WAIT)
        assert (state.status, state.dequeue_count) == (Status.COMPLETED, 2)
        assert state.result == repository("flaky/one")
        assert len(server.times("flaky/one")) == 2

    async def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(
        self, start: StartProgram, server: GithubServer
    ) -> None:
        await start_worker(start)
        handle = await fetch.send("busy/one", base_url=server.url)
        state = await handle.wait(timeout=WAIT)
        assert (state.status, state.dequeue_count) == (Status.COMPLETED, 2)
        first, second = server.times("busy/one")
        assert second - first >= RETRY_AFTER

    @pytest.mark.parametrize(
        ("repo", "status", "error"),
        [
            ("missing/one", Status.REJECTED, "there is no repository missing/one"),
            ("forbidden/one", Status.FAILED, "HTTPError: HTTP Error 403: Forbidden"),
            ("odd/one", Status.FAILED, "ValidationError: Expected `int`, got `str`"),
        ],
    )
    async def test_what_no_other_try_would_mend_ends_at_once(
        self, start: StartProgram, server: GithubServer, repo: str, status: Status, error: str
    ) -> None:
        await start_worker(start)
        state = await (await fetch.send(repo, base_url=server.url)).wait(timeout=WAIT)
        assert (state.status, state.dequeue_count) == (status, 1)
        assert state.error is not None
        assert state.error.startswith(error)
        assert len(server.times(repo)) == 1

    async def test_tries_are_counted(self, start: StartProgram, server: GithubServer) -> None:
        await start_worker(start)
        twice = fetch.with_options(max_tries=2)
        down = await twice.send("down/one", base_url=server.url)
        nobody = await twice.send("good/one", base_url=f"http://127.0.0.1:{free_port()}")
        with pytest.raises(ltq.TaskFailedError, match="HTTP Error 503"):
            await down.result(timeout=WAIT)
        with pytest.raises(ltq.TaskFailedError, match=r"URLError: .*Connection refused"):
            await nobody.result(timeout=WAIT)
        assert [(await handle.state()).dequeue_count for handle in (down, nobody)] == [2, 2]
        assert len(server.times("down/one")) == 2

    async def test_only_web_servers_are_asked(self, start: StartProgram) -> None:
        await start_worker(start)
        handle = await fetch.send("etc/passwd", base_url="file://")
        with pytest.raises(ltq.TaskRejectedError, match="file:// is not the URL of a web server"):
            await handle.result(timeout=WAIT)

    async def test_the_rate_is_kept_over_all_workers(
        self, start: StartProgram, server: GithubServer
    ) -> None:
        workers = [await start_worker(start) for _ in range(2)]
        for worker in workers:
            await worker.says("worker github: 1 task")
        repos = [f"good/{number}" for number in range(25)]
        handles = await fetch.send_many(
            [fetch.message(repo, base_url=server.url) for repo in repos]
        )
        states = await asyncio.gather(*(handle.wait(timeout=WAIT) for handle in handles))
        assert [state.result for state in states] == [repository(repo) for repo in repos]
        assert {state.dequeue_count for state in states} == {1}
        times = [moment for _, moment in server.requests]
        assert len(times) == 25
        assert times[-1] - times[0] > 1.9
        starts = sorted(state.last_dequeue_time or 0.0 for state in states)
        assert min(later - earlier for earlier, later in pairwise(starts)) > 0.099
