"""What stands around a part of a worker in its tests."""

import asyncio
from collections.abc import Collection, Sequence

from ltq.message import Delivery, Lease, Outcome
from ltq.names import namespace_of


def make_lease(number: int = 1, queue: str = "mail:send") -> Lease:
    return Lease(str(number), queue, number)


def make_delivery(
    number: int = 1, *, task_name: str = "mail:send", isolation: int | None = None
) -> Delivery:
    lease = make_lease(number)
    return Delivery(lease, task_name, b"", b"", 0, 1, 0, 0.0, 0.0, None, None, None, isolation)


class Shards:
    """What the namespaces named in `apart` are on, each by itself; all others are on one."""

    apart: Collection[str] = ()

    def shard(self, queue: str) -> str:
        namespace = namespace_of(queue)
        return namespace if namespace in self.apart else ""


class Leases:
    """`HeldLeases` that remember which leases were held, and which were released."""

    def __init__(self, *held: Lease) -> None:
        self.held = list(held)
        self.released: list[Lease] = []

    def __contains__(self, lease: Lease) -> bool:
        return lease in self.held

    def all(self) -> list[Lease]:
        return list(self.held)

    def hold(self, delivery: Delivery) -> None:
        self.held.append(delivery.lease)

    def release(self, lease: Lease) -> None:
        self.released.append(lease)


class Writer:
    """Keeps the outcomes it gets."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def submit(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    @property
    def ids(self) -> Sequence[str]:
        return [outcome.lease.id for outcome in self.outcomes]


async def turns(count: int = 3) -> None:
    """Let everything else go on a few times."""
    for _ in range(count):
        turned = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turned.set_result, None)
        await turned


async def soon(event: asyncio.Event) -> None:
    """Wait for what should happen at once."""
    async with asyncio.timeout(5):
        await event.wait()
