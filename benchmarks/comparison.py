"""The comparison: every queue in turn, in a process and an environment of its own."""

import asyncio
import json
import statistics
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio

from benchmarks.contenders import ROOT, Entrant
from benchmarks.cores import apart
from benchmarks.environments import find_node
from benchmarks.peers.measures import MEASURES, Figures, Size
from devtools.servers import RedisServer

LAUNCHER = ROOT / "benchmarks" / "peers" / "__main__.py"

PATIENCE = 180.0
"""Seconds after which a measure has failed."""

IDLE = "idle"

BUSY = tuple(name for name in MEASURES if name != IDLE)
"""The measures that are made in turn."""


@dataclass(slots=True)
class Record:
    """What was seen of one queue."""

    python: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    runs: dict[str, list[Figures]] = field(default_factory=dict)
    """The figures of each run, by measure."""
    failures: dict[str, str] = field(default_factory=dict)
    """Why there are none, by measure."""

    def medians(self, measure: str) -> Figures:
        """Of each figure; nothing if it was not measured."""
        return medians(self.runs.get(measure, []))


def medians(runs: Sequence[Figures]) -> Figures:
    """Of each figure in some runs."""
    names = runs[0] if runs else ()
    return {name: statistics.median(run[name] for run in runs) for name in names}


def size_for(entrant: Entrant, scale: float) -> Size:
    """How much of each measure."""
    full = Size()
    return Size(
        drain=_scaled(entrant.drain, scale),
        bulk=_scaled(entrant.send, scale),
        loops=_scaled(min(entrant.send, full.loops), scale),
        one=_scaled(full.one, scale),
        latency=_scaled(entrant.wait, scale),
        warm_up=full.warm_up * min(1, scale),
        idle=full.idle * min(1, scale),
    )


def _scaled(count: int, scale: float) -> int:
    return max(2, round(count * scale))


async def prepare(client: redis.asyncio.Redis) -> None:
    """Make a server as good as new: what one leaves behind costs another nothing."""
    await client.flushall()
    await client.config_set("notify-keyspace-events", "")


Contenders = Mapping[str, tuple[Entrant, str]]
"""Queues by name, each with the interpreter of its environment, or its program for Node."""

Say = Callable[[str], None]

Place = Callable[[], AbstractAsyncContextManager[str]]
"""Makes a place where nothing is yet, and gives its URL."""

Idling = Callable[[], AbstractAsyncContextManager[tuple[str, "Count"]]]
"""Makes a server of its own, and gives its URL and what counts its commands."""

Count = Callable[[], Awaitable[int]]


async def compare(
    executable: str,
    contenders: Contenders,
    records: Mapping[str, Record],
    *,
    scale: float,
    say: Say,
) -> None:
    """One round: each measure of each queue, the queues in turn. `contenders` have interpreters.

    The idle ones, each with a server of its own, idle together at the end.
    """

    @asynccontextmanager
    async def emptied() -> AsyncIterator[str]:
        await prepare(client)
        yield server.url

    @asynccontextmanager
    async def idling() -> AsyncIterator[tuple[str, Count]]:
        with RedisServer(executable) as own:
            counted = redis.asyncio.Redis.from_url(own.url, protocol=2)
            try:
                yield own.url, lambda: _commands(counted)
            finally:
                await counted.aclose()

    with apart(RedisServer(executable)) as server:
        client = redis.asyncio.Redis.from_url(server.url, protocol=2)
        try:
            await compare_in(emptied, contenders, records, scale=scale, say=say)
        finally:
            await client.aclose()
    await compare_idle(idling, contenders, records, scale=scale, say=say)


async def _commands(client: redis.asyncio.Redis) -> int:
    """How many commands a server processed, those in scripts too."""
    processed: int = (await client.info("stats"))["total_commands_processed"]
    return processed


async def compare_on_files(
    contenders: Contenders, records: Mapping[str, Record], *, scale: float, say: Say
) -> None:
    """One round with a file of its own for each measure of each queue."""

    @asynccontextmanager
    async def new_file() -> AsyncIterator[str]:
        with tempfile.TemporaryDirectory(prefix="ltq-bench-") as folder:
            yield f"sqlite:///{folder}/jobs.db"

    await compare_in(new_file, contenders, records, scale=scale, say=say, measures=[*MEASURES])


async def compare_in(
    place: Place,
    contenders: Contenders,
    records: Mapping[str, Record],
    *,
    scale: float,
    say: Say,
    measures: Sequence[str] = BUSY,
) -> None:
    """One round: each measure of each queue, the queues in turn, each in a new place."""
    for measure in measures:
        for name, (entrant, python) in contenders.items():
            if entrant.lacks(measure):
                continue
            async with place() as url:
                command = _command(entrant, python, measure, url, scale)
                await _note(records[name], measure, _measure(entrant, command))
            say(f"{measure:8} {entrant.title:10} {_shown(records[name], measure)}")


async def compare_idle(
    idling: Idling,
    contenders: Contenders,
    records: Mapping[str, Record],
    *,
    scale: float,
    say: Say,
) -> None:
    """Let all idle at the same time, each beside a server of its own."""
    say("all idle")
    idlers = {name: one for name, one in contenders.items() if not one[0].lacks(IDLE)}
    idle = [
        _note(records[name], IDLE, _idle(idling, entrant, python, scale))
        for name, (entrant, python) in idlers.items()
    ]
    await asyncio.gather(*idle)
    for name, (entrant, _) in idlers.items():
        say(f"{IDLE:8} {entrant.title:10} {_shown(records[name], IDLE)}")


def _command(entrant: Entrant, python: str, measure: str, url: str, scale: float) -> list[str]:
    size = json.dumps(size_for(entrant, scale)._asdict())
    if entrant.is_node:
        return [find_node(), python, measure, url, size]
    return [python, "-P", str(LAUNCHER), entrant.file, measure, url, size]


class _FailedError(Exception):
    pass


async def _note(record: Record, measure: str, reply: Any) -> None:
    """Put into a record what a measure gives, or why it gives nothing."""
    try:
        about = await reply
    except _FailedError as error:
        record.failures[measure] = str(error)
        return
    record.python = about["python"]
    record.versions = about["versions"]
    record.runs.setdefault(measure, []).append(about["figures"])


def _shown(record: Record, measure: str) -> str:
    if measure in record.failures:
        return f"failed: {record.failures[measure]}"
    last = record.runs[measure][-1]
    return "   ".join(f"{value:,.4g} {name}" for name, value in last.items())


async def _start(entrant: Entrant, command: Sequence[str]) -> Process:
    environment = {"PATH": "", "PYTHONWARNINGS": "ignore"}
    if entrant.source is not None:
        environment["PYTHONPATH"] = str(entrant.source)
    return await asyncio.create_subprocess_exec(
        *command, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=PIPE
    )


async def _measure(entrant: Entrant, command: Sequence[str]) -> Any:
    process = await _start(entrant, command)
    try:
        async with asyncio.timeout(PATIENCE):
            output, errors = await process.communicate()
    except TimeoutError:
        raise _FailedError(f"nothing within {PATIENCE:g} s") from None
    finally:
        await _end(process)
    return _reply(process, output, errors)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


def _reply(process: Process, output: bytes, errors: bytes) -> Any:
    if process.returncode:
        said = [line for line in errors.decode(errors="replace").splitlines() if line.strip()]
        raise _FailedError(said[-1].strip() if said else f"exit status {process.returncode}")
    return json.loads(output.splitlines()[-1])


async def _idle(idling: Idling, entrant: Entrant, python: str, scale: float) -> Any:
    """One idle worker beside its own server; commands are counted there."""
    async with idling() as (url, count):
        process = await _start(entrant, _command(entrant, python, IDLE, url, scale))
        try:
            async with asyncio.timeout(PATIENCE):
                commands, seconds = await _count(count, process)
                output, errors = await process.communicate()
            about = _reply(process, output, errors)
        except TimeoutError:
            raise _FailedError(f"nothing within {PATIENCE:g} s") from None
        finally:
            await _end(process)
    about["figures"]["commands/s"] = commands / seconds if seconds else 0.0
    return about


async def _count(count: Count, process: Process) -> tuple[int, float]:
    """The commands that a server processed while the worker idled, and seconds.

    Nothing if the process ends before.
    """
    assert process.stdout is not None
    loop = asyncio.get_running_loop()
    seen: list[tuple[int, float]] = []
    for _ in range(2):
        line = await process.stdout.readline()
        if line.strip() not in (b"idle", b"idled"):
            return 0, 0.0
        seen.append((await count(), loop.time()))
    (before, start), (after, end) = seen
    return after - before - 1, end - start  # one of them asked how many there are


def announce(text: str) -> None:
    """Progress, for who watches: not among the figures."""
    print(text, file=sys.stderr, flush=True)
