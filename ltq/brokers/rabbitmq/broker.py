"""The broker with RabbitMQ in front of its store.

A send goes both ways: into a queue of RabbitMQ, and into the store. Whichever is away, the other
one has the task. Consumers empty the queues into the store, which takes each send once; what
happens to tasks there is the store's affair.
"""

from collections.abc import Callable, Sequence

from ltq._aio.closing import close_all
from ltq._display.values import short_repr
from ltq.broker import (
    DEFAULT_SCAN,
    Broker,
    Consumer,
    ConsumerConfig,
    Finding,
    check_envelopes,
)
from ltq.broker.feed import Feed
from ltq.broker.moving import Parcel
from ltq.brokers._sessions import Sessions
from ltq.brokers.rabbitmq._consumer import RabbitConsumer
from ltq.brokers.rabbitmq._delegating import Delegating
from ltq.brokers.rabbitmq._doctor.examine import examine
from ltq.brokers.rabbitmq._sending.unstored import Unstored
from ltq.brokers.rabbitmq._server.copies import unmarked
from ltq.brokers.rabbitmq._server.errors import AwayError, RefusedError
from ltq.brokers.rabbitmq._server.names import Names
from ltq.brokers.rabbitmq._server.url import check_state, parse_url, state_in_folder
from ltq.brokers.rabbitmq._session import Session
from ltq.brokers.rabbitmq._telling.events import cancelled, enqueued
from ltq.errors import ConfigurationError
from ltq.message import Envelope, Outcome, Published, Receipt
from ltq.names import namespace_of


class RabbitBroker(Delegating):
    """RabbitMQ 3.8 or newer in front of a store: `amqp://user:password@host:5672/vhost?state=URL`.

    `state` is the URL of the store, with `&` as `%26`. `prefix=ltq` begins the names of all
    exchanges and queues. `heartbeat=10` is in seconds. `management=http://host:15672` is where
    `ltq doctor` finds the management API, by default 10 000 above the port. With `amqps://`,
    `cafile`, `certfile` and `keyfile` name files for TLS. A `store` that is given is used in place
    of the one in the URL. Raises `ConfigurationError` for a URL that cannot be read. Calls raise
    `BrokerError`.
    """

    def __init__(self, url: str, *, store: Broker | None = None) -> None:
        self._given = url
        self._settings = parse_url(url)
        self._names = Names(self._settings.prefix)
        if store is not None and not isinstance(store, Broker):
            raise ConfigurationError(f"store={short_repr(store)} is not allowed: an ltq.Broker")
        store = Broker.from_url(self._settings.state) if store is None else store
        check_state(self._settings.shown, store.url)  # a name may stand for another RabbitMQ
        super().__init__(store)
        self._unstored = Unstored()
        self._sessions = Sessions[Session]()

    @staticmethod
    def in_folder(url: str, folder: str) -> str:
        """The same URL, with what its store's means in a file of this folder."""
        return state_in_folder(url, folder)

    @property
    def url(self) -> str:
        """Its URL and that of its store, without users and passwords."""
        return f"{self._settings.shown}?state={self._store.url}"

    def clone(self) -> "RabbitBroker":
        return RabbitBroker(self._given, store=self._store.clone())

    async def ping(self) -> None:
        """Raise `BrokerError` if the store does not answer, or if RabbitMQ refuses.

        That it is away, is nothing that keeps work from being done.
        """
        await self._store.ping()
        try:
            await self._here().publisher.check()
        except AwayError as error:
            raise RefusedError(str(error)) from error

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        check_envelopes(envelopes)
        self._names.check(envelope.queue for envelope in envelopes)
        session = self._here()
        answers = await session.sender.publish(envelopes)
        if not session.is_store_away:  # else it is told once it is there
            created = zip(envelopes, answers, strict=True)
            session.teller.tell(
                enqueued(one) for one, answer in created if answer is Published.CREATED
            )
        return answers

    async def finish(self, outcomes: Sequence[Outcome]) -> list[Receipt]:
        receipts = await self._store.finish(outcomes)
        self._here().teller.ended(outcomes, receipts)
        return receipts

    async def cancel(self, queue: str, task_id: str, result_ttl: float) -> bool:
        (before,) = await self._store.states(queue, [task_id])
        is_cancelled = await self._store.cancel(queue, task_id, result_ttl)
        if is_cancelled and before is not None:
            self._here().teller.tell([cancelled(before)])
        return is_cancelled

    def feed(self, queue: str, task_id: str) -> Feed:
        """What was sent from here while the store was away is waited for until it is there."""
        if (queue, task_id) in self._unstored:
            return self._here().awaiting.feed((queue, task_id))
        return self._store.feed(queue, task_id)

    async def pack(self, queue: str, ids: Sequence[str]) -> list[Parcel | None]:
        return unmarked(await self._store.pack(queue, ids))

    async def pack_dead(self, queue: str, ids: Sequence[str]) -> list[Parcel | None]:
        return unmarked(await self._store.pack_dead(queue, ids))

    async def examine(
        self, *, scan: int = DEFAULT_SCAN, on_scan: Callable[[int], object] | None = None
    ) -> list[Finding]:
        found = await self._store.examine(scan=scan, on_scan=on_scan)
        namespaces = sorted({namespace_of(queue) for queue in await self._store.queues()})
        publisher = self._here().publisher
        return [*await examine(publisher, self._settings, self._names, namespaces), *found]

    def open_consumer(self, config: ConsumerConfig) -> Consumer:
        self._names.check(config.namespaces)
        return RabbitConsumer(self._store.open_consumer(config), self._here(), config)

    async def aclose(self) -> None:
        """Close the connections of the running event loop. The broker may be used again.

        If this is cancelled the closing goes on, and a repeated call waits for its end.
        """
        await close_all((self._sessions.aclose, self._store.aclose))

    def _here(self) -> Session:
        """The session of the running event loop, made at its first use in this loop and process."""
        return self._sessions.here(self._new_session)

    def _new_session(self) -> Session:
        return Session(self._settings, self._store, self._unstored)
