"""`ltq demo --web`: the shop is open, and the dashboard shows it, until a key or Ctrl-C."""

import asyncio
import sys
import time
from contextlib import suppress

from rich.console import Console

from ltq._aio.service import cancel_all, spawn
from ltq._aio.signals import stop_on_signals
from ltq._aio.threads import call_in
from ltq.broker import Broker
from ltq.cli._console import print_line
from ltq.cli._errors import CommandError, StoppedError
from ltq.cli._live.keys import keyboard
from ltq.cli.demo import shop
from ltq.cli.demo._customers import customers, staff
from ltq.cli.demo._folder import DemoFolder
from ltq.cli.run._address import ServerAddress
from ltq.cli.run._supervisor import Supervisor
from ltq.cli.web._server import DashboardServer
from ltq.web._source.site import Named
from ltq.worker import Worker

_FIRST_PORT, _PORTS = 8787, 20

_OPEN = """\
A little shop is open: {processes}, customers who order, a bank that fails at times.

  {url}

Try, in the browser:
  1. open a task of shop:pack that runs: its progress moves; cancel it
  2. open shop:mail, pause it, see what waits, resume it
  3. look at the dead letters: why each payment failed; retry those of the bank once it is back
  4. on one with an expired card: Edit and send, with another card
  5. Schedules: run stocktaking now
In a second terminal:
  ltq top --broker-url {broker}
  ltq tasks shop:pack --broker-url {broker}

{ending} closes it. What happens:"""


def run_shop(
    console: Console,
    broker: Broker,
    own: DemoFolder,
    workers: Supervisor | Worker,
    processes: int,
) -> None:
    """Open the shop and its dashboard, until a key or a signal. Raises `CommandError`."""
    shop.worker.broker = broker
    demo = _Shop(console, broker, workers, processes)
    with suppress(StoppedError):
        asyncio.run(demo.run(own))


class _Shop:
    def __init__(
        self, console: Console, broker: Broker, workers: Supervisor | Worker, processes: int
    ) -> None:
        self._console = console
        self._broker = broker
        self._workers = workers
        self._processes = processes if isinstance(workers, Supervisor) else 1
        self._server = DashboardServer(
            [Named(shop.worker, "shop")],
            ServerAddress("web", "127.0.0.1", _FIRST_PORT, _PORTS),
        )

    async def run(self, own: DemoFolder) -> None:
        """Run all that belongs to it until something ends; then end the rest."""
        loop = asyncio.get_running_loop()
        ends = asyncio.Event()
        with (
            stop_on_signals(lambda _: call_in(loop, ends.set), lasts=True),
            keyboard(lambda _: ends.set()),
        ):
            own.check()
            await self._run(ends)

    async def _run(self, ends: asyncio.Event) -> None:
        with_poison = isinstance(self._workers, Supervisor)
        working = spawn(self._workers.run(), name="ltq-demo-workers")
        serving = spawn(self._server.run(self._welcome), name="ltq-demo-dashboard")
        others = [
            spawn(customers(self._tell, with_poison=with_poison), name="ltq-demo-customers"),
            spawn(staff(self._broker, self._tell), name="ltq-demo-staff"),
            spawn(ends.wait(), name="ltq-demo-end"),
        ]
        try:
            await asyncio.wait({working, serving, *others}, return_when=asyncio.FIRST_COMPLETED)
            is_asked = ends.is_set()
        finally:
            failed = [one for one in others if one.done() and not one.cancelled()]
            await cancel_all(one for one in others if not one.done())
            self._workers.stop()
            exit_code = await working
            self._server.stop()
            await serving
        if is_asked:
            return
        for one in failed:
            one.result()
        if exit_code:
            raise CommandError("the worker processes have ended")

    def _welcome(self, url: str) -> None:
        is_terminal = self._console.is_interactive and sys.stdin.isatty()
        one = self._processes == 1
        text = _OPEN.format(
            url=url,
            broker=self._broker.url,
            processes="a worker" if one else f"{self._processes} worker processes",
            ending="Any key" if is_terminal else "Ctrl-C",
        )
        for line in text.split("\n"):
            print_line(self._console, line)

    def _tell(self, text: str) -> None:
        print_line(self._console, f"{time.strftime('%H:%M:%S')} {text}")
