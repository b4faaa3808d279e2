"""Which lanes live consumers serve, and which workers there are."""

from collections.abc import Sequence

from ltq.broker import SeenWorker, WorkerEntry
from ltq.brokers._rules.constants import JUST_NOW
from ltq.brokers._rules.places import Places
from ltq.names import queue_of
from ltq.options import SERVED_TTL


def serve(places: Places, lanes: Sequence[str], duration: float, now: float) -> None:
    """A live consumer serves these lanes for `duration` seconds. Their queues are known now."""
    for queue in dict.fromkeys(map(queue_of, lanes)):
        places.queues.add(queue)
    for lane in lanes:
        end = max(now + duration, places.served.get(lane, now) or 0.0)
        places.served.set(lane, end, expires=end + SERVED_TTL, now=now)


def served(places: Places, lanes: Sequence[str], now: float) -> list[float | None]:
    """For how many seconds no live consumer has served each lane; None if none is known."""
    ends = places.served.several(lanes, now)
    return [max(0.0, now - ends[lane]) if lane in ends else None for lane in lanes]


def serving(places: Places, lanes: Sequence[str], now: float) -> dict[str, None]:
    """Those of these lanes that live consumers serve."""
    ends = places.served.several(lanes, now)
    return {lane: None for lane in lanes if ends.get(lane, 0.0) > now}


def announce(places: Places, worker: WorkerEntry, now: float) -> bool:
    """A worker lives. Returns whether there are endings here."""
    seen = SeenWorker(worker, now)
    places.workers.set(worker.name, seen, expires=now + worker.gone_after, now=now)
    return len(places.endings.values(1, 1)) > 0


def leave(places: Places, worker: WorkerEntry, lanes: Sequence[str], now: float) -> None:
    """A worker has ended. If it was the last one here, its lanes are not served any more."""
    places.workers.remove(worker.name)
    if places.workers.values(now):
        return
    for lane in serving(places, lanes, now):
        places.served.set(lane, now - JUST_NOW, expires=now + SERVED_TTL, now=now)
