"""Putting workers under test, and running their tasks."""

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
    """Put workers, Apps and Schedulers under test for the duration of a block.

        async with ltq.testing.use(worker, scheduler) as box:
            await checkout(12)
            ltq.testing.assert_sent(pay, 12)
            await box.clock.advance(hours=1)

    In the block (a plain `with` works as well) their broker is a new one in memory. Its time is
    that of `clock`, by default of a new clock with `start` and `patience`. Tasks run while the test
    awaits `drain` or `clock.advance`; with `running`, all the time. With `with_scheduler` the
    schedules of `@worker.cron` are fired as well. Raises `ConfigurationError`.
    """
    if clock is None:
        clock = Clock(start) if patience is None else Clock(start, patience=patience)
    elif start is not None or patience is not None:
        raise ConfigurationError("clock excludes start and patience: give them to the clock")
    return Box(targets, clock=clock, with_scheduler=with_scheduler, running=running)


async def drain(worker: Worker[Any], *, check: bool = False) -> list[TaskState[Any]]:
    """Run all tasks that are due, and the tasks that they send; the clock stands still.

    Returns the present states of the worker's tasks that ran; tasks of other workers in its box
    run as well. With `check`, raises the error of a task that failed, see `Box.drain`. Raises
    `ConfigurationError` for a worker that is not under test.
    """
    box = find_box(lambda box: worker in box.workers)
    if box is None:
        raise ConfigurationError(
            f"worker {worker.name!r} is not under test: drain it in the block of "
            "ltq.testing.use(worker), or call worker.run(burst=True)"
        )
    states = await box.drain(check=check)
    names = {task.name for task in worker.tasks.values()}
    return [state for state in states if state.task_name in names]
