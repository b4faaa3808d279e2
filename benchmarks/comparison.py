"""The comparison: every queue in turn, in a process and an environment of its own."""

import asyncio
import json
import statistics
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio

from benchmarks.contenders import ROOT, Entrant
from benchmarks.peers.measures import MEASURES, Figures, Size
from devtools.servers import RedisServer

LAUNCHER = ROOT / "benchmarks" / "peers" / "__main__.py"

PATIENCE = 180.0
"""Seconds after which a measure has failed."""

IDLE = "idle"


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


async def compare(
    executable: str,
    contenders: Mapping[str, tuple[Entrant, str]],
    records: Mapping[str, Record],
    *,
    scale: float,
    say: Callable[[str], None],
) -> None:
    """One round: each measure of each queue, the queues in turn. `contenders` have interpreters.

    The idle ones, each with a server of its own, idle together at the end.
    """
    with RedisServer(executable) as server:
        client = redis.asyncio.Redis.from_url(server.url, protocol=2)
        try:
            for measure in MEASURES:
                for name, (entrant, python) in contenders.items():
                    if measure == IDLE or entrant.lacks(measure):
                        continue
                    await prepare(client)
                    command = _command(entrant, python, measure, server.url, scale)
                    await _note(records[name], measure, _measure(entrant, command))
                    say(f"{measure:8} {entrant.title:10} {_shown(records[name], measure)}")
        finally:
            await client.aclose()
    say("all idle")
    idle = [
        _note(records[name], IDLE, _idle(executable, entrant, python, scale))
        for name, (entrant, python) in contenders.items()
    ]
    await asyncio.gather(*idle)
    for name, (entrant, _) in contenders.items():
        say(f"{IDLE:8} {entrant.title:10} {_shown(records[name], IDLE)}")


async def compare_on_files(
    contenders: Mapping[str, tuple[Entrant, str]],
    records: Mapping[str, Record],
    *,
    scale: float,
    say: Callable[[str], None],
) -> None:
    """One round with a file of its own for each measure of each queue."""
    for measure in MEASURES:
        for name, (entrant, python) in contenders.items():
            if entrant.lacks(measure):
                continue
            with tempfile.TemporaryDirectory(prefix="ltq-bench-") as folder:
                url = f"sqlite:///{folder}/jobs.db"
                command = _command(entrant, python, measure, url, scale)
                await _note(records[name], measure, _measure(entrant, command))
            say(f"{measure:8} {entrant.title:10} {_shown(records[name], measure)}")


def _command(entrant: Entrant, python: str, measure: str, url: str, scale: float) -> list[str]:
    size = json.dumps(size_for(entrant, scale)._asdict())
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


async def _idle(executable: str, entrant: Entrant, python: str, scale: float) -> Any:
    """One idle worker beside its own server; commands are counted there."""
    with RedisServer(executable) as server:
        client = redis.asyncio.Redis.from_url(server.url, protocol=2)
        process = await _start(entrant, _command(entrant, python, IDLE, server.url, scale))
        try:
            async with asyncio.timeout(PATIENCE):
                commands, seconds = await _count(client, process)
                output, errors = await process.communicate()
            about = _reply(process, output, errors)
        except TimeoutError:
            raise _FailedError(f"nothing within {PATIENCE:g} s") from None
        finally:
            await _end(process)
            await client.aclose()
    about["figures"]["commands/s"] = commands / seconds if seconds else 0.0
    return about


async def _count(client: redis.asyncio.Redis, process: Process) -> tuple[int, float]:
    """The commands a server processed while the worker idled (those in scripts too), and seconds.

    Nothing if the process ends before.
    """
    assert process.stdout is not None
    loop = asyncio.get_running_loop()
    seen: list[tuple[int, float]] = []
    for _ in range(2):
        line = await process.stdout.readline()
        if line.strip() not in (b"idle", b"idled"):
            return 0, 0.0
        info = await client.info("stats")
        seen.append((info["total_commands_processed"], loop.time()))
    (before, start), (after, end) = seen
    return after - before - 1, end - start  # one of them asked how many there are


def announce(text: str) -> None:
    """Progress, for who watches: not among the figures."""
    print(text, file=sys.stderr, flush=True)
