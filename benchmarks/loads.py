"""Whether LTQ stays as quick: against its own floor, and with much of everything."""

import asyncio
import json
import statistics
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial

from benchmarks.contenders import ROOT
from benchmarks.peers.contender import CONCURRENCY
from benchmarks.stand import BULK, BenchWorker, Figures, RedisStand, Stand
from benchmarks.turns import claims, in_turns
from ltq.broker import Broker, Consumer
from ltq.message import Delivery, Finish
from ltq.state import Status


async def floor(stand: Stand) -> Figures:
    """A worker against the same two scripts in a bare loop: no tasks, no decoding, no middleware.

    As many are claimed as a worker has room for, while those before are written.
    """
    count = stand.count(20_000, least=100)
    bench = BenchWorker(stand.url)
    workers, loops = [], []
    for _ in range(3):
        await bench.fill(count)
        workers.append(await bench.drain(count))
        await bench.fill(count)
        broker = Broker.from_url(stand.url)
        async with broker, broker.consumer([bench.noop.queue]) as consumer:
            loops.append(count / await _bare_loop(broker, consumer, count))
    await bench.worker.aclose()
    drained, bare = statistics.median(workers), statistics.median(loops)
    return {"tasks/s": drained, "bare/s": bare, "ratio": drained / bare}


async def _bare_loop(broker: Broker, consumer: Consumer, count: int) -> float:
    """Seconds."""
    start = time.perf_counter()
    done: Sequence[Delivery] = ()
    while True:
        outcomes = [Finish(one.lease, Status.COMPLETED, result=b"1") for one in done]
        claim, _ = await asyncio.gather(consumer.claim(CONCURRENCY), broker.finish(outcomes))
        done = claim.deliveries
        count -= len(done)
        if not done:
            assert count == 0, f"{count} tasks are missing"
            return time.perf_counter() - start


async def many_waiting(stand: RedisStand) -> Figures:
    """Three times 20 000 tasks off the front of a queue of a million, against one of 70 000.

    Not of a million and more: at 2**20 keys Redis begins to move its table of keys to a larger one,
    some at each lookup, and takes a fifth more time until that is done.
    """
    # A worker may run somewhat more than was waited for: some tasks must be left after that.
    count = stand.count(20_000)
    few = 3 * count + stand.count(10_000, least=1000)
    many = max(stand.count(1_000_000), few + 1000)
    bench = BenchWorker(stand.url)
    rates: dict[int, list[float]] = {few: [], many: []}
    for waiting in (few, many, few):  # so that a machine that changes meanwhile counts less
        await stand.client.flushall()
        await bench.fill(waiting)
        rates[waiting] += [await bench.drain(count) for _ in range(3)]
    await bench.worker.aclose()
    small, large = statistics.median(rates[few]), statistics.median(rates[many])
    return {"few/s": small, "many/s": large, "ratio": large / small}


async def few_and_many(stand: Stand, few: str, many: str) -> Figures:
    """Calls with a million waiting tasks against ones with 10 000, in two empty stores.

    A claim is one of 50, with the call that ends them. The stores take turns, so that a machine
    that changes meanwhile counts for both.
    """
    counts = stand.count(10_000, least=2_000), stand.count(1_000_000, least=4_000)
    benches = [BenchWorker(url) for url in (few, many)]
    for bench, count in zip(benches, counts, strict=True):
        await bench.fill(count)
    places = [(one.worker.broker, [one.noop.queue]) for one in benches]
    claimed = await claims(places, stand.count(40))
    sends = await in_turns([partial(one.noop.send, 0) for one in benches], stand.count(500))
    bulks = await in_turns([partial(one.send, range(BULK)) for one in benches], stand.count(40))
    for bench in benches:
        await bench.worker.aclose()
    of_few, of_many = (
        {
            "claim": statistics.median(claimed[number]),
            "send": statistics.median(sends[number]),
            "bulk": statistics.mean(bulks[number]),  # some of them tidy up the store
        }
        for number in range(2)
    )
    return {f"{name} ×": of_many[name] / of_few[name] for name in of_few} | {
        f"{name} ms": 1e3 * cost for name, cost in of_many.items()
    }


async def many_tasks(stand: Stand) -> Figures:
    """A worker with 500 tasks, each with its queue, against one with one.

    Once with work for one of them only, once with work for all.
    """
    count = stand.count(20_000)
    single = BenchWorker(stand.url, "single")
    several = BenchWorker(stand.url, "several", tasks=500)
    alone, of_500, all_500 = [], [], []
    for _ in range(3):
        await single.fill(count)
        alone.append(await single.drain(count))
        await several.fill(count)
        of_500.append(await several.drain(count))
        await asyncio.gather(
            *(
                task.send_many([task.message(number) for number in range(count // 500 + 1)])
                for task in several.tasks
            )
        )
        all_500.append(await several.drain(500 * (count // 500 + 1)))
    await single.worker.aclose()
    await several.worker.aclose()
    one, used, spread = map(statistics.median, (alone, of_500, all_500))
    return {
        "1 task/s": one,
        "1 of 500/s": used,
        "all 500/s": spread,
        "ratio": used / one,
        "ratio all": spread / one,
    }


async def many_processes(stand: RedisStand) -> Figures:
    """100 000 tasks drained by 8 processes together, against one."""
    count, several = stand.count(100_000), min(8, stand.count(8, least=2))
    bench = BenchWorker(stand.url)
    rates = {}
    for processes in (1, several):
        await stand.client.flushall()
        await bench.fill(count)
        rates[processes] = await drain_together(stand.url, processes, count)
    await bench.worker.aclose()
    alone, together = rates[1], rates[several]
    return {"1 process/s": alone, f"{several} processes/s": together, "ratio": together / alone}


async def drain_together(url: str, processes: int, count: int) -> float:
    """Tasks a second, from the first run anywhere to the last."""
    async with AsyncExitStack() as stack:
        started = [await stack.enter_async_context(_burst(url)) for _ in range(processes)]
        for process in started:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n", "a process did not start"
        outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in started))
    reports = [json.loads(output.splitlines()[-1]) for output, _ in outputs]
    total = sum(report["count"] for report in reports)
    assert total == count, f"{total} of {count} tasks were run"
    spans = [report["span"] for report in reports if report["span"]]
    first, last = min(start for start, _ in spans), max(end for _, end in spans)
    return (count - 1) / float(last - first)


@asynccontextmanager
async def _burst(url: str) -> AsyncIterator[Process]:
    command = [sys.executable, "-m", "benchmarks.burst", url]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=PIPE, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def many_watchers(stand: Stand) -> Figures:
    """A worker's rate with 10 000 `watch()` open on other tasks in its process, and with none."""
    count = stand.count(20_000)
    bench, others = BenchWorker(stand.url), BenchWorker(stand.url, "others")
    handles = await others.send(range(stand.count(10_000)))
    without, beside = [], []
    for _ in range(3):
        await bench.fill(count)
        without.append(await bench.drain(count))
    async with AsyncExitStack() as stack:
        watches = [await stack.enter_async_context(aclosing(one.watch())) for one in handles]
        await asyncio.gather(*(anext(watch) for watch in watches))
        for _ in range(3):
            await bench.fill(count)
            beside.append(await bench.drain(count))
    await others.worker.aclose()
    await bench.worker.aclose()
    none, open_ = statistics.median(without), statistics.median(beside)
    return {"none/s": none, "watched/s": open_, "ratio": open_ / none}
