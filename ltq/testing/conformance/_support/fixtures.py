"""The fixtures of the suite. All of them use one of the package under test: `make_broker`."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Protocol

import pytest
import pytest_asyncio

from ltq.broker import DEFAULT_LEASE, Broker, Consumer
from ltq.options import Limit
from ltq.testing.conformance._support.factories import QUEUE
from ltq.worker import Worker

MakeBroker = Callable[[], Broker]
"""What the fixture `make_broker` returns. Each call makes another broker on the same store, which
is empty when a test begins."""


class OpenBroker(Protocol):
    """Makes another broker on the same store. It is closed after the test."""

    def __call__(self) -> Broker: ...


class MakeConsumer:
    """Makes consumers of `mail:send` or of other queues. They are closed after the test."""

    def __init__(self, broker: Broker, stack: AsyncExitStack) -> None:
        self._broker = broker
        self._stack = stack

    def __call__(
        self,
        *queues: str,
        on: Broker | None = None,
        name: str | None = None,
        lease: float = DEFAULT_LEASE,
        limits: Mapping[str, Limit] | None = None,
        knows: Iterable[str] | None = None,
        revoked: Callable[[str], None] | None = None,
    ) -> Consumer:
        """A consumer of the broker under test, or of the one given as `on`."""
        consumer = (on or self._broker).consumer(
            queues or (QUEUE,),
            name=name,
            lease=lease,
            limits=limits,
            knows=knows,
            revoked=revoked,
        )
        self._stack.push_async_callback(consumer.aclose)
        return consumer


@pytest_asyncio.fixture(loop_scope="function")
async def open_broker(make_broker: MakeBroker) -> AsyncIterator[OpenBroker]:
    """Makes brokers on the store of this test."""
    async with AsyncExitStack() as stack:

        def open_one() -> Broker:
            broker = make_broker()
            stack.push_async_callback(broker.aclose)
            return broker

        yield open_one


@pytest_asyncio.fixture(loop_scope="function")
async def broker(open_broker: OpenBroker) -> Broker:
    """The broker under test."""
    return open_broker()


@pytest_asyncio.fixture(loop_scope="function")
async def make_consumer(broker: Broker) -> AsyncIterator[MakeConsumer]:
    """Makes consumers, on the broker under test or on another one."""
    async with AsyncExitStack() as stack:
        yield MakeConsumer(broker, stack)


@pytest_asyncio.fixture(loop_scope="function")
async def consumer(make_consumer: MakeConsumer) -> Consumer:
    """A consumer of `mail:send`."""
    return make_consumer()


@pytest.fixture
def worker(broker: Broker) -> Worker:
    """A worker with ten slots on the broker under test. It has no tasks and is not running."""
    return Worker("shop", broker=broker, concurrency=10, lease=5.0, shutdown_timeout=5.0)
