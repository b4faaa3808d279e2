"""The tiny broker with one mistake each: the conformance suite has to find them."""

from collections.abc import Iterable
from dataclasses import dataclass

from examples.tiny_broker import TinyBroker
from examples.tiny_broker.store import Store
from examples.tiny_broker.task import Task
from ltq.broker import namespace_of
from ltq.message import Envelope, Lease, Published, Swept
from ltq.state import Status


@dataclass
class UnfencedStore(Store):
    def held(self, lease: Lease, now: float) -> Task | None:
        task = self.get((namespace_of(lease.queue), lease.id), now)
        return task if task is not None and task.status is Status.WORKING else None


class Unfenced(TinyBroker):
    """Whoever once held a task may end it: the token is not compared."""

    store_type = UnfencedStore


@dataclass
class ForgetfulStore(Store):
    def sweep(self, namespaces: Iterable[str], now: float) -> Swept:
        homes = set(namespaces)
        for task in self.tasks.values():
            if task.key[0] in homes and task.status is Status.DELAYED and task.due <= now:
                self._come_back(task, now)
        return Swept()


class Forgetful(TinyBroker):
    """Tasks are popped for good: what a dead worker held is lost."""

    store_type = ForgetfulStore


@dataclass
class RepeatingStore(Store):
    def publish(self, envelope: Envelope, now: float) -> Published:
        self.tasks.pop((namespace_of(envelope.queue), envelope.id), None)
        return super().publish(envelope, now)


class Repeating(TinyBroker):
    """A call sent again after a lost reply enqueues its task again."""

    store_type = RepeatingStore
