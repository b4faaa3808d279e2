"""A short run of what `python -m devtools.chaos schedules` does for minutes, and its judgement."""

import pytest

from devtools.chaos import plans
from devtools.chaos.figures import kept
from devtools.chaos.figures.schedules import _judge, schedules
from devtools.chaos.slots import Fired

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


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.usefixtures("redis_executable")
async def test_many_that_are_put_and_due_together_fire_each_slot_once() -> None:
    goals = await kept.kept(20.0, 500, SEED)
    assert [goal for goal in goals if not goal.is_met] == []
    assert next(goal.value for goal in goals if goal.name == "slots due") in (500, 1000, 1500)


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


class TestJudgementOfKept:
    def missed(self, *slots: int, late: float = 0.0) -> list[str]:
        found = [Fired("kept-1", slot, late) for slot in slots]
        goals = kept._judge(found, {("kept-1", slot) for slot in (15, 30)})
        return [goal.name for goal in goals if not goal.is_met]

    def test_each_slot_once_is_well_and_so_is_one_after_the_end(self) -> None:
        assert self.missed(15, 30) == self.missed(30, 15, 45) == []

    def test_twice_or_missing_or_early_is_not(self) -> None:
        assert self.missed(15, 15, 30) == ["fired twice"]
        assert self.missed(15, 45) == ["missing"]
        assert self.missed(15, 30, late=-0.1) == ["early"]

    def test_the_slots_of_a_time(self) -> None:
        assert [*kept._slots(14.9, 45.0)] == [15, 30, 45]
        assert [*kept._slots(15.0, 44.9)] == [30]
