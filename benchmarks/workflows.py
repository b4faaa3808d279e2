"""Workflows on one store: `python -m benchmarks workflows [--broker memory|redis|sqlite|postgres]`.

map: a map of 10 000 elements and the task that takes their list, from the send to its result,
against 10 000 tasks of the same kind, from `send_many` until none runs any more; in turns, so that
both meet the same machine. cancel: trees of 1 000 nodes that wait, by one `handle.cancel()`: a
chain, a wide join, and a map of 1 000 elements. lag: from the return of a node's function to the
state of `watch_tree()` that says that it has completed, in a chain that runs beside.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from typing import Literal

import ltq
from benchmarks import own
from benchmarks.peers.contender import Tally
from benchmarks.stand import BULK, Figures
from benchmarks.stores import STORES, store_class

ELEMENTS, NODES, STEPS = 10_000, 1_000, 100

_STEP = 0.02
"""Seconds that a step of the chain runs whose tree is watched."""


class Bench:
    """Two workers on one store: elements may wait while the list is made."""

    def __init__(self, url: str) -> None:
        self.makers: ltq.Worker[None] = ltq.Worker("makers", broker_url=url)
        self.workers: ltq.Worker[None] = ltq.Worker("workers", broker_url=url, concurrency=100)
        self.returned: dict[str, float] = {}
        self.tally = Tally()

        @self.makers.task
        async def numbers(count: int) -> list[int]:
            return [*range(count)]

        @self.workers.task
        async def noop(number: int) -> int:
            self.tally.ran()
            return number

        @self.workers.task
        async def count(results: list[int]) -> int:
            return len(results)

        @self.workers.task
        async def step(number: int) -> int:
            await asyncio.sleep(_STEP)
            self.returned[ltq.current().id] = time.perf_counter()
            return number + 1

        self.numbers, self.noop, self.count, self.step = numbers, noop, count, step

    async def aclose(self) -> None:
        """Close the brokers."""
        await self.makers.aclose()
        await self.workers.aclose()


async def mapped(bench: Bench, scale: float, rounds: int) -> Figures:
    """The map against bare tasks."""
    many = max(10, round(ELEMENTS * scale))

    async def bare() -> None:
        bench.tally.expect(many)
        for first in range(0, many, BULK):
            numbers = range(first, min(first + BULK, many))
            await bench.noop.send_many([bench.noop.message(one) for one in numbers])
        await bench.tally.seconds()
        while await _counted(bench, "working"):  # noqa: ASYNC110  the store is asked
            await asyncio.sleep(0.001)

    async def whole() -> None:
        node = bench.numbers.step(many).map(bench.noop).then(bench.count)
        assert await (await node.send()).result(own.PATIENCE) == many

    times: dict[str, list[tuple[float, float]]] = {"bare": [], "map": []}
    async with bench.makers, bench.workers:
        for _ in range(rounds):
            times["bare"].append(await _timed(bare))
            times["map"].append(await _timed(whole))
    wall, processor = (
        statistics.median(
            mine[kind] / theirs[kind]
            for mine, theirs in zip(times["map"], times["bare"], strict=True)
        )
        for kind in (0, 1)
    )
    rate = many / statistics.median(seconds for seconds, _ in times["map"])
    return {"× bare": wall, "× processor time": processor, "elements/s": rate}


async def _timed(run: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    await run()
    return time.perf_counter() - wall, time.process_time() - processor


async def cancelled(bench: Bench, scale: float, rounds: int) -> Figures:
    """Cancelling what waits."""
    many = max(10, round(NODES * scale))
    chain: ltq.Node[int] = bench.step.step(0)
    for _ in range(many - 1):
        chain = chain.then(bench.step)
    trees: dict[str, ltq.Node[object]] = {
        "chain": chain,
        "join": ltq.join(*(bench.noop.step(one) for one in range(many - 1))),
        "map": bench.numbers.step(many).map(bench.noop).then(bench.count),
    }
    found: Figures = {}
    for name, node in trees.items():
        seconds = []
        for _ in range(rounds):
            handle = await node.send()
            if name == "map":
                await _expand(bench, handle, many)
            begin = time.perf_counter()
            assert await handle.cancel()
            seconds.append(time.perf_counter() - begin)
            tree = await handle.tree()
            assert all(one.status in _ENDED for one in tree.nodes)
        found[f"{name} ms"] = 1000 * statistics.median(seconds)
    return found


_ENDED = (ltq.Status.CANCELLED, ltq.Status.COMPLETED)


async def _expand(bench: Bench, handle: ltq.WorkflowHandle[object], many: int) -> None:
    """Let the list be made: its elements wait, as their worker does not run."""
    async with bench.makers:
        while await _counted(bench, "pending") < many:  # noqa: ASYNC110  the store is asked
            await asyncio.sleep(0.01)


async def _counted(bench: Bench, what: Literal["pending", "working"]) -> int:
    """How many elements wait, or run."""
    (stats,) = await bench.workers.broker.stats([bench.noop.queue])
    count: int = getattr(stats, what)
    return count


async def lagging(bench: Bench, scale: float, rounds: int) -> Figures:
    """What is seen of a chain that runs."""
    steps = max(5, round(STEPS * scale))
    chain: ltq.Node[int] = bench.step.step(0)
    for _ in range(steps - 1):
        chain = chain.then(bench.step)
    late = []
    async with bench.workers:
        for _ in range(rounds):
            handle, seen = await chain.send(), set[str]()
            async for tree in handle.watch_tree(own.PATIENCE):
                now = time.perf_counter()
                for node in tree.nodes:
                    if node.status is ltq.Status.COMPLETED and node.id not in seen:
                        seen.add(node.id)
                        late.append(1000 * (now - bench.returned[node.id]))
    late.sort()
    return {"median ms": statistics.median(late), "p99 ms": late[int(0.99 * len(late))]}


MEASURES: dict[str, Callable[[Bench, float, int], Awaitable[Figures]]] = {
    "map": mapped,
    "cancel": cancelled,
    "lag": lagging,
}


def main(arguments: Sequence[str]) -> int:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks workflows", description=__doc__)
    parser.add_argument("measures", nargs="*", metavar="MEASURE")
    parser.add_argument("--broker", choices=("memory", *STORES), default="redis")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="less than 1 for a try")
    parsed = parser.parse_args(arguments)
    if unknown := set(parsed.measures) - MEASURES.keys():
        parser.error(f"unknown measure {min(unknown)!r}: one of {', '.join(MEASURES)}")
    for name in parsed.measures or MEASURES:
        store = parsed.broker
        empty = (
            nullcontext("memory://workflows") if store == "memory" else store_class(store)().empty()
        )
        with empty as address:
            url = f"{address}?migrate=auto" if store == "postgres" else address
            figures = own.limited(_measure(name, url, parsed.scale, parsed.rounds), parsed.scale)
        print(f"{name:8} {own.shown(figures)}", flush=True)
    return 0


async def _measure(name: str, url: str, scale: float, rounds: int) -> Figures:
    bench = Bench(url)
    try:
        return await MEASURES[name](bench, scale, rounds)
    finally:
        await bench.aclose()
