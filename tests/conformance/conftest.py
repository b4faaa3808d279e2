"""Every broker there is, for the one suite that all of them pass."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Protocol

import fakeredis
import pytest

from ltq._names import new_id
from ltq.broker import DEFAULT_LEASE, Broker, Consumer
from ltq.brokers.memory import MemoryBroker
from ltq.options import Limit
from tests.conformance.factories import QUEUE

MakeBroker = Callable[[], Broker]


class MakeConsumer(Protocol):
    """A consumer of `mail:send`, if nothing else is said; it is closed after the test."""

    def __call__(
        self,
        *queues: str,
        on: Broker | None = None,
        name: str | None = None,
        lease: float = DEFAULT_LEASE,
        limits: Mapping[str, Limit] | None = None,
        revoked: Callable[[str], None] | None = None,
    ) -> Consumer: ...


def _memory(request: pytest.FixtureRequest) -> MakeBroker:
    url = f"memory://{new_id()}"
    return lambda: MemoryBroker(url)


def _fakeredis(request: pytest.FixtureRequest) -> MakeBroker:
    from ltq.brokers.redis import RedisBroker  # it may be under construction

    server = fakeredis.FakeServer()
    return lambda: RedisBroker(
        "redis://fakeredis",
        connect=lambda: fakeredis.FakeAsyncRedis(server=server, protocol=2),
    )


def _redis(request: pytest.FixtureRequest) -> MakeBroker:
    from ltq.brokers.redis import RedisBroker

    url: str = request.getfixturevalue("redis_url")
    return lambda: RedisBroker(url)


_STORES: dict[str, Callable[[pytest.FixtureRequest], MakeBroker]] = {
    "memory": _memory,
    "fakeredis": _fakeredis,
    "redis": _redis,
}


@pytest.fixture(params=list(_STORES))
async def make_broker(request: pytest.FixtureRequest) -> AsyncIterator[MakeBroker]:
    """Makes brokers on one and the same empty store; they are closed after the test."""
    make = _STORES[request.param](request)
    async with AsyncExitStack() as stack:

        def make_closed_later() -> Broker:
            broker = make()
            stack.push_async_callback(broker.aclose)
            return broker

        yield make_closed_later


@pytest.fixture
async def broker(make_broker: MakeBroker) -> Broker:
    return make_broker()


@pytest.fixture
async def make_consumer(broker: Broker) -> AsyncIterator[MakeConsumer]:
    async with AsyncExitStack() as stack:

        def make(
            *queues: str,
            on: Broker | None = None,
            name: str | None = None,
            lease: float = DEFAULT_LEASE,
            limits: Mapping[str, Limit] | None = None,
            revoked: Callable[[str], None] | None = None,
        ) -> Consumer:
            served: Iterable[str] = queues or (QUEUE,)
            consumer = (on or broker).consumer(
                served, name=name, lease=lease, limits=limits, revoked=revoked
            )
            stack.push_async_callback(consumer.aclose)
            return consumer

        yield make


@pytest.fixture
async def consumer(make_consumer: MakeConsumer) -> Consumer:
    """One that serves `mail:send`."""
    return make_consumer()
