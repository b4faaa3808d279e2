"""Figures that the pages name are those of the code."""

from inspect import signature
from typing import Any

import pytest

from ltq import Worker, options
from ltq._aio import signals
from ltq._scheduler import entry, presence
from ltq._text import MAX_TEXT
from ltq._worker import blocked_loop, executor, isolation, threads
from ltq._worker import run as worker_run
from ltq._worker.upkeep import repair
from ltq.broker import consumer_config, findings, history, roles, schedule_slots
from ltq.broker.isolation import ISOLATION
from ltq.brokers.redis._server import link, url
from ltq.cli.check import check
from ltq.cli.run import _supervisor
from ltq.cli.run.command import run
from ltq.context import _WRITE_EVERY
from ltq.events import DEFAULT_BUFFER
from ltq.message import MAX_CTX
from ltq.middleware import _retry_delay, max_tries
from ltq.schedule import MAX_MISSED
from ltq.testing import Clock
from tests.docs.pages import ROOT


def given(function: Any, name: str) -> Any:
    """The default of a parameter."""
    return signature(function).parameters[name].default


def option(command: Any, name: str) -> Any:
    """The default of an option of a command."""
    return next(one.default for one in command.params if f"--{name}" in one.opts)


FIGURES = [
    ("options.md", "else that of the worker (one hour)", options.DEFAULT_RESULT_TTL, 3600),
    ("options.md", "in a row under a task (5 by default)", options.DEFAULT_MAX_DELIVERIES, 5),
    ("options.md", "up to 10 minutes", _retry_delay.LONGEST, 600),
    ("options.md", "the second try comes within 1 s", _retry_delay.DEFAULT_BASE, 1),
    ("retries.md", "(default 1)", _retry_delay.DEFAULT_BASE, 1),
    ("retries.md", "at most once a minute for each task", max_tries._TELL_EVERY, 60),
    ("retries.md", "it stays for 7 days", options.DEAD_TTL, 7 * 86400),
    ("retries.md", "keeps the newest 10 000", options.MAX_DEAD, 10_000),
    ("options.md", "`full_timeout` (30 s by default)", options.DEFAULT_FULL_TIMEOUT, 30),
    ("events.md", "`buffer` events (1000 by default)", DEFAULT_BUFFER, 1000),
    ("results.md", "may have 1 MiB, encoded", given(Worker, "max_payload"), 1024 * 1024),
    ("results.md", "progress notes may have 16 KiB", MAX_TEXT, 16 * 1024),
    ("results.md", "for 1 s to 32 s, with no try used", executor._LONGEST_PAUSE, 32),
    ("results.md", "it is written ten times a second at most", _WRITE_EVERY, 0.1),
    ("middleware.md", "It may have 64 KiB as JSON", MAX_CTX, 64 * 1024),
    ("limits.md", "`Worker(..., concurrency=100)`", given(Worker, "concurrency"), 100),
    ("events.md", "at most `concurrency` (100 by default)", given(Worker, "concurrency"), 100),
    ("events.md", "the task is requeued for a second", executor._NO_THREAD_PAUSE, 1),
    ("events.md", "and for 5 s the worker runs no more", threads._SHORTAGE, 5),
    ("broker.md", "for `lease` seconds (15 by default)", consumer_config.DEFAULT_LEASE, 15),
    ("operations.md", "worker's `shutdown_timeout` (30 s)", given(Worker, "shutdown_timeout"), 30),
    ("operations.md", "until the end of its lease (15 s)", given(Worker, "lease"), 15),
    ("operations.md", "waits for it: 30 s", option(run, "wait-for-broker"), "30"),
    ("operations.md", "within `--health-within` (30 s)", option(run, "health-within"), "30"),
    ("operations.md", "longer than `--max-wait` (5 min)", option(check, "max-wait"), "5m"),
    ("operations.md", "then 2 s, up to 30 s", _supervisor.LONGEST_PAUSE, 30),
    ("operations.md", "once one has run for 10 s", _supervisor.STEADY, 10),
    ("operations.md", "signals that come within 50 ms are one", signals.SAME_SIGNAL, 0.05),
    ("operations.md", "and 5 s later ends the process in any case", signals.LAST_RESORT, 5),
    ("operations.md", "the last `minutes` (up to 1440)", history.HISTORY_MINUTES, 1440),
    ("operations.md", "scans at most 200 000 keys", roles.DEFAULT_SCAN, 200_000),
    ("operations.md", "have been due for more than 5 minutes", findings._IDLE, 300),
    ("operations.md", "repair by themselves every 10 minutes", repair.REPAIR_EVERY, 600),
    ("operations.md", "stays awake for a reply (250)", url._DEFAULTS["busy_poll"], "250"),
    ("operations.md", "may take (3, which is the most)", url.CONNECT_PATIENCE, 3),
    ("operations.md", "an event loop makes 16 calls at once", link.MAX_CONNECTIONS, 16),
    ("errors.md", "not a byte within 4 s", link.CALL_PATIENCE, 4),
    ("reliability.md", "until nothing has moved for 4 s", link.CALL_PATIENCE, 4),
    ("reliability.md", "until its `timeout` and a second more", blocked_loop.GRACE, 1),
    ("reliability.md", "lets others end first, for 5 s at most", ISOLATION, 5),
    ("reliability.md", "and for a minute takes such tasks", isolation.WAIT_AGAIN_AFTER, 60),
    ("reliability.md", "its last outcomes for one second", worker_run._LAST_CALLS, 1),
    ("scheduler.md", "the latest 1000", MAX_MISSED, 1000),
    ("scheduler.md", "is not heard of for 6 s", schedule_slots.SCHEDULER_SILENT, 6),
    ("scheduler.md", "Every two seconds it says that it is there", presence.BEAT, 2),
    ("scheduler.md", "for up to a minute back", schedule_slots.SLOT_HANDOVER, 60),
    ("scheduler.md", "set back by more than a day", schedule_slots.SLOT_AHEAD, 86400),
    ("scheduler.md", "more than a second old when a scheduler starts", entry.GRACE_AT_START, 1),
    ("scheduler.md", "more than 5 s late for a scheduler", entry.GRACE, 5),
    ("testing.md", "gets `patience` (1 s", given(Clock, "patience"), 1),
]


@pytest.mark.parametrize(("page", "says", "is_now", "figure"), FIGURES)
def test_a_figure_is_that_of_the_code(page: str, says: str, is_now: Any, figure: Any) -> None:
    text = " ".join((ROOT / "docs" / page).read_text("utf-8").split())
    assert says in text, "the page says it otherwise: change the table, too"
    assert is_now == figure, f"{page} says: {says}"
