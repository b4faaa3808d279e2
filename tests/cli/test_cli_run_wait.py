"""`ltq run --wait-for-broker`: workers that are started before their broker."""

import asyncio
import logging
import signal

import pytest

import ltq
from devtools.servers import RedisServer
from ltq.brokers.memory import MemoryBroker
from ltq.brokers.redis import RedisBroker
from ltq.cli._errors import CommandError
from ltq.cli.run import _wait
from ltq.cli.run._wait import stopped_while_waiting, wait_for_brokers
from ltq.errors import BrokerError
from tests.cli.processes import run_ltq, start_ltq

WORKER = "tests.cli.jobs:worker"


class Late(MemoryBroker):
    """A broker that is away for its first `fails` pings."""

    def __init__(self, fails: float, error: BrokerError | None = None) -> None:
        super().__init__("memory://late")
        self.fails = fails
        self.pings = 0
        self.error = error or BrokerError("nobody is there")

    def clone(self) -> "Late":
        return self

    async def ping(self) -> None:
        self.pings += 1
        if self.pings <= self.fails:
            raise self.error


def worker_on(broker: MemoryBroker) -> ltq.Worker:
    return ltq.Worker("late", broker=broker)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell at once, and try again at once."""
    monkeypatch.setattr(_wait, "_QUIET", 0.0)
    monkeypatch.setattr(_wait, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(_wait, "_LONGEST_PAUSE", 0.001)


@pytest.mark.usefixtures("quick")
class TestWait:
    async def test_it_lasts_until_the_broker_answers_and_is_told_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "ltq")
        broker = Late(5)
        await wait_for_brokers([worker_on(broker)], 30)
        assert broker.pings == 6
        assert caplog.messages == [
            "waiting up to 30 s for the broker at memory://late",
            "the broker at memory://late answers",
        ]

    async def test_it_ends_with_the_reason(self) -> None:
        with pytest.raises(CommandError, match=r"^no broker within 0.02 s: nobody is there$"):
            await wait_for_brokers([worker_on(Late(float("inf")))], 0.02)

    async def test_a_broker_that_falls_silent_holds_it_no_longer_than_was_said(self) -> None:
        class Silent(Late):
            async def ping(self) -> None:
                await super().ping()
                await asyncio.Event().wait()

        with pytest.raises(CommandError, match=r"^no broker within 0.02 s: nobody is there$"):
            await wait_for_brokers([worker_on(Silent(1))], 0.02)

    async def test_what_waiting_does_not_mend_ends_it_at_once(self) -> None:
        class WrongPasswordError(BrokerError):
            is_away = False

        broker = Late(1, WrongPasswordError("wrong password"))
        with pytest.raises(WrongPasswordError):
            await wait_for_brokers([worker_on(broker)], 30)
        assert broker.pings == 1

    async def test_without_patience_nothing_is_asked(self) -> None:
        broker = Late(1)
        await wait_for_brokers([worker_on(broker)], 0)
        assert broker.pings == 0

    async def test_workers_of_one_broker_ask_once(self) -> None:
        broker = Late(0)
        await wait_for_brokers([worker_on(broker), worker_on(broker)], 30)
        assert broker.pings == 1

    async def test_a_signal_ends_it(self) -> None:
        broker = Late(float("inf"))
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGTERM)
        assert await stopped_while_waiting([worker_on(broker)], 30)
        assert not await stopped_while_waiting([worker_on(Late(0))], 30)


async def test_a_broker_of_this_process_needs_no_wait(caplog: pytest.LogCaptureFixture) -> None:
    await wait_for_brokers([worker_on(MemoryBroker("memory://here"))], 30)
    assert caplog.messages == []


class TestErrorsOfRedis:
    async def test_nobody_there_is_away(self, redis_executable: str) -> None:
        async with RedisBroker(RedisServer(redis_executable).url) as broker:
            with pytest.raises(BrokerError) as told:
                await broker._here().links.any.call("PING", patience=0.05)
        assert told.value.is_away

    async def test_a_server_that_refuses_is_not(self, redis_executable: str) -> None:
        with RedisServer(redis_executable, "--requirepass", "swordfish") as server:
            wrong = server.url.replace("://", "://:herring@")
            for url in (server.url, wrong):
                async with RedisBroker(url) as broker:
                    with pytest.raises(BrokerError) as told:
                        await broker.ping()
                assert not told.value.is_away


APP = """
import ltq
from tests.cli.jobs import worker
app = ltq.App()
app.register_worker(worker)
"""


@pytest.mark.slow
class TestRun:
    @pytest.mark.parametrize(
        "command",
        [
            (WORKER,),
            (WORKER, "--processes", "2"),
            ("--app", "late_app:app"),
            (WORKER, "--health-port", "0", "--metrics-port", "0"),
        ],
        ids=["worker", "processes", "app", "servers"],
    )
    async def test_it_waits_says_so_once_and_runs(
        self, redis_executable: str, tmp_path_factory: pytest.TempPathFactory, command: list[str]
    ) -> None:
        server, folder = RedisServer(redis_executable), tmp_path_factory.mktemp("app")
        (folder / "late_app.py").write_text(APP)
        options = ("--burst", "--broker-url", server.url)
        async with start_ltq("run", *command, *options, cwd=folder) as running:
            line = await running.err_line("waiting")
            assert f"waiting up to 30 s for the broker at {server.url}" in line
            with server:
                done = await running.end()
        assert done.code == 0
        assert "waiting up to" not in done.err
        assert "ltq: " not in done.err
        assert done.err.count("answers") == 1

    @pytest.mark.parametrize("options", [(), ("--processes", "2")], ids=["one", "several"])
    async def test_then_it_fails_with_one_line(
        self, redis_executable: str, options: tuple[str, ...]
    ) -> None:
        url = RedisServer(redis_executable).url.replace("://", "://me:swordfish@")
        command = ("run", WORKER, "--wait-for-broker", "1", "--broker-url", url, *options)
        done = await run_ltq(*command, "--log-level", "error")
        assert (done.code, done.out) == (1, "")
        (line,) = done.err.splitlines()
        assert line.startswith("ltq: no broker within 1 s: Redis at 127.0.0.1:")
        assert "swordfish" not in line

    @pytest.mark.parametrize("options", [(), ("--processes", "2")], ids=["one", "several"])
    async def test_a_wrong_password_ends_it_at_once(
        self, redis_executable: str, options: tuple[str, ...]
    ) -> None:
        with RedisServer(redis_executable, "--requirepass", "swordfish") as server:
            done = await run_ltq("run", WORKER, "--broker-url", server.url, *options)
        assert done.code == 1
        assert "refused the user or password" in done.err.splitlines()[-1]
        assert "waiting" not in done.err

    @pytest.mark.parametrize("options", [(), ("--processes", "2")], ids=["one", "several"])
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_a_signal_meanwhile_stops_it(
        self, redis_executable: str, number: signal.Signals, options: tuple[str, ...]
    ) -> None:
        url = RedisServer(redis_executable).url
        async with start_ltq("run", WORKER, "--broker-url", url, *options) as running:
            await running.err_line("waiting up to")
            running.process.send_signal(number)
            done = await running.end()
        assert done.code == 0
        assert "ltq: " not in done.err
