"""A network between: `python -m benchmarks network`.

LTQ's rates and its times from `send` to the result, directly, and through a network on which every
byte takes so long in each direction (1 ms by default). One that takes no time is measured too: what
is between costs something by itself. A worker runs so many tasks at once (100 by default).
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from benchmarks import own
from benchmarks.comparison import medians
from benchmarks.peers.contender import CONCURRENCY
from benchmarks.stand import BULK, BenchWorker, Figures
from benchmarks.stores import store_class
from benchmarks.tables import number
from devtools.slow_network import SlowNetwork

STORES = ("redis", "postgres")

TASKS, SENDS, RESULTS = 40_000, 200, 200

ROUNDS = 3


def main(arguments: Sequence[str]) -> int:
    """Read the command line, measure, tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks network", description=__doc__)
    parser.add_argument("--broker", choices=STORES, default="redis")
    parser.add_argument("--ms", type=float, default=1.0, help="in each direction (default 1)")
    parser.add_argument(
        "--concurrency",
        type=int,
        nargs="+",
        default=[CONCURRENCY],
        help=f"tasks that the worker runs at once, one number or several (default {CONCURRENCY})",
    )
    parser.add_argument("--runs", type=int, default=ROUNDS, help=f"rounds (default {ROUNDS})")
    parser.add_argument("--scale", type=float, default=1.0, help="less than 1 for a try")
    parsed = parser.parse_args(arguments)
    try:
        store = store_class(parsed.broker)()
    except LookupError as error:
        parser.error(str(error))
    ways: dict[str, float | None] = {"directly": None, "0 ms": 0.0, f"{parsed.ms:g} ms": parsed.ms}
    for concurrency in parsed.concurrency:
        found: dict[str, list[Figures]] = {way: [] for way in ways}
        for _ in range(parsed.runs):
            for way, ms in ways.items():
                with store.empty() as url, _between(url, ms) as through:
                    found[way].append(own.run(measure(through, concurrency, parsed.scale)))
        Console().print(_table(found, parsed.ms, concurrency))
    return 0


@contextmanager
def _between(url: str, ms: float | None) -> Iterator[str]:
    """The URL of a store with a network before it."""
    if ms is None:
        yield url
        return
    before, _, rest = url.rpartition(":")
    port, _, path = rest.partition("/")
    with SlowNetwork(int(port), ms / 1e3) as network:
        yield f"{before}:{network.port}/{path}"


async def measure(url: str, concurrency: int, scale: float) -> Figures:
    """One round on an empty store."""
    tasks = max(BULK, round(TASKS * scale))
    bench = BenchWorker(url)
    bench.worker.concurrency = concurrency
    await bench.worker.broker.migrate()
    start = time.perf_counter()
    await bench.fill(tasks)
    bulk = tasks / (time.perf_counter() - start)
    start = time.perf_counter()
    drain = await bench.drain(tasks)
    written = tasks / (time.perf_counter() - start)
    sends, results = [], []
    for _ in range(max(5, round(SENDS * scale))):
        start = time.perf_counter()
        await bench.noop.send(1)
        sends.append(time.perf_counter() - start)
    await bench.worker.run(burst=True)
    async with bench.worker:
        for _ in range(max(5, round(RESULTS * scale))):
            start = time.perf_counter()
            await (await bench.noop.send(1)).result(timeout=30)
            results.append(time.perf_counter() - start)
    await bench.worker.aclose()
    return {
        "drained/s": drain,
        "written/s": written,
        "sent/s in bulk": bulk,
        "one send, ms": 1e3 * statistics.median(sends),
        "send to result, ms": 1e3 * statistics.median(results),
    }


def _table(found: dict[str, list[Figures]], ms: float, concurrency: int) -> Table:
    """A line for each way, and how many times a byte goes one way in the last one's times.

    Tasks are drained when they have run, and written with their outcomes, between the start of the
    worker and its end. The last line compares with the network that takes no time.
    """
    told = {way: medians(rounds) for way, rounds in found.items()}
    table = Table("", title=f"LTQ and a network between, {concurrency} tasks at once")
    for name in next(iter(told.values())):
        table.add_column(name, justify="right")
    for way, figures in told.items():
        table.add_row(way, *map(number, figures.values()))
    free, slow = [*told.values()][-2:]
    compared = [
        f"{(slow[name] - free[name]) / ms:.1f} ways"
        if name.endswith("ms") and ms
        else f"× {slow[name] / free[name]:.2f}"
        for name in slow
    ]
    table.add_section()
    table.add_row("what it costs", *compared)
    return table
