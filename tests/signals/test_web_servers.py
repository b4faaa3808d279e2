"""One signal ends a web server with LTQ in its lifespan, and both leave in order."""

import signal

import pytest

from tests.signals.programs import Start

pytestmark = pytest.mark.slow

TERM, INT = signal.SIGTERM, signal.SIGINT

WEB = "tests.signals.web:app"
SERVERS = {
    "uvicorn": ("-m", "uvicorn", WEB, "--port", "0", "--lifespan", "on"),
    "uvicorn on uvloop": ("-m", "uvicorn", WEB, "--port", "0", "--loop", "uvloop"),
    "gunicorn": ("-m", "gunicorn", WEB, "-b", "127.0.0.1:0", "-k", "uvicorn_worker.UvicornWorker"),
    "hypercorn": ("-m", "hypercorn", WEB, "-b", "127.0.0.1:0"),
    "hypercorn in one process": ("-m", "hypercorn", WEB, "-b", "127.0.0.1:0", "-w", "0"),
}
WAYS = ["run of a worker", "run of an app", "run of a scheduler", "worker", "app", "scheduler"]
FEW_WAYS = ["run of a worker", "worker"]


async def one_signal_ends(start: Start, server: str, way: str, number: signal.Signals) -> int:
    """Start a server and send one signal; return its exit code."""
    program = await start(*SERVERS[server], EMBED=way)
    await program.told("serving")
    if "scheduler" not in way:
        await program.told("begun")
    program.signal(number)
    code = await program.end()
    log = program.log()
    assert "shut down" in log
    assert ("left" in log) == ("scheduler" not in way)
    assert "Traceback" not in log
    return code


@pytest.mark.parametrize("number", [TERM, INT])
@pytest.mark.parametrize("way", WAYS)
async def test_uvicorn(start: Start, way: str, number: signal.Signals) -> None:
    # It shuts down first, then does to itself what the signal does to other programs.
    assert await one_signal_ends(start, "uvicorn", way, number) in {0, -number}


@pytest.mark.parametrize("way", FEW_WAYS)
async def test_uvicorn_on_uvloop(start: Start, way: str) -> None:
    assert await one_signal_ends(start, "uvicorn on uvloop", way, TERM) in {0, -TERM}


@pytest.mark.parametrize("way", FEW_WAYS)
async def test_gunicorn(start: Start, way: str) -> None:
    assert await one_signal_ends(start, "gunicorn", way, TERM) == 0


@pytest.mark.parametrize("number", [TERM, INT])
@pytest.mark.parametrize("way", FEW_WAYS)
async def test_hypercorn(start: Start, way: str, number: signal.Signals) -> None:
    assert await one_signal_ends(start, "hypercorn", way, number) == 0


@pytest.mark.parametrize("way", WAYS)
async def test_hypercorn_in_one_process(start: Start, way: str) -> None:
    """Its handlers are those of the event loop."""
    assert await one_signal_ends(start, "hypercorn in one process", way, TERM) == 0
