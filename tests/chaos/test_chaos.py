"""A short chaos run. `python -m tests.chaos` does long ones, with other seeds."""

import os
from pathlib import Path

import pytest

from tests.chaos import remains
from tests.chaos.siege import Siege
from tests.chaos.stage import Stage
from tests.chaos.timeline import Timeline, draw, read

SEED_VARIABLE = "LTQ_CHAOS_SEED"
DEFAULT_SEED = 2863
"""Its timeline has every kind of fault."""

SECONDS = 8.0


def timeline_of(seed: int) -> Timeline:
    return draw(seed, SECONDS, workers=3, lease=2.0, pause=0.5)


class TestChaos:
    @pytest.mark.slow
    @pytest.mark.timeout(240)
    @pytest.mark.usefixtures("redis_executable")
    async def test_faults_of_every_kind_leave_nothing_wrong(self, tmp_path: Path) -> None:
        seed = int(os.environ.get(SEED_VARIABLE, DEFAULT_SEED))
        timeline = timeline_of(seed)
        async with Stage(lease=timeline.lease, directory=tmp_path, seed=seed) as stage:
            report = await Siege(stage, timeline, pause=0.05, toxic=1).run()
        report.show()
        assert report.violations == [], f"{SEED_VARIABLE}={seed}"


class TestTimeline:
    def test_a_seed_gives_the_same_faults_again(self) -> None:
        assert timeline_of(1) == timeline_of(1) != timeline_of(2)

    def test_the_short_run_has_every_kind(self) -> None:
        assert len({fault.kind for fault in timeline_of(DEFAULT_SEED).faults}) == 10

    def test_it_can_be_read_again(self, tmp_path: Path) -> None:
        timeline = timeline_of(1)
        timeline.write(tmp_path / "timeline.json")
        assert read(tmp_path / "timeline.json") == timeline


class TestBoundedKeys:
    def test_they_are_those_of_the_table(self) -> None:
        bounded = remains.bounded_keys()
        known = ["ltq:namespaces", "ltq:{chaos}:ready:1:chaos:work", "ltq:{chaos}:lanes"]
        for key in known:
            assert any(pattern.fullmatch(key) for pattern in bounded), key
        for key in ["ltq:{chaos}:task:work-1", "ltq:{chaos}:letter:work-1", "ltq:other"]:
            assert not any(pattern.fullmatch(key) for pattern in bounded), key
