"""`examples/scheduled.py`: two tasks that take turns."""

import re

from tests.eventually import eventually
from tests.examples.programs import PATIENCE, Program, StartProgram

TARGET = "examples.scheduled:worker"


async def take_turns(program: Program) -> None:
    """Wait for four runs; they alternate, each in its seconds, each once."""

    def runs() -> list[tuple[str, str]]:
        return re.findall(r"^(tick|tock)  \S+:\w+:\d{8}T(\d{6})Z$", program.output, re.MULTILINE)

    await eventually(lambda: len(runs()) >= 4, PATIENCE)
    assert len(set(runs())) == len(runs())
    assert {(name, int(stamp) % 2) for name, stamp in runs()} == {("tick", 0), ("tock", 1)}


async def test_in_one_process(start: StartProgram) -> None:
    worker = await start("-m", "ltq", "run", TARGET, "--with-scheduler")
    await take_turns(worker)
    assert await worker.stop() == 0, worker.output


async def test_with_two_schedulers_beside_it(start: StartProgram) -> None:
    worker = await start("-m", "ltq", "run", TARGET)
    schedulers = [
        await start("-m", "ltq", "schedule", TARGET),
        await start("-m", "examples.scheduled"),
    ]
    await take_turns(worker)
    for one in (*schedulers, worker):
        assert await one.stop() == 0, one.output
