"""Redis with a user of few rights, and over TLS: what the documentation says is enough, works."""

import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError

import ltq
from devtools.redis_sets.certificates import Certificates
from devtools.servers import RedisServer, free_port
from ltq._flow.apart import carry_left
from ltq._flow.cut import cancel_cut
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._doctor.permissions import Rights, try_out
from ltq.brokers.redis._server.trials import TRIALS
from ltq.errors import BrokerError
from ltq.options import DEFAULT_RESULT_TTL
from tests.cli.processes import run_ltq
from tests.eventually import eventually

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RULES = re.findall(
    r"^    ACL SETUSER (ltq .*)$", (ROOT / "docs/operations.md").read_text("utf-8"), re.MULTILINE
)
FLAGS = ("--notify-keyspace-events", "Kghx")


async def use(url: str) -> None:
    """All that a producer, a worker, a scheduler and somebody who looks on do."""
    worker = ltq.Worker("access", broker_url=url)

    @worker.task(max_rate="100/s")
    async def double(number: int) -> int:
        return 2 * number

    @worker.task(max_tries=2, backoff=0.01)
    async def fail() -> None:
        raise ValueError("no")

    @worker.task(max_running=1)
    async def hold() -> None:
        await ltq.current().progress(1, 2)
        await eventually(lambda: False, 30.0)

    async with worker:
        handles = await double.send_many([double.message(number) for number in range(3)])
        delayed = await double.with_options(delay=0.05, priority="high").send(3)
        assert await ltq.gather(*handles, delayed) == (0, 2, 4, 6)
        failed = await fail.send()
        assert (await failed.wait(10)).status is ltq.Status.FAILED
        held = await hold.send()
        await eventually(lambda: _is_working(held), 10.0)
        assert await held.cancel()
        await _look(worker.broker, fail.queue, failed.id)
        await _fire(worker, double.message(1))
        assert await worker.broker.clear(double.queue) == 0
        assert await worker.broker.repair(["access"]) == 0
    await _stream(ltq.Worker("streams", broker_url=url))
    await _flow(ltq.Worker("flows", broker_url=url))


async def _stream(worker: ltq.Worker) -> None:
    @worker.task
    async def count(most: int) -> AsyncIterator[int]:
        for number in range(most):
            yield number

    async with worker:
        handle = await count.with_options(max_items=2).send(5)
        assert await handle.result(10) == 5
        assert await handle.collect(10) == [3, 4]
        assert await handle.present_items() == [3, 4]


async def _flow(worker: ltq.Worker) -> None:
    """A map, a join, a failure with its replay, a cancel, a repeated send, and what follows."""
    is_away = True

    @worker.task
    async def numbers(most: int) -> list[int]:
        return [*range(most)]

    @worker.task
    async def shake(number: int) -> int:
        if is_away and number == 1:
            raise ConnectionError("away")
        await ltq.current().send_after(numbers.with_options(id=f"after-{number}").message(1))
        return number

    @worker.task
    async def sleep(given: list[int]) -> int:
        await eventually(lambda: False, 30.0)
        return len(given)

    async with worker:
        node = ltq.join(numbers.step(2).map(shake), numbers.step(1)).with_options(id="flow")
        handle = await node.send()
        with pytest.raises(ltq.TaskFailedError, match="away"):
            await handle.result(10)
        await eventually(lambda: _has_ended(handle), 10.0)
        is_away = False
        assert await worker.broker.replay(shake.queue, ["flow.n1.1"]) == ["created"]
        assert await handle.result(10) == ([0, 1], [0])
        assert await (await node.send()).result(10) == ([0, 1], [0])
        await eventually(lambda: _is_known(worker.broker, numbers.queue, "after-1"), 10.0)
        held = await numbers.step(2).then(sleep).send()
        await eventually(lambda: _is_begun(held), 10.0)
        assert await held.cancel()
        await eventually(lambda: _is_carried_on(worker.broker), 10.0)
        queues = await worker.broker.queues()
        assert await cancel_cut(worker.broker, queues, before=time.time()) == 0


async def _is_carried_on(broker: ltq.Broker) -> bool:
    await carry_left(broker, "flows")
    return not await broker.endings("flows")


async def _has_ended(handle: ltq.WorkflowHandle[Any]) -> bool:
    nodes = (await handle.tree()).nodes
    return all(node.status is not None and node.status.is_final for node in nodes)


async def _is_begun(handle: ltq.WorkflowHandle[Any]) -> bool:
    return (await handle.state()).status is ltq.Status.WORKING


async def _is_known(broker: ltq.Broker, queue: str, task_id: str) -> bool:
    (state,) = await broker.states(queue, [task_id])
    return state is not None


async def _is_working(handle: ltq.Handle[Any]) -> bool:
    return (await handle.state()).progress is not None


async def _look(broker: ltq.Broker, queue: str, dead: str) -> None:
    (stats,) = await broker.stats([queue])
    assert stats.dead == 1
    assert stats.rate > 0
    assert [letter.id for letter in await broker.dead_letters(queue)] == [dead]
    assert await broker.replay(queue, [dead]) == ["created"]
    await broker.cancel(queue, dead, DEFAULT_RESULT_TTL)
    await broker.purge(queue)


async def _fire(worker: ltq.Worker, message: ltq.Message[Any]) -> None:
    """One slot, at the next second."""
    scheduler, seen = ltq.Scheduler(broker=worker.broker), worker.events()
    scheduler.cron("* * * * * *", message, name="second")
    scheduler.start_background()
    try:
        async for event in seen:
            if event.id.startswith("second:"):
                break
    finally:
        await scheduler.stop()


class TestUser:
    @pytest.fixture
    def server(self, redis_executable: str) -> Iterator[RedisServer]:
        with RedisServer(redis_executable, *FLAGS) as server:
            yield server

    def url(self, server: RedisServer, rule: str) -> str:
        name, *rights = rule.split()
        assert ">password" in rights
        with redis.Redis.from_url(server.url) as admin:
            admin.execute_command("ACL", "SETUSER", name, *rights)
        return server.url.replace("//", f"//{name}:password@")

    def test_two_are_documented(self) -> None:
        assert len(RULES) == 2

    @pytest.mark.parametrize("rule", RULES)
    async def test_one_that_is_documented_can_do_all(self, server: RedisServer, rule: str) -> None:
        await use(self.url(server, rule))

    @pytest.mark.parametrize("rule", RULES)
    async def test_the_doctor_finds_nothing_that_it_lacks(
        self, server: RedisServer, rule: str
    ) -> None:
        done = await run_ltq("doctor", "--broker-url", self.url(server, rule))
        (line,) = [line for line in done.out.splitlines() if "rights" in line]
        assert line.startswith("ok "), line

    @pytest.mark.parametrize("rule", RULES)
    def test_one_that_is_documented_can_do_no_harm(self, server: RedisServer, rule: str) -> None:
        with redis.Redis.from_url(self.url(server, rule)) as user:
            for command in ("FLUSHALL", "KEYS *", "CONFIG GET save", "SHUTDOWN", "GET other"):
                with pytest.raises(NoPermissionError):
                    user.execute_command(*command.split())

    @pytest.mark.parametrize("command", ["hincrby", "evalsha", "zadd", "bzpopmin", "publish"])
    async def test_the_doctor_says_what_is_missing(self, server: RedisServer, command: str) -> None:
        url = self.url(server, f"{RULES[-1]} -{command}")
        done = await run_ltq("doctor", "--broker-url", url)
        (line,) = [line for line in done.out.splitlines() if " rights:" in line]
        assert done.code == 1
        assert line.startswith("danger ")
        assert command in line.lower()

    async def test_the_smallest_has_no_right_that_is_not_tried_out(
        self, server: RedisServer
    ) -> None:
        allowed = set(re.findall(r"\+(\S+)", RULES[-1]))
        assert allowed - {"info", "set", "subscribe", "unsubscribe"} == {
            name.lower() for name in TRIALS
        }
        async with RedisBroker(self.url(server, RULES[-1])) as broker:
            link = broker._opening.new_link()
            assert await try_out(link) == Rights()
            await link.aclose()


class TestTls:
    @pytest.fixture
    def port(self) -> int:
        return free_port()

    @pytest.fixture(params=["no", "yes"], ids=["server", "both"])
    def client(self, request: pytest.FixtureRequest) -> bool:
        """Whether the server wants a client's certificate too."""
        return bool(request.param == "yes")

    @pytest.fixture
    def url(
        self, redis_tls_executable: str, certificates: Certificates, port: int, client: bool
    ) -> Iterator[str]:
        options = [*FLAGS, "--tls-port", str(port)]
        for name, value in certificates.settings.items():
            options += [f"--{name}", value]
        options += ["--tls-auth-clients", "yes" if client else "no"]
        folder = certificates.folder
        own = f"&ssl_certfile={folder}/client.crt&ssl_keyfile={folder}/client.key"
        ca = f"ssl_ca_certs={certificates.authority}"
        with RedisServer(redis_tls_executable, *options):
            yield f"rediss://localhost:{port}/0?{ca}{own if client else ''}"

    async def test_all_is_as_without(self, url: str) -> None:
        await use(url)

    async def test_the_command_line_takes_the_url(self, url: str) -> None:
        done = await run_ltq("stats", "--broker-url", url)
        assert (done.code, done.out) == (0, "no queues yet\n"), done.err

    async def test_a_certificate_of_somebody_else_is_refused(self, url: str) -> None:
        done = await run_ltq("stats", "--broker-url", url.replace("/ca.crt", "/other.crt"))
        assert (done.code, done.out) == (1, "")
        assert "certificate verify failed" in done.err
        assert len(done.err.splitlines()) == 1

    async def test_a_server_that_wants_a_certificate_is_told_of(
        self, url: str, client: bool
    ) -> None:
        async with RedisBroker(url.partition("&")[0]) as broker:
            if not client:
                await broker.ping()
                return
            with pytest.raises(BrokerError):
                await broker.ping()
