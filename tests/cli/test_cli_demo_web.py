"""`ltq demo --web`: a shop that is open until a key or a signal, and leaves nothing behind."""

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from ltq.brokers.memory import MemoryBroker
from ltq.cli.demo import _customers, shop
from ltq.state import Status
from tests.cli.calls import call_ltq
from tests.cli.processes import Running, ltq_on_terminal, run_ltq, start_ltq
from tests.eventually import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The folder for temporary files."""
    (folder := tmp_path / "tmp").mkdir()
    return folder


@asynccontextmanager
async def open_shop(temporary: Path) -> AsyncIterator[tuple[Running, list[str]]]:
    """The command, and what it says at first."""
    async with start_ltq("demo", "--web", env={"TMPDIR": str(temporary)}) as running:
        lines: list[str] = []
        while not lines or "closes it" not in lines[-1]:
            lines.append(await running.out_line())
            assert lines[-1], "ended early"
        yield running, lines


def entries(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def url_in(lines: list[str]) -> str:
    (url,) = re.findall(r"^  (http://127\.0\.0\.1:\d+/)$", "".join(lines), re.MULTILINE)
    return str(url)


async def page_has(url: str, *texts: str) -> bool:
    async with httpx.AsyncClient(trust_env=False, follow_redirects=True, timeout=20) as client:
        page = (await client.get(url)).text
    return all(text in page for text in texts)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
async def test_it_is_open_until_a_signal_and_leaves_nothing(
    temporary: Path, number: signal.Signals
) -> None:
    async with open_shop(temporary) as (running, lines):
        url = url_in(lines)
        assert lines[-1] == "Ctrl-C closes it. What happens:\n"
        queues = [f"q-shop:{name}" for name in ("charge", "pack", "mail", "photo")]
        await eventually(partial(page_has, url, *queues), 20, "something of everything")
        await eventually(partial(page_has, f"{url}shop/dead", "expired"), 20, "a dead letter")
        await eventually(partial(page_has, f"{url}shop/dead", "killed its worker"), 20, "poison")
        assert await page_has(f"{url}shop/schedules", "stocktaking", "Run now")
        stock = f"{url}shop/queues/shop:count_stock?status=completed"
        await eventually(partial(page_has, stock, "stocktaking:"), 30, "the schedule runs")
        commands = [line.split() for line in lines if line.startswith("  ltq ")]
        assert len(commands) == 2
        for command in commands:
            assert (await run_ltq(*command[1:])).code == 0
        running.process.send_signal(number)
        done = await running.end()
    assert (done.code, done.err) == (0, "")
    assert "it kills the worker process that opens it" in done.out
    assert entries(temporary) == []


async def test_a_key_closes_it(temporary: Path) -> None:
    env = {"TMPDIR": str(temporary)}
    async with ltq_on_terminal("demo", "--web", env=env) as terminal:
        await terminal.until("Any key closes it")
        terminal.type("x")
        assert await terminal.end() == 0
    assert entries(temporary) == []


async def test_two_shops_have_two_ports(temporary: Path) -> None:
    async with open_shop(temporary) as (one, lines), open_shop(temporary) as (two, others):
        assert url_in(lines) != url_in(others)
        for running in (one, two):
            running.process.send_signal(signal.SIGTERM)
            assert (await running.end()).code == 0


@pytest.mark.parametrize("arguments", [("/",), ("--for", "10s")])
async def test_what_it_does_not_take_is_wrong_use(arguments: tuple[str, ...]) -> None:
    done = await call_ltq("demo", "--web", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err == "ltq: --web opens a shop: it takes no DIRECTORY and no --for\n"


def test_without_the_extra_it_says_what_to_install() -> None:
    script = "import sys; sys.modules['starlette'] = None\nfrom ltq.cli import main; main({})"
    command = [sys.executable, "-c", script.format(["demo", "--web"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ltq: ltq web needs starlette: pip install 'ltq[web]'\n"


class TestPeople:
    @pytest.fixture(autouse=True)
    def broker(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryBroker]:
        broker = MemoryBroker("memory://demo-shop")
        before, shop.worker.broker = shop.worker.broker, broker
        monkeypatch.setattr(_customers, "_STAFF_WAITS", 0.01)
        monkeypatch.setattr(_customers, "_RUSH", 0.01)
        monkeypatch.setattr(_customers, "_THINKING", 1.0)
        monkeypatch.setattr(shop, "bank_is_away", lambda: False)
        yield broker
        broker.forget()
        shop.worker.broker = before

    async def test_customers_do_something_of_everything(self, broker: MemoryBroker) -> None:
        told: list[str] = []
        buying = asyncio.create_task(_customers.customers(told.append, with_poison=False))
        async with shop.worker:
            await eventually(lambda: any("changed their mind" in one for one in told), 30)
            buying.cancel()
        stats = {one.queue: one for one in await broker.stats(await broker.queues())}
        assert {"shop:charge", "shop:pack", "shop:mail", "shop:photo"} <= {*stats}
        assert stats["shop:mail"].delayed >= 1

    async def test_staff_retry_what_failed_while_the_bank_was_away(
        self, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        is_away = [True]
        monkeypatch.setattr(shop, "bank_is_away", lambda: is_away[0])
        monkeypatch.setattr(_customers, "seconds_to_outage", lambda: 0.0)
        monkeypatch.setattr(_customers, "seconds_to_end_of_outage", lambda: 0.01)
        charge = shop.charge.with_options(max_tries=1)
        async with shop.worker:
            failed = await charge.send(1, 9.5)
            expired = await charge.send(2, 9.5, card=shop.EXPIRED)
            assert (await failed.wait(timeout=10)).status is Status.FAILED
            assert (await expired.wait(timeout=10)).status is Status.REJECTED
            is_away[0] = False
            told: list[str] = []
            working = asyncio.create_task(_customers.staff(broker, told.append))
            await eventually(lambda: "the staff have retried 1 dead payments" in told, 10)
            assert (await failed.result(timeout=10)).amount == 9.5
            working.cancel()
        (left,) = await broker.dead_letters("shop:charge")
        assert left.id == expired.id


def test_the_bank_is_away_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    for now, is_away, to_outage, to_end in ((600, False, 48, 60), (650, True, 0, 10)):
        monkeypatch.setattr("time.time", lambda now=now: now)
        assert shop.bank_is_away() is is_away
        assert (shop.seconds_to_outage(), shop.seconds_to_end_of_outage()) == (to_outage, to_end)
