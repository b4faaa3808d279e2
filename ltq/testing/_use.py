"""Putting workers under test, and letting them run."""

from typing import Any

from ltq.errors import ConfigurationError
from ltq.options import Seconds
from ltq.state import TaskState
from ltq.testing._box import Box, Target, find_box
from ltq.testing._clock import Clock, Moment
from ltq.worker import Worker


def use(
    *targets: Target,
    clock: Clock | None = None,
    start: Moment | None = None,
    patience: Seconds | None = None,
    with_scheduler: bool = False,
    running: bool = False,
) -> Box:
    """Put workers, Apps and Schedulers under test, for the time of a block.

        async with ltq.testing.use(worker, scheduler) as box:
            await checkout(12)
            ltq.testing.assert_sent(pay, 12)
            await box.clock.advance(hours=1)

    In the block (also a plain `with`) their broker is a new one in memory. Its time is that of
    `clock`; without one a new clock is made, with `start` and `patience`. Tasks run while the test
    awaits `drain` or `clock.advance`; with `running`, all the time. `with_scheduler` also fires
    what `@worker.cron` declares. Raises `ConfigurationError`.
    """
    if clock is None:
        clock = Clock(start) if patience is None else Clock(start, patience=patience)
    elif start is not None or patience is not None:
        raise ConfigurationError("clock excludes start and patience: give them to the clock")
    return Box(targets, clock=clock, with_scheduler=with_scheduler, running=running)


async def drain(worker: Worker[Any], *, check: bool = False) -> list[TaskState[Any]]:
    """Run all tasks that are due, and those that they send; the clock stands still.

    Returns the present states of the worker's tasks that ran; tasks of other workers in its box
    run as well. With `check` a task that failed for good raises its error, see `Box.drain`. Raises
    `ConfigurationError` for a worker that is not under test.
    """
    box = find_box(lambda box: worker in box.workers)
    if box is None:
        raise ConfigurationError(
            f"worker {worker.name!r} is not under test: drain it in the block of "
            "ltq.testing.use(worker), or let it run(burst=True)"
        )
    states = await box.drain(check=check)
    names = {task.name for task in worker.tasks.values()}
    return [state for state in states if state.task_name in names]
