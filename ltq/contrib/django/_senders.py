"""The workers by which backends send. They are never run, so tasks may be declared at any time."""

import threading
from functools import lru_cache
from typing import Any

from ltq.contrib.django._calls import Place
from ltq.contrib.django._options import BackendOptions
from ltq.task import Task
from ltq.worker import Worker

_lock = threading.RLock()


def call(
    args: list[Any], kwargs: dict[str, Any], priority: int = 0, run_after: str | None = None
) -> dict[str, Any]:
    """What a worker of this name runs: see `_running`."""
    raise NotImplementedError("run it by `manage.py ltq_worker`")


class Sender:
    """Sends the tasks of all backends with the same options, in all threads."""

    def __init__(self, options: BackendOptions) -> None:
        self.worker: Worker[None] = Worker(
            options.worker, options.broker_url, result_ttl=options.result_ttl
        )
        self._tasks: dict[Place, Task[..., dict[str, Any]]] = {}

    def task(self, place: Place) -> Task[..., dict[str, Any]]:
        """The task of LTQ for a function in a queue."""
        with _lock:
            found = self._tasks.get(place)
            if found is None:
                queue = place.queue_of(self.worker.name)
                declare = self.worker.task(name=place.task_name, queue=queue)
                found = self._tasks[place] = declare(call)
            return found


@lru_cache(maxsize=64)
def _sender(options: BackendOptions) -> Sender:
    return Sender(options)


def sender_of(options: BackendOptions) -> Sender:
    """The sender for these options: backends are made anew in each thread."""
    with _lock:
        return _sender(options)
