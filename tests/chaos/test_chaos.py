"""A short chaos run. `python -m devtools.chaos` does long ones, with other seeds."""

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import closing
from pathlib import Path
from secrets import token_hex

import pytest

from devtools.chaos import jobs, remains
from devtools.chaos.load import Notes
from devtools.chaos.postgres_stage import PostgresStage
from devtools.chaos.rabbitmq_stage import RabbitStage
from devtools.chaos.redis_stage import RedisStage
from devtools.chaos.siege import Siege
from devtools.chaos.sqlite_remains import left_in
from devtools.chaos.sqlite_stage import SqliteStage
from devtools.chaos.stage import Stage, through
from devtools.chaos.timeline import Store, Timeline, draw, read
from ltq.brokers.memory import MemoryBroker
from ltq.brokers.sqlite import SqliteBroker
from ltq.message import Finish
from ltq.state import Status

SEED_VARIABLE = "LTQ_CHAOS_SEED"
SEEDS: Mapping[Store, int] = {"redis": 2863, "sqlite": 1, "postgres": 736}
"""By store, one whose timeline has every kind of fault."""

SECONDS = 8.0


def timeline_of(seed: int, store: Store = "redis") -> Timeline:
    return draw(seed, SECONDS, workers=3, lease=2.0, pause=0.5, store=store)


class TestChaos:
    @pytest.mark.slow
    @pytest.mark.timeout(240)
    @pytest.mark.parametrize(
        ("store", "stage_of", "needed"),
        [
            ("redis", RedisStage, "redis_executable"),
            ("sqlite", SqliteStage, "redis_executable"),  # for the ledger
            ("postgres", PostgresStage, "postgres_folder"),
        ],
    )
    async def test_faults_of_every_kind_leave_nothing_wrong(
        self,
        request: pytest.FixtureRequest,
        tmp_path: Path,
        store: Store,
        stage_of: Callable[..., Stage],
        needed: str,
    ) -> None:
        request.getfixturevalue(needed)
        seed = int(os.environ.get(SEED_VARIABLE, SEEDS[store]))
        timeline = timeline_of(seed, store)
        async with stage_of(lease=timeline.lease, directory=tmp_path, seed=seed) as stage:
            report = await Siege(stage, timeline, pause=0.05, toxic=1).run()
        report.show()
        assert report.violations == [], f"{SEED_VARIABLE}={seed}"


class TestRabbit:
    """RabbitMQ and the store behind it are killed in turn, and together."""

    TIMELINE = draw(124, 6.0, workers=2, lease=2.0, pause=0.5, store="rabbitmq")

    def test_each_is_hurt(self) -> None:
        kinds = {fault.kind for fault in self.TIMELINE.faults}
        assert kinds >= {"rabbitmq", "redis", "both", "kill"}

    @pytest.mark.slow
    @pytest.mark.timeout(240)
    @pytest.mark.usefixtures("redis_executable", "rabbitmq_executable")
    async def test_nothing_is_lost_and_nothing_runs_twice(self, tmp_path: Path) -> None:
        timeline = self.TIMELINE
        async with RabbitStage(
            lease=timeline.lease, directory=tmp_path, seed=timeline.seed
        ) as stage:
            report = await Siege(stage, timeline, pause=0.05, toxic=1).run()
        report.show()
        assert report.violations == []


class TestTimeline:
    def test_a_seed_gives_the_same_faults_again(self) -> None:
        assert timeline_of(1) == timeline_of(1) != timeline_of(2)

    def test_the_short_run_has_every_kind(self) -> None:
        assert len({fault.kind for fault in timeline_of(SEEDS["redis"]).faults}) == 10
        of_a_file = timeline_of(SEEDS["sqlite"], "sqlite").faults
        assert len({fault.kind for fault in of_a_file}) == 7
        of_a_database = timeline_of(SEEDS["postgres"], "postgres").faults
        assert len({fault.kind for fault in of_a_database}) == 13

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


class TestFile:
    @pytest.fixture
    async def path(self, tmp_path: Path) -> Path:
        """A file with a finished task."""
        path = tmp_path / "jobs.db"
        async with SqliteBroker(f"sqlite:///{path}") as broker:
            await through(jobs.echo, broker).send(1)
            async with broker.consumer([jobs.echo.queue]) as consumer:
                (delivery,) = (await consumer.claim(1)).deliveries
                await broker.release(delivery.lease, result=b"1", result_ttl=60)
        return path

    def test_one_with_nothing_to_do_is_in_order(self, path: Path) -> None:
        assert left_in(path) == []

    @pytest.mark.parametrize(
        ("damage", "told"),
        [
            (
                "UPDATE ltq_tasks SET status = 0",
                ["is not final", "has no such", "has such", "lane"],
            ),
            ("UPDATE ltq_counts SET many = many + 1 WHERE status = 3", ["has no such", "has such"]),
            ("UPDATE ltq_lanes SET working = -1", ["lane"]),
            ("DELETE FROM ltq_envelopes", ["task without an envelope"]),
            ("DELETE FROM ltq_tasks", ["has no such", "envelope without", "id without"]),
            ("DELETE FROM ltq_ids", ["task without an id"]),
        ],
    )
    def test_what_does_not_agree_is_told(self, path: Path, damage: str, told: list[str]) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(damage)
        found = left_in(path)
        assert all(any(part in one for one in found) for part in told), found


class TestDeadLetters:
    """Of a chaos run whose tasks `toxic-1` and `work-1` died."""

    @pytest.fixture
    async def broker(self) -> AsyncIterator[MemoryBroker]:
        async with MemoryBroker(f"memory://{token_hex(4)}") as broker:
            for task_id in ("toxic-1", "work-1"):
                await through(jobs.broken.with_options(id=task_id), broker).send(1)
            async with broker.consumer([jobs.broken.queue]) as consumer:
                claim = await consumer.claim(2)
                dead = [Finish(one.lease, Status.FAILED, dead=True) for one in claim.deliveries]
                await broker.finish(dead)
            yield broker

    async def test_a_task_that_should_live_is_told(self, broker: MemoryBroker) -> None:
        notes = Notes(refused=["toxic-1"])
        told = await remains.misplaced_dead_letters(broker, notes)
        assert told == [f"work-1 is a dead letter of {jobs.broken.queue}"]

    async def test_a_send_that_was_cut_off_may_have_arrived(self, broker: MemoryBroker) -> None:
        notes = Notes(in_flight={"toxic-1", "work-1"})
        told = await remains.misplaced_dead_letters(broker, notes)
        assert told == [f"work-1 is a dead letter of {jobs.broken.queue}"]
