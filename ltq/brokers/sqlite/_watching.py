"""Watching tasks in one event loop: a notice of a task says "read it again"."""

from collections.abc import Sequence
from functools import partial

from ltq._aio.loops import running_loop
from ltq._aio.threads import call_in
from ltq.broker.feed import Feed
from ltq.brokers._follow import Follower, Target
from ltq.brokers.sqlite._places.listener import task_topic
from ltq.brokers.sqlite._thread.changes import Hear
from ltq.brokers.sqlite._thread.listening import Listening
from ltq.brokers.sqlite._thread.thread import SqliteThread
from ltq.names import namespace_of
from ltq.state import TaskState


class Watching:
    """All watches of one broker in one event loop."""

    def __init__(self, thread: SqliteThread, listening: Listening) -> None:
        self._thread = thread
        self._listening = listening
        self._loop = running_loop()
        self._hearing: dict[Target, Hear] = {}
        self._follower = Follower(self)
        self._follower.trust_notifications()
        self._missed = partial(call_in, self._loop, self._follower.trust_notifications)
        thread.changes.on_missed(self._missed)

    def feed(self, queue: str, task_id: str) -> Feed:
        """Follow one task."""
        return self._follower.feed((namespace_of(queue), task_id))

    async def aclose(self) -> None:
        """Stop. Feeds that are still open fail."""
        await self._follower.aclose()
        self._leave()

    def abandon(self) -> None:
        """Stop without waiting, in the event loop or after that was closed."""
        self._follower.abandon()
        self._leave()

    def _leave(self) -> None:
        self._thread.changes.off_missed(self._missed)
        for target in tuple(self._hearing):
            self.unsubscribe(target)

    # `Source`: what the follower asks for

    async def states(self, namespace: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        """See `Source`."""
        return await self._thread.call(lambda store: store.states(namespace, ids))

    def subscribe(self, target: Target) -> None:
        """See `Source`."""
        hear = self._hearing[target] = partial(call_in, self._loop, self._mark, target)
        topic = task_topic(*target)
        self._thread.changes.listen(topic, hear)
        self._listening.attend(topic)
        self._thread.look()
        self._follower.mark(target)

    def unsubscribe(self, target: Target) -> None:
        """See `Source`."""
        hear = self._hearing.pop(target, None)
        if hear is not None:
            self._thread.changes.unlisten(task_topic(*target), hear)
            self._listening.leave(task_topic(*target))

    def _mark(self, target: Target, _: str) -> None:
        self._follower.mark(target)
