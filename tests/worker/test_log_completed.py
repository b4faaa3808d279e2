"""Tasks that complete, in the log of their worker."""

import logging

import pytest

import ltq
from ltq.brokers.memory import MemoryBroker
from ltq.names import new_id


async def completed(
    caplog: pytest.LogCaptureFixture, level: int, *, log_completed: bool
) -> list[logging.LogRecord]:
    """What a run logs of two tasks, of which one completes."""
    worker = ltq.Worker("shop", broker=MemoryBroker(f"memory://{new_id()}"))
    worker.log_completed = log_completed

    @worker.task(tags=("billing",))
    async def bill() -> None: ...

    @worker.task
    async def fail() -> None:
        raise ValueError("no")

    caplog.handler.addFilter(ltq.TaskFilter())
    caplog.set_level(level, "ltq.worker")
    await bill.with_options(id="a1").send()
    await fail.send()
    await worker.run(burst=True)
    return [one for one in caplog.records if "completed" in one.getMessage()]


async def test_it_is_a_line_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    assert await completed(caplog, logging.INFO, log_completed=False) == []
    (record,) = await completed(caplog, logging.DEBUG, log_completed=False)
    assert record.levelno == logging.DEBUG


async def test_it_is_a_line_for_everybody_where_that_is_wanted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    (record,) = await completed(caplog, logging.INFO, log_completed=True)
    assert (record.name, record.levelno) == ("ltq.worker", logging.INFO)
    before, _, duration = record.getMessage().partition(" in ")
    assert before == "shop:bill a1 completed"
    assert 0.0 <= float(duration.removesuffix(" s")) < 10.0
    assert (record.__dict__["ltq_id"], record.__dict__["ltq_tags"]) == ("a1", ("billing",))


async def test_a_higher_level_hides_it(caplog: pytest.LogCaptureFixture) -> None:
    assert await completed(caplog, logging.WARNING, log_completed=True) == []
