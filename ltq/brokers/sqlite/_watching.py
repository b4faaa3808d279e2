"""Watching tasks in one event loop: a notice of a task says "read it again"."""

from collections.abc import Sequence
from functools import partial

from ltq._aio.loops import running_loop
from ltq._aio.threads import call_in
from ltq.broker.feed import Feed
from ltq.brokers._follow import Follower, Target
from ltq.brokers.sqlite._places.listener import end_topic, task_topic
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
        self._hearing: dict[Target, dict[str, Hear]] = {}
        """What is listened to for each task that is followed, by topic."""
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
        for target in ((namespace, task_id) for task_id in ids):
            if target in self._hearing and not self._follower.waits_for_the_end(target):
                self._listen(target, task_topic(*target))  # first: what comes before is read
        return await self._thread.call(lambda store: store.states(namespace, ids))

    def subscribe(self, target: Target) -> None:
        """See `Source`."""
        self._hearing[target] = {}
        self._listen(target, end_topic(*target))
        self._thread.look()
        self._follower.mark(target)

    def unsubscribe(self, target: Target) -> None:
        """See `Source`."""
        for topic, hear in self._hearing.pop(target, {}).items():
            self._thread.changes.unlisten(topic, hear)
            self._listening.leave(topic)

    def _listen(self, target: Target, topic: str) -> None:
        if topic not in self._hearing[target]:
            hear = self._hearing[target][topic] = partial(call_in, self._loop, self._mark, target)
            self._thread.changes.listen(topic, hear)
            self._listening.attend(topic)

    def _mark(self, target: Target, _: str) -> None:
        self._follower.mark(target)
