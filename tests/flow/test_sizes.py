"""How much of what has arrived is read at once, and how much a task may get."""

from collections.abc import Sequence

import pytest

from ltq._flow import go_on as module
from ltq._flow.go_on import go_on
from ltq._flow.slots import FIRST_READ, MOST_AT_ONCE, read_slots
from ltq.broker.flows import HELD, Arrival, WaitingTask
from ltq.brokers.memory import MemoryBroker
from ltq.errors import TaskRejectedError
from ltq.message import Envelope
from ltq.names import new_id
from tests.flow.stage import Stage

QUEUE = "one:add"
CTX = b'{"ltq.flow":{"queue":"one:add","end":"x"}}'


class Counting(MemoryBroker):
    """Tells how many slots were read at once."""

    def __init__(self) -> None:
        super().__init__(f"memory://{new_id()}?history=0")
        self.reads: list[int] = []

    async def held(self, queue: str, task_id: str, slots: Sequence[int]) -> WaitingTask | None:
        self.reads.append(len(slots))
        return await super().held(queue, task_id, slots)


@pytest.fixture
def broker() -> Counting:
    return Counting()


async def fill(broker: MemoryBroker, count: int, size: int) -> None:
    """A task that waits, with so many results of so many bytes."""
    envelope = Envelope(
        id="x", queue=QUEUE, task_name=QUEUE, body=b'{"flow":"join"}', eta=HELD, ctx=CTX
    )
    await broker.publish([envelope])
    value = b'"%b"' % (b"x" * size)
    await broker.arrive(QUEUE, [Arrival("x", slot, count, value) for slot in range(count)])


async def test_small_values_are_read_more_and_more_at_once(broker: Counting) -> None:
    await fill(broker, 3000, 1)
    found = [slot async for some, _ in read_slots(broker, QUEUE, "x", range(3000)) for slot in some]
    assert found == [*range(3000)]
    assert broker.reads[0] == FIRST_READ
    assert max(broker.reads) == MOST_AT_ONCE
    assert len(broker.reads) < 12


async def test_of_large_ones_a_few(broker: Counting) -> None:
    await fill(broker, 40, 600_000)
    seen = [some async for some, _ in read_slots(broker, QUEUE, "x", range(40))]
    assert len(seen[0]) == FIRST_READ
    assert {len(some) for some in seen[1:]} == {1}


async def test_few_values_cost_one_call(broker: Counting) -> None:
    await fill(broker, 2, 10)
    assert await go_on(broker, QUEUE, "x") is not None
    assert broker.reads == [FIRST_READ]


async def test_more_than_a_task_may_get_rejects_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ARRIVED", 2000)
    stage = Stage()
    async with stage.one, stage.two:
        fits = stage.numbers.step(30).map(stage.text, 50).then(stage.lengths)
        assert await (await fits.send()).result(10) == 1500
        for node in (
            stage.numbers.step(30).map(stage.text, 80).then(stage.lengths),
            stage.numbers.step(3000).map(stage.text, 80).then(stage.lengths),
        ):
            with pytest.raises(TaskRejectedError, match="of results arrived"):
                await (await node.send()).result(20)
