"""Queues are paused and resumed."""

from ltq.brokers._rules.places import Places


def pause(places: Places, queue: str) -> None:
    """Let nothing of a queue be claimed until it is resumed. The queue is known now."""
    places.queues.add(queue)
    places.queues.pause(queue)


def resume(places: Places, queue: str) -> None:
    """Let a queue be claimed from again, and wake those that wait for it."""
    places.queues.resume(queue)
    for lane in places.lanes.of(queue):
        if any(lane.ready):
            places.listener.ready(lane.name)
