"""Watching tasks in one event loop: a message about a task says "read it again"."""

from collections.abc import Sequence

from ltq._aio.service import Service
from ltq.broker.feed import Feed
from ltq.brokers._follow import Follower, TaskKey
from ltq.brokers.postgres._operations.reading import states
from ltq.brokers.postgres._server.ears import Ears, logger
from ltq.brokers.postgres._server.link import Link
from ltq.errors import BrokerError
from ltq.names import namespace_of
from ltq.state import TaskState


class Watching(Service):
    """All watches of one broker in one event loop."""

    def __init__(self, link: Link, ears: Ears) -> None:
        super().__init__("ltq-postgres-watch", logger)
        self._link = link
        self._ears = ears
        self._follower = Follower(self)
        self._watched: dict[str, set[str]] = {}
        self._is_listening = False

    def feed(self, queue: str, task_id: str) -> Feed:
        """Follow one task."""
        return self._follower.feed((namespace_of(queue), task_id))

    async def aclose(self) -> None:
        """Stop. Feeds that are still open fail."""
        await self._follower.aclose()
        self._leave()
        await super().aclose()

    def abandon(self) -> None:
        """Stop without waiting, in the event loop or after that was closed."""
        self._follower.abandon()
        super().abandon()

    def _leave(self) -> None:
        for namespace in tuple(self._watched):
            del self._watched[namespace]
            self._ears.leave([f"task {namespace}"])
        self._stop_listening()

    def _stop_listening(self) -> None:
        if self._is_listening and not self._watched:
            self._is_listening = False
            self._ears.unlisten(self._hear, self._changed)

    # `Source`: what the follower asks for

    async def states(self, namespace: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        """See `Source`."""
        return await states(self._link, namespace, ids)

    def subscribe(self, task: TaskKey) -> None:
        """See `Source`."""
        namespace, task_id = task
        is_new = namespace not in self._watched
        self._watched.setdefault(namespace, set()).add(task_id)
        if not self._is_listening:
            self._is_listening = True
            self._ears.listen(self._hear, self._changed)
            self._changed()  # nobody has told since it listened last
        if is_new:
            self._spawn(self._attend(namespace), "attend")
        if self._ears.is_hearing:
            self._follower.mark(task)

    async def _attend(self, namespace: str) -> None:
        try:
            is_new = await self._ears.attend([f"task {namespace}"])
        except BrokerError:
            return  # the follower reads, and tells its feeds
        if is_new and self._ears.is_hearing:  # else nothing was missed since `subscribe`
            for task_id in self._watched.get(namespace, ()):
                self._follower.mark((namespace, task_id))

    def unsubscribe(self, task: TaskKey) -> None:
        """See `Source`."""
        namespace, task_id = task
        ids = self._watched.get(namespace, set())
        ids.discard(task_id)
        if not ids and self._watched.pop(namespace, None) is not None:
            self._ears.leave([f"task {namespace}"])
            self._stop_listening()

    def _hear(self, kind: str, of: str, names: list[str]) -> None:
        if kind not in ("task", "end"):
            return
        watched = self._watched.get(of, set())
        for task_id in tuple(watched) if names == ["*"] else names:
            if task_id not in watched:
                continue
            if kind == "end" or not self._follower.waits_for_the_end((of, task_id)):
                self._follower.mark((of, task_id))

    def _changed(self) -> None:
        if self._ears.is_hearing:
            self._follower.trust_notifications()
        else:
            self._follower.poll()
