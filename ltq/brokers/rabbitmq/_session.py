"""What a broker has open in one event loop."""

from collections.abc import Sequence

from ltq._aio.service import Service
from ltq.broker import Broker, ConsumerConfig
from ltq.brokers._sessions import Opened
from ltq.brokers.rabbitmq._awaiting import Awaiting
from ltq.brokers.rabbitmq._intake.intake import Intake
from ltq.brokers.rabbitmq._intake.pump import Pump, close_pumps
from ltq.brokers.rabbitmq._sending.gate import Gate
from ltq.brokers.rabbitmq._sending.on_the_way import OnTheWay
from ltq.brokers.rabbitmq._sending.sender import Sender
from ltq.brokers.rabbitmq._sending.unstored import Unstored
from ltq.brokers.rabbitmq._server.names import Names
from ltq.brokers.rabbitmq._server.publisher import Publisher
from ltq.brokers.rabbitmq._server.url import UrlSettings
from ltq.brokers.rabbitmq._telling.teller import Teller

_TELL_WITHIN = 1.0
"""Seconds that events have at the end."""


class Session:
    """What a broker has open in the running event loop.

    Connections open with the first send and the first consumer. Without `aclose` they are dropped
    when nobody holds the session any more.
    """

    def __init__(self, settings: UrlSettings, store: Broker, unstored: Unstored) -> None:
        self._settings = settings
        self._names = Names(settings.prefix)
        self._gate = Gate(store)
        self.publisher = Publisher(settings, self._names)
        on_the_way = OnTheWay()
        self.teller = Teller(self.publisher.link, self._names)
        self.awaiting = Awaiting(store, self._gate, unstored, self.publisher)
        self.sender = Sender(self.publisher, store, self._gate, on_the_way, unstored)
        self._intake = Intake(store, self.publisher, self._names, on_the_way, unstored, self.teller)
        services = (self._gate, self.awaiting, self.sender.single, self.teller)
        self._opened = _Opened(self.publisher, *services)
        self._opened.drop_with(self)

    @property
    def is_store_away(self) -> bool:
        """Whether the store was away at the last look."""
        return self._gate.is_closed

    def pumps(self, config: ConsumerConfig) -> list[Pump]:
        """The pumps of a consumer's namespaces, which run until it calls `release`."""
        pumps = []
        for namespace in config.namespaces:
            pump = self._opened.pumps.get(namespace)
            if pump is None:
                parts = (self._settings, self._names, namespace, self._intake, self._gate)
                pump = self._opened.pumps[namespace] = Pump(*parts)
            pump.consumers.append(config)
            pump.start()
            pumps.append(pump)
        return pumps

    async def release(self, config: ConsumerConfig, pumps: Sequence[Pump]) -> None:
        """A consumer has ended: close the pumps that nobody needs any more."""
        idle = []
        for pump in pumps:
            if config in pump.consumers:
                pump.consumers.remove(config)
            if not pump.consumers:
                idle.append(pump)
        for namespace, pump in [*self._opened.pumps.items()]:
            if pump in idle:
                del self._opened.pumps[namespace]
        await close_pumps(idle)

    async def aclose(self) -> None:
        """Close it. If this is cancelled, the closing goes on; a call waits for it."""
        await self._opened.aclose()


class _Opened(Opened):
    """What a session has opened in an event loop."""

    def __init__(
        self,
        publisher: Publisher,
        gate: Gate,
        awaiting: Awaiting,
        sending: Service,
        teller: Teller,
    ) -> None:
        super().__init__("ltq-rabbitmq-close")
        self.pumps: dict[str, Pump] = {}
        self._publisher = publisher
        self._gate = gate
        self._awaiting = awaiting
        self._sending = sending
        self._teller = teller

    async def _close(self) -> None:
        pumps = [*self.pumps.values()]
        self.pumps.clear()
        await self._awaiting.aclose()
        await close_pumps(pumps)
        await self._sending.aclose()
        if self._publisher.link.is_up:
            await self._teller.drain(_TELL_WITHIN)
        await self._teller.aclose()
        await self._gate.aclose()
        await self._publisher.link.aclose()

    def _abandon(self) -> None:
        services: list[Service] = [*self.pumps.values(), self._awaiting, self._sending]
        services += [self._teller, self._gate, self._publisher.link]
        for service in services:
            service.abandon()
