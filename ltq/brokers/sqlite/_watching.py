"""Watching tasks in one event loop: a notice of a task says "read it again".

When a task ends, the thread of the file reads it at once: its state is what most wait for.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

from ltq._aio.loops import running_loop
from ltq._aio.threads import call_in
from ltq.broker.feed import Feed
from ltq.brokers._follow import READ_BATCH, Follower, TaskKey
from ltq.brokers.sqlite._places.listener import end_topic, task_topic
from ltq.brokers.sqlite._places.store import SqliteStore
from ltq.brokers.sqlite._thread.changes import Hear
from ltq.brokers.sqlite._thread.job import Job
from ltq.brokers.sqlite._thread.listening import Listening
from ltq.brokers.sqlite._thread.thread import SqliteThread
from ltq.names import namespace_of
from ltq.state import TaskState

_States = dict[TaskKey, TaskState[bytes] | None]


class Watching:
    """All watches of one broker in one event loop."""

    def __init__(self, thread: SqliteThread, listening: Listening) -> None:
        self._thread = thread
        self._listening = listening
        self._loop = running_loop()
        self._hearing: dict[TaskKey, dict[str, Hear]] = {}
        """What is listened to for each task that is followed, by topic."""
        self._ended: list[TaskKey] = []
        """Tasks that have ended, and wait to be read. For the thread of the file."""
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
        for task in tuple(self._hearing):
            self.unsubscribe(task)

    # `Source`: what the follower asks for

    async def states(self, namespace: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        """See `Source`."""
        for task in ((namespace, task_id) for task_id in ids):
            if task in self._hearing and not self._follower.waits_for_the_end(task):
                hear = partial(call_in, self._loop, self._mark, task)
                self._listen(task, task_topic(*task), hear)  # first: what comes before is read
        return await self._thread.call(lambda store: store.states(namespace, ids), is_durable=False)

    def subscribe(self, task: TaskKey) -> None:
        """See `Source`."""
        self._hearing[task] = {}
        self._listen(task, end_topic(*task), partial(self._hear_end, task))
        self._thread.look()
        self._follower.mark(task)

    def unsubscribe(self, task: TaskKey) -> None:
        """See `Source`."""
        for topic, hear in self._hearing.pop(task, {}).items():
            self._thread.changes.unlisten(topic, hear)
            self._listening.leave(topic)

    def _listen(self, task: TaskKey, topic: str, hear: Hear) -> None:
        if topic not in self._hearing[task]:
            self._hearing[task][topic] = hear
            self._thread.changes.listen(topic, hear)
            self._listening.attend(topic)

    def _mark(self, task: TaskKey, _: str) -> None:
        self._follower.mark(task)

    # In the thread of the file

    def _hear_end(self, task: TaskKey, _: str) -> None:
        if len(self._ended) % READ_BATCH == 0:
            self._ended = []
            self._read_soon(self._ended)
        self._ended.append(task)

    def _read_soon(self, ended: list[TaskKey]) -> None:
        def step(store: SqliteStore) -> _States:
            if self._ended is ended:
                self._ended = []  # what ends later is read later
            return _read(store, ended)

        job = Job(step, keeps_history=True, is_durable=False, loop=self._loop)
        job.future.add_done_callback(partial(self._put, ended))
        self._thread.submit(job)

    # In the event loop again

    def _put(self, ended: list[TaskKey], read: "asyncio.Future[_States]") -> None:
        states = read.result() if read.exception() is None else {}
        for task in ended:
            if task not in self._hearing:
                continue
            if task in states:
                self._follower.put_end(task, states[task])
            else:
                self._follower.mark(task)


def _read(store: SqliteStore, tasks: list[TaskKey]) -> _States:
    by_namespace: dict[str, list[str]] = {}
    for namespace, task_id in tasks:
        by_namespace.setdefault(namespace, []).append(task_id)
    return {
        (namespace, task_id): state
        for namespace, ids in by_namespace.items()
        for task_id, state in zip(ids, store.states(namespace, ids), strict=True)
    }
