"""How a scheduler follows the schedules that its broker keeps."""

import pytest

from ltq._aio.clock import jittered
from ltq._scheduler import kept
from ltq._scheduler.kept import KeptSchedules
from ltq.brokers.memory import MemoryBroker
from ltq.names import new_id
from ltq.testing.conformance._schedules.kept import make_schedule


@pytest.mark.parametrize("again_after", [0.0, 30.0])
async def test_a_change_that_was_never_marked_is_found_later(
    monkeypatch: pytest.MonkeyPatch, again_after: float
) -> None:
    """Who made it died between the change and its mark."""
    monkeypatch.setattr(kept, "REREAD", again_after)
    broker = MemoryBroker(f"memory://{new_id()}")
    await broker.put_schedule(make_schedule("first"), 1)
    marks = await broker.schedule_marks()

    async def old_marks() -> dict[str, int]:
        return dict(marks)

    monkeypatch.setattr(broker, "schedule_marks", old_marks)
    schedules = KeptSchedules(broker, {}, jittered)
    assert await schedules.update()
    await broker.put_schedule(make_schedule("second"), 1)
    assert await schedules.update() is (again_after == 0.0)
    expected = {"first", "second"} if again_after == 0.0 else {"first"}
    assert {name for _, name in schedules.entries} == expected
