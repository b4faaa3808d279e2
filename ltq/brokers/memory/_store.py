"""The memory broker's store: all namespaces under one lock, and the consumers that wait."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from ltq._aio.clock import Clock
from ltq.broker import Claim, ClaimBudget, ConsumerConfig
from ltq.broker.feed import Feed
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.store import Store
from ltq.brokers.memory._listener import MemoryListener, Revoke
from ltq.brokers.memory._namespace import Namespace, new_namespace
from ltq.names import namespace_of


@dataclass(frozen=True, slots=True, eq=False)
class Waiter:
    """A consumer that waits. `wake` is safe to call from any thread."""

    serves: Callable[[str], bool]
    """Whether it waits for a lane."""
    wake: Callable[[], None]


class MemoryStore(Store):
    """Tasks in memory. Every public method is safe from any thread.

    The lock is reentrant because a garbage collection within a step may run a `finally` that
    closes a feed.
    """

    def __init__(self, clock: Clock, *, keeps_history: bool = True) -> None:
        self.clock = clock
        self.keeps_history = keeps_history
        self._lock = threading.RLock()
        self._known: dict[str, Namespace] = {}
        self._waiters: set[Waiter] = set()
        self._lanes_to_wake: set[str] = set()
        self._last_token = 0

    def claim_for(
        self, consumer: ConsumerConfig, budget: ClaimBudget, revoke: Revoke | None
    ) -> Claim:
        """Claim tasks. `revoke` is called with the id of each that is cancelled while it runs."""
        with self._lock:
            claim = self.claim(consumer, budget)
            if revoke is not None:
                for delivery in claim.deliveries:
                    lease = delivery.lease
                    self._listener(lease.queue).hold(lease.id, revoke)
            return claim

    def wait(self, waiter: Waiter, consumer: ConsumerConfig) -> float | None:
        """Add a waiter. Returns the seconds until it should wake by itself, or None for never."""
        with self._lock:
            self._waiters.add(waiter)
            return self.next_claim(consumer)

    def forget(self, waiter: Waiter) -> None:
        """Undo `wait`. Safe to call twice."""
        with self._lock:
            self._waiters.discard(waiter)

    def follow(self, queue: str, task_id: str) -> Feed:
        """A feed that gets the present state of a task, and each later one."""
        with self._lock:
            listener = self._listener(queue)
            feed = Feed(partial(self._unfollow, listener, task_id))
            feed.put(self.states(queue, [task_id])[0])
            listener.follow(task_id, feed)
            return feed

    def _unfollow(self, listener: MemoryListener, task_id: str, feed: Feed) -> None:
        with self._lock:
            listener.unfollow(task_id, feed)

    def _listener(self, queue: str) -> MemoryListener:
        return self._namespace(namespace_of(queue)).listener

    # What the rules need

    @contextmanager
    def _step(self, queues: Iterable[str] = ()) -> Iterator[float]:
        """One atomic step. At its end it wakes consumers that wait for what it made ready."""
        with self._lock:
            try:
                yield self.clock()
            finally:
                self._wake()

    def _places(self, namespace: str) -> Places:
        return self._namespace(namespace).places

    def _namespaces(self) -> Iterable[str]:
        return tuple(self._known)

    def _namespace(self, namespace: str) -> Namespace:
        known = self._known.get(namespace)
        if known is None:
            known = self._known[namespace] = self._new_namespace(namespace)
        return known

    def _new_namespace(self, namespace: str) -> Namespace:
        return new_namespace(
            self._lanes_to_wake, self._next_token, keeps_history=self.keeps_history
        )

    def _next_token(self, above: int, now: float) -> int:
        self._last_token = max(self._last_token, above, int(now * 1e6) - 1) + 1
        return self._last_token

    def _wake(self) -> None:
        if not self._lanes_to_wake:
            return
        lanes = self._lanes_to_wake.copy()
        self._lanes_to_wake.clear()
        woken = {waiter for waiter in self._waiters if any(map(waiter.serves, lanes))}
        self._waiters -= woken
        for waiter in woken:
            waiter.wake()
