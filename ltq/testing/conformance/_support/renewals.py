"""Recording what a worker's heartbeat renews."""

import threading
from collections import Counter
from collections.abc import Sequence

import pytest

from ltq.broker import Broker
from ltq.message import Lease
from ltq.testing.conformance._support.eventually import PATIENCE


class Renewals:
    """The calls of `heartbeat` on a broker and its clones. It may be read from any thread."""

    def __init__(self, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
        self.last: Lease | None = None
        self._counts: Counter[str] = Counter()
        self._changed = threading.Condition()
        renew = type(broker).heartbeat

        async def overheard(of: Broker, leases: Sequence[Lease], duration: float) -> list[Lease]:
            lost = await renew(of, leases, duration)
            self._note(leases)
            return lost

        monkeypatch.setattr(type(broker), "heartbeat", overheard)

    def of(self, task_id: str) -> int:
        """How often the lease of a task was renewed."""
        return self._counts[task_id]

    def wait(self, count: int) -> None:
        """Block this thread until this number of calls has been made."""
        with self._changed:
            assert self._changed.wait_for(lambda: sum(self._counts.values()) >= count, PATIENCE)

    def _note(self, leases: Sequence[Lease]) -> None:
        with self._changed:
            self._counts.update(lease.id for lease in leases)
            self.last = leases[-1] if leases else self.last
            self._changed.notify_all()
