"""Watching on Redis: once it is sure that the server notifies, and what it reads."""

from collections.abc import Sequence

import pytest

from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._watch_hub import WatchHub
from ltq.names import namespace_of
from ltq.state import TaskState
from tests.conformance.factories import QUEUE
from tests.eventually import eventually


async def trusts_notifications(broker: RedisBroker) -> None:
    """Wait until no watch polls any more. One has begun, so the server is asked."""
    hub = broker._here().hubs.of(namespace_of(QUEUE))
    await eventually(lambda: hub._follower._is_notified)


def note_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the tasks that hubs read from now on."""
    ids: list[str] = []
    states = WatchHub.states

    async def count(
        self: WatchHub, namespace: str, asked: Sequence[str]
    ) -> list[TaskState[bytes] | None]:
        ids.extend(asked)
        return await states(self, namespace, asked)

    monkeypatch.setattr(WatchHub, "states", count)
    return ids
