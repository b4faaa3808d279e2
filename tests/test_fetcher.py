"""A claim that took long: its leases may be over, and then its tasks are somebody else's."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ltq._worker.fetcher import Fetcher
from ltq.broker import Claim, Consumer
from ltq.errors import BrokerError
from ltq.message import Delivery, Lease

LEASE = 15.0


def delivery(number: int) -> Delivery:
    lease = Lease(str(number), "mail:send", number)
    return Delivery(lease, "mail:send", b"", b"", 0, 1, 0, 0.0, 0.0, None, None, None)


class Stand:
    """A consumer that gives three tasks once, a room for ten, and a clock that a claim moves on."""

    free, used = 10, 0

    def __init__(self, takes: float, lost: Sequence[int] | BrokerError) -> None:
        self.started: list[str] = []
        self.renewed: list[str] = []
        self.now = 0.0
        self._takes = takes
        self._lost = lost
        self._left = [delivery(number) for number in range(3)]
        self._claimer = Fetcher(
            cast(Consumer, self), cast(Any, self), lease=LEASE, renew=self.renew, start=self.start
        )

    async def run(self) -> None:
        await self._claimer.run(burst=True)

    def start(self, delivery: Delivery) -> None:
        self.started.append(delivery.lease.id)

    async def claim(self, limit: int, running: int = 0, *, ignore_isolation: bool = False) -> Claim:
        self.now += self._takes
        given, self._left = self._left, []
        return Claim(given, None)

    async def wait(self, timeout: float | None) -> bool:
        return True

    async def renew(self, leases: Sequence[Lease]) -> list[Lease]:
        self.renewed += [lease.id for lease in leases]
        if isinstance(self._lost, BrokerError):
            raise self._lost
        return [lease for lease in leases if lease.token in self._lost]


@pytest.mark.parametrize(
    ("takes", "lost", "renewed", "started"),
    [
        (0.1, [1], [], ["0", "1", "2"]),
        (LEASE, [], ["0", "1", "2"], ["0", "1", "2"]),
        (LEASE, [1], ["0", "1", "2"], ["0", "2"]),
        (LEASE, BrokerError("away"), ["0", "1", "2"], ["0", "1", "2"]),
    ],
    ids=["quick", "late", "too late for one", "nobody can tell"],
)
async def test_what_it_still_holds_is_started(
    monkeypatch: pytest.MonkeyPatch,
    takes: float,
    lost: Sequence[int] | BrokerError,
    renewed: list[str],
    started: list[str],
) -> None:
    stand = Stand(takes, lost)
    clock = SimpleNamespace(monotonic=lambda: stand.now)
    monkeypatch.setattr("ltq._worker.fetcher.time", clock)
    await stand.run()
    assert (stand.renewed, stand.started) == (renewed, started)
