"""Rate limits are the broker's: around the run there is nothing to do."""

from typing import Any

import pytest

from ltq.message import Message
from ltq.middleware import MaxRate
from ltq.worker import Worker


async def test_it_lets_every_run_through() -> None:
    worker = Worker("shop", broker_url="memory://max-rate")

    @worker.task(max_rate="1/h")
    async def pay() -> None: ...

    message: Message[Any] = Message((), {}, pay.name)
    runs = 0
    for _ in range(3):
        async with MaxRate()(message, pay):
            runs += 1
    assert runs == 3
    with pytest.raises(ValueError, match="passes"):
        async with MaxRate()(message, pay):
            raise ValueError("passes")


def test_it_implements_max_rate() -> None:
    assert MaxRate.options == {"max_rate"}
