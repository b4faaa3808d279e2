"""The calls of the registry of workers."""

from typing import ClassVar

from ltq.broker import SeenWorker
from ltq.brokers.redis._scripts import replies
from ltq.brokers.redis._scripts.script import Bounded, Script
from ltq.brokers.redis._server.call import Argument, Reply


class AnnounceCall(Script[int], frozen=True, kw_only=True):
    """Say that workers live. `workers` has the name, seconds and entry of each."""

    name: ClassVar[str] = "announce"

    workers: list[Argument]

    def read(self, reply: Reply) -> int:
        return replies.integer(reply)


class HoldersCall(Script[list[tuple[str, str, float | None] | None]], frozen=True, kw_only=True):
    """Say who holds tasks: the worker, the task's name, and since when; None for no working one."""

    name: ClassVar[str] = "holders"

    ids: list[str]

    def read(self, reply: Reply) -> list[tuple[str, str, float | None] | None]:
        found = zip(self.ids, reply, strict=True)
        return [replies.holder(*values) for _, values in found]


class LeaveCall(Script[int], frozen=True, kw_only=True):
    """Forget a worker that has ended. The reply says how many lanes are not served any more."""

    name: ClassVar[str] = "leave"

    worker: str
    lanes: list[str]

    def read(self, reply: Reply) -> int:
        return replies.integer(reply)


class WorkersCall(Bounded[list[SeenWorker | None]], frozen=True, kw_only=True):
    """Read what workers say of themselves; None for one that is gone.

    The reply may hold only the first ones.
    """

    name: ClassVar[str] = "workers"

    names: list[str]

    def read(self, reply: Reply) -> list[SeenWorker | None]:
        time, workers = reply
        return [replies.seen_worker(float(time.decode()), *worker) for worker in workers]
