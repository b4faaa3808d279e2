"""A store behind RabbitMQ."""

import asyncio
from collections.abc import Iterable, Sequence

from ltq.broker import Parcel
from ltq.brokers.rabbitmq import RabbitBroker
from ltq.message import DeadLetter, Envelope, Published
from ltq.testing import FlakyBroker
from tests.model.reference import Claiming, Model
from tests.model.stores import Place, Store
from tests.model.tasks import Letter, Task


class SteeredRabbit(RabbitBroker):
    """Copies come out of RabbitMQ when they come: what the store knows, they must not change.

    With what the store does not know the model has to wait until it has arrived.
    """

    async def publish_past(
        self, store: FlakyBroker, envelopes: Sequence[Envelope]
    ) -> list[Published]:
        """Publish while the store takes nothing, and wait until it is back and has all."""
        with store.fail("send"):
            answers = await super().publish(envelopes)
        await self._here()._gate.wait_open()
        await self.catch_up()
        return answers

    async def catch_up(self) -> None:
        """Wait until nothing is on its way."""
        pumps = self._here()._opened.pumps.values()
        await asyncio.gather(*(pump.caught_up() for pump in pumps))


class RabbitStore(Store):
    """Another store with RabbitMQ in front: inside, all has to be as without it."""

    def __init__(self, url: str, store: Store) -> None:
        self.namespace, self.queues, self.loop = store.namespace, store.queues, store.loop
        self.store = store
        self.behind = FlakyBroker(store.broker)
        self.broker: SteeredRabbit = SteeredRabbit(f"{url}&state=memory://", store=self.behind)

    def tick(self) -> None:
        self.store.tick()

    @property
    def now(self) -> float:
        return self.store.now

    def model(self) -> Model:
        return self.store.model()

    def claimed(self, model: Model, claim: Claiming) -> None:
        self.store.claimed(model, claim)

    def overtake(self, task: Task, past: int) -> None:
        # The store's clock may go on by hours here, for which it does not remember a send.
        self.loop.run_until_complete(self.broker.catch_up())
        self.store.overtake(task, past)

    def token_of(self, parcel: Parcel) -> int:
        return self.store.token_of(parcel)

    def due(self, when: float) -> float:
        return self.store.due(when)

    def age(self, queue: str, seconds: float) -> None:
        self.store.age(queue, seconds)

    def dump(self) -> object:
        return self.store.dump()

    def places(self) -> Iterable[Place]:
        return self.store.places()

    def check(self, model: Model) -> None:
        self.store.check(model)

    def check_order(self, seen: list[DeadLetter], expected: list[Letter]) -> None:
        self.store.check_order(seen, expected)
