"""A short run of what `python -m devtools.chaos schedules` does for minutes, and its judgement."""

import pytest

from devtools.chaos import plans
from devtools.chaos.figures.schedules import Fired, _judge, schedules

SEED = 22


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("redis_executable")
async def test_schedulers_that_are_killed_and_paused_fire_each_slot_once() -> None:
    goals = await schedules(6.0, 3, SEED)
    assert [goal for goal in goals if not goal.is_met] == []
    fired = next(goal for goal in goals if goal.name == "slots fired")
    assert isinstance(fired.value, int)
    assert fired.value > len(plans.ALL)


class TestJudgement:
    def missed(self, *slots: int, late: float = 0.0) -> list[str]:
        goals = _judge([Fired("all-1", slot, late) for slot in slots])
        return [goal.name for goal in goals if not goal.is_met]

    def test_one_after_the_other_is_well(self) -> None:
        assert self.missed(5, 6, 7) == []

    def test_twice_is_not(self) -> None:
        assert self.missed(5, 6, 6) == ["fired twice"]

    def test_a_hole_is_not(self) -> None:
        assert self.missed(5, 7) == ["missing, of those with misfire='all'"]

    def test_going_back_is_not(self) -> None:
        assert self.missed(5, 7, 6) == ["fired after a later one"]

    def test_too_early_is_not(self) -> None:
        assert self.missed(5, late=-0.1) == ["early"]
