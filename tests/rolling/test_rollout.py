"""Two versions of a shop side by side under load: deployed, rolled back and deployed again.

`nox -s faults` runs it, or `pytest -o addopts= tests/rolling`. The shop is in `v1` and `v2`; the
tests ask about one deployment (see `rollout`), whose senders of both versions never rest.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from ltq.state import Status
from tests.rolling.record import Ran, Sent
from tests.rolling.rollout import Phase, Rollout

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

UNIQUE = {"digest", "tally", "index"}
"""Kinds of which the send of another version may have been first."""

CHANGED_RESULTS = {"price"}
"""Kinds whose versions return different types."""


def counted(sent: Iterable[Sent]) -> dict[str, int]:
    """How many of each kind and sender: what a failing test prints."""
    return dict(Counter(f"{one.kind} of {one.version}" for one in sent))


def known_to_both(rollout: Rollout) -> list[Sent]:
    """What was sent under a name that both versions have."""
    unknown = {"shop:retire", "shop:refund", "shop:letter", "basket:empty"}
    return [sent for sent in rollout.sent if sent.task not in unknown]


def most_at_once(runs: Sequence[Ran]) -> int:
    """How many of these runs were under way at the same time."""
    changes = sorted((ran.time, 1 if ran.what == "start" else -1) for ran in runs)
    running, most = 0, 0
    for _, change in changes:
        running += change
        most = max(most, running)
    return most


def runs_by(rollout: Rollout, version: str, kind: str) -> list[Ran]:
    runs = [ran for sent in rollout.of(kind) for ran in rollout.runs[sent.id]]
    return [ran for ran in runs if ran.version == version]


class TestTasks:
    def test_every_one_ends(self, rollout: Rollout) -> None:
        assert len(rollout.sent) > 2000
        assert counted(one for one in rollout.sent if one.id not in rollout.states) == {}
        waiting = [one for one in rollout.sent if not rollout.states[one.id].status.is_final]
        assert counted(waiting) == {}

    def test_none_is_rejected_but_by_an_option_of_its_worker(self, rollout: Rollout) -> None:
        rejected = [one for one in rollout.sent if rollout.states[one.id].status is Status.REJECTED]
        assert counted(one for one in rejected if one.kind != "fresh") == {}

    def test_none_fails_but_by_an_option_of_its_worker(self, rollout: Rollout) -> None:
        failed = [one for one in rollout.sent if rollout.states[one.id].status is Status.FAILED]
        assert counted(one for one in failed if one.kind not in ("slow", "flaky")) == {}

    def test_every_try_is_made_once(self, rollout: Rollout) -> None:
        starts = Counter(
            (ran.task, ran.id, ran.attempt)
            for runs in rollout.runs.values()
            for ran in runs
            if ran.what == "start"
        )
        assert {try_: count for try_, count in starts.items() if count > 1} == {}

    def test_a_claim_by_a_worker_that_does_not_know_one_is_no_delivery(
        self, rollout: Rollout
    ) -> None:
        for version in ("v1", "v2"):
            left = rollout.left[version]
            more = [sent for sent in left if rollout.states[sent.id].dequeue_count > 1]
            # A worker that stops may put one back that it has just claimed.
            assert len(more) <= 0.05 * len(left), counted(more)

    def test_those_that_both_versions_know_run_in_the_order_of_their_queue(
        self, rollout: Rollout
    ) -> None:
        kinds = {"plain", "order"}  # of one queue, without limits
        states = [rollout.states[sent.id] for sent in rollout.sent if sent.kind in kinds]
        once = [state for state in states if state.dequeue_count == 1]  # not put back
        assert len(once) > 0.9 * len(states)
        once.sort(key=lambda state: state.enqueue_time or 0.0)
        claims = [state.last_dequeue_time or 0.0 for state in once]
        assert [late - early for early, late in pairwise(claims) if late < early] == []

    def test_same_calls_of_both_versions_are_one(self, rollout: Rollout) -> None:
        calls = defaultdict(set)
        for sent in (*rollout.of("digest"), *rollout.of("index")):
            calls[sent.kind, sent.number // 4].add(sent.id)
        assert len(calls) > 10
        assert [call for call, ids in calls.items() if len(ids) > 1] == []

    def test_a_new_parameter_makes_another_call_of_it(self, rollout: Rollout) -> None:
        calls = defaultdict(set)
        for sent in rollout.of("tally"):
            calls[sent.version, sent.number // 4].add(sent.id)
        assert {len(ids) for ids in calls.values()} == {1}
        assert len({*calls}) == len(set.union(*calls.values()))


class TestNames:
    def test_new_ones_wait_for_the_first_worker_that_knows_them(self, rollout: Rollout) -> None:
        waited = {"shop:refund", "shop:letter", "basket:empty"}
        left = Counter(sent.task for sent in rollout.left["v1"])
        assert {task: left[task] > 10 for task in waited} == dict.fromkeys(waited, True)
        for sent in rollout.sent:
            if sent.task in waited:
                assert rollout.states[sent.id].status is Status.COMPLETED
                assert {ran.version for ran in rollout.runs[sent.id]} == {"v2"}

    def test_removed_ones_wait_for_a_worker_that_still_knows_them(self, rollout: Rollout) -> None:
        assert sum(sent.task == "shop:retire" for sent in rollout.left["v2"]) > 10
        for sent in rollout.of("retire"):
            assert rollout.states[sent.id].status is Status.COMPLETED
            assert {ran.version for ran in rollout.runs[sent.id]} == {"v1"}

    def test_former_ones_are_run_by_their_alias(self, rollout: Rollout) -> None:
        former = [sent for sent in rollout.sent if sent.task == "shop:mail"]
        assert {rollout.version_of(sent) for sent in former} == {"v1", "v2"}
        assert {rollout.states[sent.id].status for sent in former} == {Status.COMPLETED}

    def test_those_that_wait_are_in_the_stats(self, rollout: Rollout) -> None:
        assert "shop:refund" in str(rollout.stats["v1"])
        assert "basket:empty" in str(rollout.stats["v1"])
        assert "shop:retire" in str(rollout.stats["v2"])

    def test_workers_log_the_ones_that_nobody_knows(self, rollout: Rollout) -> None:
        lines = [line for line in rollout.logs["v1"].splitlines() if "shop:refund" in line]
        assert lines
        assert len(lines) < 100, "not for each task"

    def test_a_worker_that_got_another_name_does_the_work_of_its_former_one(
        self, rollout: Rollout
    ) -> None:
        former = [sent for sent in rollout.of("cart") if sent.task == "cart:empty"]
        assert {rollout.version_of(sent) for sent in former} == {"v1", "v2"}

    def test_one_in_a_new_queue_waits_for_the_workers_that_serve_it(self, rollout: Rollout) -> None:
        runs = {(sent.version, rollout.version_of(sent)) for sent in rollout.of("moved")}
        assert runs == {("v1", "v1"), ("v1", "v2"), ("v2", "v2")}


class TestOptions:
    """A run has the options of the code that runs it, except for those of `with_options`."""

    def test_timeout(self, rollout: Rollout) -> None:
        ends = {
            (rollout.version_of(sent), rollout.states[sent.id].status)
            for sent in rollout.of("slow")
        }
        assert ends == {("v1", Status.FAILED), ("v2", Status.COMPLETED)}

    def test_max_tries(self, rollout: Rollout) -> None:
        most = {"v1": 1, "v2": 3}
        for sent in rollout.of("flaky"):
            runs = [ran for ran in rollout.runs[sent.id] if ran.what != "start"]
            tried = [run.attempt for run in runs]
            assert tried == list(range(1, len(runs) + 1))
            assert all(run.attempt < most[run.version] for run in runs[:-1])
            is_done = runs[-1].what == "end"
            assert is_done == (runs[-1].attempt == 3)
            assert is_done or runs[-1].attempt >= most[runs[-1].version]

    def test_max_age(self, rollout: Rollout) -> None:
        ends = {
            (rollout.version_of(sent), rollout.states[sent.id].status)
            for sent in rollout.of("fresh")
        }
        assert ends == {("v1", Status.REJECTED), ("v2", Status.COMPLETED)}

    def test_result_ttl(self, rollout: Rollout) -> None:
        kept = {
            (rollout.version_of(sent), round(rollout.ttls[sent.id], -1))
            for sent in rollout.of("keep")
        }
        assert kept == {("v1", 600), ("v2", 300)}

    def test_those_of_a_send_travel(self, rollout: Rollout) -> None:
        for kind in ("slow, timeout", "flaky, max_tries"):
            ended = {rollout.states[sent.id].status for sent in rollout.of(kind)}
            assert ended == {Status.COMPLETED}, kind
        kept = {round(rollout.ttls[sent.id], -1) for sent in rollout.of("keep, result_ttl")}
        assert kept == {900}

    @pytest.mark.parametrize(("version", "kind", "limit"), [("v2", "charge", 2), ("v1", "pack", 1)])
    def test_max_running(self, rollout: Rollout, version: str, kind: str, limit: int) -> None:
        runs = runs_by(rollout, version, kind)
        assert len(runs) > 50
        assert most_at_once(runs) <= limit

    @pytest.mark.parametrize(("version", "rate"), [("v1", 5), ("v2", 40)])
    def test_max_rate(self, rollout: Rollout, version: str, rate: int) -> None:
        burst = max(1, int(rate * 0.1))
        for phase in rollout.only[version]:
            claims = [ran.claimed for ran in rollout.starts("call") if phase.has(ran.claimed)]
            assert len(claims) >= 10
            for first, later in zip(claims, claims[burst + rate :], strict=False):
                assert later - first > 0.98  # seconds, for as many as may start in one
            if version == "v1":  # more is sent than may start
                assert len(claims) > 0.8 * rate * (phase.end - phase.begin) - 1

    def test_a_max_rate_that_changes_holds_at_once(self, rollout: Rollout) -> None:
        claims = [ran.claimed for ran in rollout.starts("crawl")]
        for phase in rollout.only["v1"]:  # one an hour
            assert len([claim for claim in claims if phase.has(claim)]) <= 1
        (phase,) = rollout.only["v2"]  # more than are sent
        then = [phase.begin, *(claim for claim in claims if phase.has(claim)), phase.end]
        assert max(later - early for early, later in pairwise(then)) < 2.0


class TestContext:
    """What middleware of both versions writes into `ctx`."""

    def test_it_has_what_the_sender_wrote(self, rollout: Rollout) -> None:
        own = {"v1": "trace", "v2": "tenant"}
        for sent in rollout.sent:
            for ran in rollout.runs[sent.id]:
                assert ran.ctx["sent by"] == sent.version or sent.kind in UNIQUE
                if sent.task.startswith("shop:") and sent.kind not in UNIQUE:
                    assert ran.ctx[own[sent.version]] == sent.id

    def test_it_keeps_what_earlier_runs_wrote(self, rollout: Rollout) -> None:
        runs = [rollout.runs[sent.id] for sent in rollout.of("flaky, max_tries")]
        for ran in runs:
            first, second = (one for one in ran if one.what == "start")
            assert second.ctx["ran"] == [first.version]
        assert {tuple(one.version for one in ran if one.what == "start") for ran in runs} >= {
            ("v1", "v2"),
            ("v2", "v1"),
        }


class TestResults:
    def test_handles_of_both_versions_read_them(self, rollout: Rollout) -> None:
        reads = {(read.id, read.version): read for read in rollout.reads}
        unread = []
        for sent in known_to_both(rollout):
            if rollout.states[sent.id].status is Status.COMPLETED:
                old, new = reads[sent.id, "v1"], reads[sent.id, "v2"]
                is_same = old.value == new.value or sent.kind in CHANGED_RESULTS
                if old.error or new.error or not is_same:
                    unread.append(sent)
        assert counted(unread) == {}

    def test_a_field_with_a_default_may_be_new(self, rollout: Rollout) -> None:
        reads = {(read.id, read.version): read.value for read in rollout.reads}
        assert {rollout.version_of(sent) for sent in rollout.of("price")} == {"v1", "v2"}
        for sent in rollout.of("price"):
            assert reads[sent.id, "v1"] == f"Price(amount={sent.number})"
            assert reads[sent.id, "v2"] == f"Price(amount={sent.number}, currency='EUR')"


class TestSchedules:
    SETTLED = 3.0
    """Seconds after which the schedules of the running version hold."""

    def slots(self, rollout: Rollout, name: str) -> list[int]:
        """The seconds for which a schedule was run, in order, with those that ran twice."""
        found = []
        for task_id, runs in rollout.runs.items():
            if task_id.startswith(f"{name}:"):
                stamp = datetime.strptime(task_id.removeprefix(f"{name}:"), "%Y%m%dT%H%M%SZ")
                starts = sum(ran.what == "start" for ran in runs)
                found += [int(stamp.replace(tzinfo=UTC).timestamp())] * starts
        return sorted(found)

    def in_phases(self, slots: list[int], phases: list[Phase]) -> list[int]:
        """The slots of the phases, without the first seconds of each."""
        return [slot for slot in slots for phase in phases if slot in self.whole(phase)]

    def whole(self, phase: Phase) -> range:
        return range(int(phase.begin + self.SETTLED) + 1, int(phase.end))

    def seconds(self, phases: list[Phase]) -> list[int]:
        return [second for phase in phases for second in self.whole(phase)]

    def test_one_that_stays_fires_each_slot_once(self, rollout: Rollout) -> None:
        slots = self.slots(rollout, "tick")
        assert len(slots) > 20
        assert slots == list(range(slots[0], slots[-1] + 1))

    def test_one_that_changes_fires_no_slot_twice(self, rollout: Rollout) -> None:
        for name in ("tock", "rare"):
            slots = self.slots(rollout, name)
            assert [slot for slot, count in Counter(slots).items() if count > 1] == []

    def test_one_that_changes_fires_as_the_running_version_says(self, rollout: Rollout) -> None:
        slots = self.slots(rollout, "tock")
        old, new = rollout.only["v1"], rollout.only["v2"]
        assert self.in_phases(slots, old) == self.seconds(old)
        even = [second for second in self.seconds(new) if second % 2 == 0]
        assert self.in_phases(slots, new) == even
        slots = self.slots(rollout, "rare")
        assert self.in_phases(slots, old) == []
        assert self.in_phases(slots, new) == self.seconds(new)

    def test_those_of_one_version_fire_while_it_runs(self, rollout: Rollout) -> None:
        old, new = rollout.only["v1"], rollout.only["v2"]
        for name, own, others in (("old", old, new), ("new", new, old)):
            slots = self.slots(rollout, name)
            assert self.in_phases(slots, own) == self.seconds(own)
            assert self.in_phases(slots, others) == []
            assert len(slots) == len(set(slots))
