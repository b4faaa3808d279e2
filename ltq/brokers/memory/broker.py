"""Tasks in the memory of this process, for tests, demonstrations and work that may be lost."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from ltq._aio.clock import Clock, system_clock
from ltq._aio.loops import running_loop
from ltq.broker import (
    DEFAULT_SCAN,
    Consumer,
    ConsumerConfig,
    Finding,
    Severity,
    check_name,
    check_task,
    examine_queues,
    parse_parameters,
    parse_switch,
    redact,
)
from ltq.broker.feed import Feed
from ltq.brokers._calls import StoreBroker
from ltq.brokers._rules.store import Store
from ltq.brokers.memory._consumer import MemoryConsumer
from ltq.brokers.memory._store import MemoryStore
from ltq.errors import ConfigurationError

T = TypeVar("T")

_stores: dict[str, MemoryStore] = {}
_stores_lock = threading.Lock()


class MemoryBroker(StoreBroker):
    """A broker within this process: `memory://name`, with one store for each name.

    Brokers with the same URL share their tasks, from any event loop and thread. The tasks stay
    until the process ends, even when all brokers are closed. The first broker of a name sets the
    clock of the store; later ones may not set another. The same holds for the URL's parameter
    `history`: with `memory://name?history=0` the store counts nothing for `history`. With
    `list_final=0` a broker does not list final tasks.
    """

    def __init__(self, url: str, *, clock: Clock = system_clock) -> None:
        self._name, keeps_history, lists_final = _parts_of(url)
        self.lists_final: bool = lists_final
        self._store = _open(self._name, clock, keeps_history)

    @property
    def url(self) -> str:
        return f"memory://{self._name}{'' if self.lists_final else '?list_final=0'}"

    @property
    def is_local(self) -> bool:
        return True

    def clone(self) -> "MemoryBroker":
        return MemoryBroker(self.url)  # the store knows what the parameters said

    def forget(self) -> None:
        """Start afresh: the next broker of this name gets an empty store.

        Existing brokers keep the old one.
        """
        with _stores_lock:
            if _stores.get(self._name) is self._store:
                del _stores[self._name]

    async def ping(self) -> None:
        """Do nothing: a store in memory always answers."""

    async def aclose(self) -> None:
        """Do nothing: there are no connections, and the tasks stay."""

    def open_consumer(self, config: ConsumerConfig) -> Consumer:
        return MemoryConsumer(self._store, config)

    async def _run(self, step: Callable[[Store], T]) -> T:
        await _turn()
        return step(self._store)

    def feed(self, queue: str, task_id: str) -> Feed:
        check_task(queue, task_id)
        return self._store.follow(queue, task_id)

    async def examine(
        self, *, scan: int = DEFAULT_SCAN, on_scan: Callable[[int], object] | None = None
    ) -> list[Finding]:
        """See `Diagnostics.examine`. There is nothing to scan: entries in memory are in order."""
        store = Finding(
            "store",
            Severity.DANGER,
            f"{self.url} is in the memory of one process: its tasks end with it",
            "use redis:// for tasks that must not be lost",
        )
        return [store, *examine_queues(await self.stats(await self.queues()))]

    async def time(self) -> float:
        await _turn()
        return self._store.clock()


async def _turn() -> None:
    """Let other coroutines run."""
    running_loop()
    await asyncio.sleep(0)


def _parts_of(url: str) -> tuple[str, bool | None, bool]:
    """The name of the store; whether it keeps a history, if the URL says so; whether it lists final
    tasks."""
    scheme, separator, rest = url.partition("://")
    if scheme.lower() != "memory" or not separator:
        raise ConfigurationError(f"broker URL {redact(url)!r} is not allowed: memory://name")
    name, asks, query = rest.partition("?")
    parameters = parse_parameters(redact(url), query)
    value, listed = parameters.pop("history", None), parameters.pop("list_final", None)
    if parameters or (asks and value is None and listed is None):
        raise ConfigurationError(
            f"broker URL {redact(url)!r} cannot be read: its only parameters are history=0 and "
            "list_final=0"
        )
    keeps_history = None if value is None else parse_switch("history", value)
    lists_final = listed is None or parse_switch("list_final", listed)
    return check_name("memory store", name) if name else "", keeps_history, lists_final


def _open(name: str, clock: Clock, keeps_history: bool | None) -> MemoryStore:
    with _stores_lock:
        new = MemoryStore(clock, keeps_history=keeps_history is not False)
        store = _stores.setdefault(name, new)
    if keeps_history not in (None, store.keeps_history):
        raise ConfigurationError(
            f"history={keeps_history:d} is not allowed for memory://{name}: "
            "the first broker of that name in a process may set it"
        )
    if clock not in (system_clock, store.clock):
        raise ConfigurationError(
            f"memory://{name} has another clock already: "
            "the first broker of that name in a process may set it"
        )
    return store
