"""The figure of workflows, for a few seeds: `python -m devtools.chaos flows` takes a hundred."""

from devtools.chaos.figures.flows import flows


async def test_a_fan_in_goes_on_once_whoever_dies() -> None:
    goals = {goal.name: goal for goal in await flows(500, 1, seeds=12)}
    assert all(goal.is_met for goal in goals.values()), goals
    assert goals["crashes of who carries on"].value != 0
    assert goals["deaths of workers with what they held"].value != 0
