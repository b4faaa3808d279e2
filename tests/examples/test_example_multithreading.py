"""`examples/multithreading.py`: threads that are busy, and an event loop that is not."""

import re

from devtools.servers import free_port
from tests.examples.programs import StartProgram


def figures(output: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", output)]


async def test_the_event_loop_stays_responsive(start: StartProgram) -> None:
    program = await start("-m", "examples.multithreading", "--tasks", "8", "--rounds", "800000")
    assert await program.ends() == 0, program.output
    keys, work, beats, answers = re.search(
        r"(.*? keys by .*? threads): (.*)\n(the event loop .*)\n(meanwhile .*)\n", program.output
    ).groups()  # type: ignore[union-attr]
    count, threads = figures(keys)
    assert (count, threads > 1) == (8, True)
    busy, seconds = figures(work)
    assert busy > 0.1
    ticks, late = figures(beats)
    assert ticks > 5
    assert late < 1000 * seconds  # milliseconds: never held up for all of the work
    pings, worst = figures(answers)
    assert pings > 3
    assert worst < 1000 * seconds


async def test_a_worker_of_its_own_does_the_work(start: StartProgram) -> None:
    worker = await start("-m", "ltq", "run", "examples.multithreading:worker")
    await worker.says("worker multithreading:")
    assert await worker.stop() == 0, worker.output


async def test_wrong_use_is_told(start: StartProgram) -> None:
    program = await start("-m", "examples.multithreading", "--tasks", "0")
    assert await program.ends() == 2
    assert "--tasks and --rounds take a number, 1 or more" in program.output


async def test_without_a_server_it_says_so(start: StartProgram) -> None:
    nowhere = {"LTQ_BROKER_URL": f"redis://127.0.0.1:{free_port()}"}
    program = await start("-m", "examples.multithreading", environment=nowhere)
    assert await program.ends() == 1
    assert "failed: " in program.output
    assert "Traceback" not in program.output
