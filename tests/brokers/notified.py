"""Watching on Redis, once it is sure that the server notifies."""

from ltq.brokers.redis import RedisBroker
from ltq.names import namespace_of
from tests.conformance.factories import QUEUE
from tests.eventually import eventually


async def trusts_notifications(broker: RedisBroker) -> None:
    """Wait until no watch polls any more. One has begun, so the server is asked."""
    hub = broker._here().hubs.of(namespace_of(QUEUE))
    await eventually(lambda: hub._follower._is_notified)
