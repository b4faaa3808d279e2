"""The tasks by which backends send. Their workers are never run."""

from typing import Any

from ltq.contrib.django._calls import QueuedFunction
from ltq.contrib.django._options import BackendOptions
from ltq.task import Task
from ltq.worker import Worker


def call(
    args: list[Any], kwargs: dict[str, Any], priority: int = 0, run_after: str | None = None
) -> dict[str, Any]:
    """What a worker of this name runs: see `_running`."""
    raise NotImplementedError("run it by `manage.py ltq_worker`")


class Sender:
    """Sends the tasks of all backends with the same options, in all threads.

    There is no lock, which a fork could leave locked: of two threads, one makes something in vain.
    """

    def __init__(self, options: BackendOptions) -> None:
        self._options = options
        self.worker: Worker[None] = Worker(
            options.worker, options.broker_url, result_ttl=options.result_ttl
        )
        """What has the broker."""
        self._tasks: dict[QueuedFunction, Task[..., dict[str, Any]]] = {}

    def task(self, function: QueuedFunction) -> Task[..., dict[str, Any]]:
        """The task of LTQ for a function in a queue."""
        found = self._tasks.get(function)
        if found is None:
            name, ttl = self._options.worker, self._options.result_ttl
            # A worker for each: one worker takes no name twice, and two threads may be here.
            worker: Worker[None] = Worker(name, broker=self.worker.broker, result_ttl=ttl)
            declare = worker.task(name=function.task_name, queue=function.queue_of(name))
            found = self._tasks.setdefault(function, declare(call))
        return found


_senders: dict[BackendOptions, Sender] = {}


def sender_of(options: BackendOptions) -> Sender:
    """The sender for these options: backends are made again in each thread."""
    found = _senders.get(options)
    return _senders.setdefault(options, Sender(options)) if found is None else found
