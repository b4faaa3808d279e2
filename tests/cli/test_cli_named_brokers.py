"""Brokers with names, as programs in a folder with an `ltq.toml` have them: several processes."""

import asyncio
import json
import signal
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from ltq.broker import Broker
from tests.cli.calls import call_ltq
from tests.cli.processes import Running, run_ltq, start_ltq
from tests.cli.test_cli_run_metrics import depth, port_of, scrape
from tests.eventually import eventually

SHOP = """
import ltq

orders = ltq.Worker("orders")
mail = ltq.Worker("mail", broker_url="@notifications")
app = ltq.App()
app.register_worker(orders)
app.register_worker(mail)
scheduler = ltq.Scheduler()

@mail.task(queue="shop:all")
async def write(to: str) -> str:
    return f"Dear {to}"

@orders.task(queue="shop:all")
async def order(to: str) -> str:
    return await (await write.send(to)).result(timeout=20)

@orders.task
async def tick() -> None: ...

@mail.cron("@yearly")
@mail.task
async def greet() -> None: ...
"""


@pytest.fixture
def server(redis_url: str) -> str:
    """The URL of the server without a database."""
    return redis_url.removesuffix("/0")


@pytest.fixture
def shop(tmp_path: Path, server: str) -> Path:
    """A folder with a program whose workers have two brokers."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "ltq.toml").write_text(
        f"[brokers.main]\nurl = '{server}/1'\nprimary = true\n"
        f"[brokers.notifications]\nurl = '{server}/2'\n"
    )
    return tmp_path


async def queues(url: str) -> dict[str, int]:
    """The waiting tasks of a broker, by queue."""
    async with Broker.from_url(url) as broker:
        stats = await broker.stats(await broker.queues())
    return {one.queue: one.pending for one in stats if one.pending}


class TestCommands:
    async def test_a_command_without_a_url_uses_the_primary_one(
        self, shop: Path, server: str
    ) -> None:
        assert (await call_ltq("send", "shop:orders.tick", cwd=shop)).code == 0
        assert (await call_ltq("send", "shop:mail.greet", cwd=shop)).code == 0
        assert await queues(f"{server}/1") == {"orders:tick": 1}
        assert await queues(f"{server}/2") == {"mail:greet": 1}
        assert "orders:tick" in (await call_ltq("stats", cwd=shop)).out
        named = await call_ltq("stats", "--broker-url", "@notifications", cwd=shop)
        assert "mail:greet" in named.out
        assert "orders:tick" not in named.out

    @pytest.mark.slow
    async def test_without_a_primary_one_it_is_told(self, shop: Path, server: str) -> None:
        (shop / "ltq.toml").write_text(
            f"[brokers.a]\nurl = '{server}/1'\n[brokers.b]\nurl = '{server}/2'\n"
        )
        done = await call_ltq("stats", cwd=shop)
        told = "ltq: warning: none of @a, @b is primary, so this is about redis://localhost:6379"
        assert done.err.splitlines()[0] == told
        for quiet in ({"LTQ_BROKER_URL": "@a"}, {"LTQ_BROKER_URL_PRIMARY": f"{server}/3"}):
            done = await call_ltq("stats", cwd=shop, env=quiet)
            assert (done.code, done.err) == (0, "")
        assert (await call_ltq("stats", "--broker-url", "@b", cwd=shop)).err == ""

    async def test_a_name_overrides_that_of_the_code(self, shop: Path, server: str) -> None:
        sent = await call_ltq(
            "send", "shop:orders.tick", "--broker-url", "@notifications", cwd=shop
        )
        assert sent.code == 0
        assert await queues(f"{server}/1") == {}
        assert await queues(f"{server}/2") == {"orders:tick": 1}

    async def test_the_environment_comes_before_the_file(self, shop: Path, server: str) -> None:
        env = {"LTQ_BROKER_URL_NOTIFICATIONS": f"{server}/3"}
        assert (await call_ltq("send", "shop:mail.greet", cwd=shop, env=env)).code == 0
        env = {"LTQ_BROKER_URL": "@notifications"}
        assert (await call_ltq("send", "shop:orders.tick", cwd=shop, env=env)).code == 0
        assert await queues(f"{server}/1") == {}
        assert await queues(f"{server}/2") == {"orders:tick": 1}
        assert await queues(f"{server}/3") == {"mail:greet": 1}

    @pytest.mark.parametrize(
        "command",
        [("stats",), ("send", "shop:orders.tick"), ("run", "shop:orders"), ("schedule", "list")],
    )
    async def test_an_unknown_name_is_one_line(self, command: tuple[str, ...], shop: Path) -> None:
        done = await call_ltq(*command, "--broker-url", "@notification", cwd=shop)
        assert (done.code, done.out) == (2, "")
        assert done.err.endswith(
            "there is no broker @notification: did you mean @notifications? "
            f"there are @main, @notifications ({shop}/ltq.toml)\n"
        )

    async def test_what_is_no_name_is_told_before_the_module_is_imported(self, shop: Path) -> None:
        (shop / "shop.py").write_text("raise OSError")
        done = await call_ltq("run", "shop:orders", "--broker-url", "@No", cwd=shop)
        assert done.code == 2
        assert "'@No' is not allowed: @ and the name of a broker" in done.err

    async def test_names_of_the_code_are_known_to_what_imports_it(
        self, shop: Path, server: str
    ) -> None:
        declare = f"ltq.configure_brokers({{'code': '{server}/4'}}, primary='code')\n"
        (shop / "coded.py").write_text(f"{SHOP}\n{declare}")
        script = ("send", "coded:orders.tick")
        for arguments in (script, (*script, "--broker-url", "@code")):
            done = await run_ltq(*arguments, cwd=shop)
            assert (done.code, done.err) == (0, "")
        assert await queues(f"{server}/4") == {"orders:tick": 2}


@pytest.mark.slow
class TestSeveralInOneProcess:
    async def test_an_app_runs_workers_on_different_brokers(self, shop: Path, server: str) -> None:
        arguments = ("run", "--app", "shop:app", "--metrics-port", "0", "--health-port", "0")
        async with start_ltq(*arguments, "--with-scheduler", cwd=shop) as running:
            metrics = await port_of(running)
            health = (await running.err_line("health at")).split()[-1]
            wait = ("send", "shop:orders.order", "--args", '["Ada"]', "--wait")
            done = await run_ltq(*wait, cwd=shop)
            assert (done.code, done.out.strip().splitlines()[-1]) == (0, '"Dear Ada"')
            assert await states(health) == {"orders": "ok", "mail": "ok"}
            later = ("--delay", "600", "--args", '["Ada"]')
            for task in ("order", "write", "write"):
                worker = "orders" if task == "order" else "mail"
                assert (await run_ltq("send", f"shop:{worker}.{task}", *later, cwd=shop)).code == 0

            async def is_the_sum_of_both() -> bool:
                samples = await scrape(metrics)
                return depth(samples, "shop:all") == [0, 3, 0, 0]

            await eventually(is_the_sum_of_both, timeout=20)
            samples = await scrape(metrics)
            assert samples["ltq_runs_total", "completed", "orders:order"] == 1
            assert samples["ltq_runs_total", "completed", "mail:write"] == 1
            shown = await run_ltq("schedule", "list", "--broker-url", "@notifications", cwd=shop)
            assert shown.code == 0
            await stop(running)

    async def test_several_processes_of_it(self, shop: Path) -> None:
        arguments = ("run", "--app", "shop:app", "--processes", "2")
        async with start_ltq(*arguments, cwd=shop) as running:
            for name in ("Ada", "Joe"):
                wait = ("send", "shop:orders.order", "--args", json.dumps([name]), "--wait")
                done = await run_ltq(*wait, cwd=shop)
                assert done.out.strip().splitlines()[-1] == f'"Dear {name}"'
            await stop(running)

    async def test_one_of_redis_and_one_in_memory(self, shop: Path) -> None:
        env = {"LTQ_BROKER_URL_NOTIFICATIONS": "memory://shop"}
        async with start_ltq("run", "--app", "shop:app", cwd=shop, env=env) as running:
            wait = ("send", "shop:orders.order", "--args", '["Ada"]', "--wait")
            done = await run_ltq(*wait, cwd=shop)
            assert done.out.strip().splitlines()[-1] == '"Dear Ada"'
            await stop(running)

    async def test_one_that_is_away_is_waited_for_by_its_name(
        self, shop: Path, unused_tcp_port: int
    ) -> None:
        env = {"LTQ_BROKER_URL_NOTIFICATIONS": f"redis://:secret@127.0.0.1:{unused_tcp_port}"}
        arguments = ("run", "--app", "shop:app", "--wait-for-broker", "0.2s")
        done = await run_ltq(*arguments, cwd=shop, env=env)
        assert done.code == 1
        assert f"127.0.0.1:{unused_tcp_port}" in done.err
        assert "secret" not in done.err

    async def test_a_scheduler_sends_to_each_broker(self, shop: Path, server: str) -> None:
        (shop / "plans.py").write_text(
            "import ltq, shop\nplan = ltq.Scheduler()\n"
            "plan.cron('* * * * * *', shop.tick.message())\n"
            "plan.cron('* * * * * *', shop.greet.message())\n"
        )
        async with start_ltq("schedule", "plans:plan", cwd=shop) as running:

            async def are_both_sent() -> bool:
                first, second = await queues(f"{server}/1"), await queues(f"{server}/2")
                return "orders:tick" in first and "mail:greet" in second

            await eventually(are_both_sent, timeout=20)
            await stop(running)
        assert set(await queues(f"{server}/1")) == {"orders:tick"}
        assert set(await queues(f"{server}/2")) == {"mail:greet"}


async def stop(running: Running) -> None:
    """Let it end as a service manager does."""
    running.process.send_signal(signal.SIGTERM)
    done = await running.end()
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert "Warning" not in done.err


async def states(url: str) -> dict[str, str]:
    """What a health server says of each worker."""

    def ask() -> dict[str, str]:
        with build_opener(ProxyHandler({})).open(url, timeout=5) as response:
            workers = json.load(response)["workers"]
        return {one["worker"]: one["status"] for one in workers}

    return await asyncio.to_thread(ask)
