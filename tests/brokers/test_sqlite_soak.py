"""A day of a small busy queue, by a clock that is moved: the file stays as small as its tasks."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ltq.broker import Consumer
from ltq.broker.schedule_slots import ScheduleSlot
from ltq.brokers.sqlite import SqliteBroker
from ltq.message import Delivery, Envelope, Failure, Finish, Requeue
from ltq.state import Progress, Status

HOURS = 24
A_MINUTE = 30
"""Tasks that are sent in one."""

RESULT_TTL = 600.0
DEAD_TTL = 3600.0

MOST_PER_TASK = 3 * 1024
"""Bytes of the file for each task that it holds, with its indexes and half-empty pages."""

FIXED = 2 * 1024**2
"""Bytes for what does not depend on the tasks: news for other processes, figures of a day."""

LOG = 64 * 1024**2
"""Bytes to which the log may grow."""


class Day:
    """Sends, runs, fails, repeats and forgets tasks, minute by minute."""

    def __init__(self, path: Path) -> None:
        self.now = 1_700_000_000.0
        self.broker = SqliteBroker(f"sqlite:///{path}?sync=normal", clock=lambda: self.now)
        self._path = path
        self._consumer: Consumer = self.broker.consumer(["mail"])
        self._number = 0
        self._slot: int | None = None

    async def minute(self) -> None:
        await self.broker.publish(list(self._envelopes()))
        await self._fire()
        while deliveries := (await self._consumer.claim(A_MINUTE)).deliveries:
            await self.broker.heartbeat([one.lease for one in deliveries], 15.0)
            await self.broker.progress(deliveries[0].lease, Progress(1, 2))
            await self.broker.finish([self._outcome(*one) for one in enumerate(deliveries)])
        self.now += 60.0

    async def hour(self) -> None:
        for _ in range(60):
            await self.minute()
        await self.broker.purge("mail", older_than=DEAD_TTL)

    def sizes(self) -> tuple[int, int]:
        """Bytes of the file once its log is in it, and of the log."""
        with closing(sqlite3.connect(self._path)) as connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        return pages * page_size, os.stat(f"{self._path}-wal").st_size

    def _envelopes(self) -> Iterator[Envelope]:
        for number in range(A_MINUTE):
            self._number += 1
            yield Envelope(
                id=f"{self._number}",
                queue="mail",
                task_name="mail",
                body=bytes(40 * number),
                delay=600.0 if number % 10 == 1 else 0.0,
                fingerprint=f"{self._number}" if number % 10 == 2 else "",
                unique_for=1200.0 if number % 10 == 2 else 0.0,
            )

    async def _fire(self) -> None:
        due = int(self.now)
        envelope = Envelope(id=f"slot-{due}", queue="mail", task_name="mail", body=b"{}")
        slot = ScheduleSlot(
            schedule="hourly",
            queue="mail",
            spec="* * * * *",
            after=self._slot,
            slot=due,
            due=due + 60,
            envelope=envelope,
        )
        self._slot = (await self.broker.fire(slot)).last

    def _outcome(self, number: int, delivery: Delivery) -> Finish | Requeue:
        lease = delivery.lease
        if number % 7 == 3 and delivery.tries == 0:
            return Requeue(lease, delay=90.0, failed=True)
        if number % 10 == 5:
            failure = Failure("ValueError", "no such address", "a traceback\n" * 20)
            return Finish(lease, Status.FAILED, failure=failure, result_ttl=RESULT_TTL, dead=True)
        ttl = 0.0 if number % 10 == 6 else RESULT_TTL
        return Finish(lease, Status.COMPLETED, bytes(200), result_ttl=ttl)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_file_of_a_busy_day_stays_small(tmp_path: Path) -> None:
    day = Day(tmp_path / "jobs.db")
    async with day.broker:
        sizes = []
        for _ in range(HOURS):
            await day.hour()
            sizes.append(day.sizes())
        (stats,) = await day.broker.stats(["mail"])
        assert stats.pending == 0
    held = A_MINUTE * (RESULT_TTL + DEAD_TTL / 10) / 60
    assert max(file for file, _ in sizes) <= FIXED + MOST_PER_TASK * held, sizes
    assert max(log for _, log in sizes) <= LOG, sizes
    late, early = max(sizes[HOURS // 2 :]), max(sizes[: HOURS // 2])
    assert late[0] <= 1.2 * early[0], sizes
