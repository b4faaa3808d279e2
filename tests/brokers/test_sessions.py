"""What a broker has open in each event loop."""

import gc
import weakref

import pytest

from ltq.broker import Broker

URLS = [
    "memory://dropped",
    "redis://127.0.0.1:1",
    "sqlite:////tmp/never-made.db",
    "postgresql://127.0.0.1:1/none",
]


@pytest.mark.parametrize("url", URLS)
def test_a_broker_is_freed_as_soon_as_it_is_dropped(url: str) -> None:
    """With its connections: no collection of garbage is waited for."""
    gc.disable()
    try:
        broker = Broker.from_url(url)
        dropped = weakref.ref(broker)
        del broker
        assert dropped() is None
    finally:
        gc.enable()
