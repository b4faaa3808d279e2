"""The conformance suite as a library: what a package outside of LTQ gets."""

import inspect
import os
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from ltq.testing import conformance

ROOT = Path(__file__).parent.parent.parent

ON_MEMORY = """
import pytest
from ltq.brokers.memory import MemoryBroker
from ltq.message import new_id
from ltq.testing.conformance.seam import *

@pytest.fixture
def make_broker():
    url = f"memory://{new_id()}"
    return lambda: MemoryBroker(url)
"""

ON_A_BROKEN_ONE = """
import pytest
from ltq.message import new_id
from ltq.testing.conformance.seam import *
from tests.conformance.broken import %s

@pytest.fixture
def make_broker():
    url = f"tiny://{new_id()}"
    return lambda: %s(url)
"""


INI = """
[pytest]
asyncio_mode = {mode}
asyncio_default_fixture_loop_scope = session
"""


def run_suite(
    folder: Path, test_file: str, *options: str, mode: str = "strict"
) -> "subprocess.CompletedProcess[str]":
    """Run pytest in a folder with nothing but a test file of somebody else's."""
    (folder / "test_mine.py").write_text(test_file, "utf-8")
    (folder / "pytest.ini").write_text(INI.format(mode=mode), "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        command,
        cwd=folder,
        env={**environment, "LTQ_TEST_PATIENCE": "0.02"},  # what is broken fails by it
        capture_output=True,
        text=True,
        check=False,
    )


class TestLibrary:
    def test_every_test_class_is_collected_by_import_star(self) -> None:
        written = set()
        for _, name, _ in pkgutil.walk_packages(conformance.__path__, f"{conformance.__name__}."):
            for own, value in vars(import_module(name)).items():
                if own.startswith("Test") and inspect.isclass(value):
                    written.add(value)
        assert {getattr(conformance, name) for name in conformance.__all__} >= written

    def test_no_two_test_classes_share_a_name(self) -> None:
        names = [name for name in conformance.__all__ if name.startswith("Test")]
        assert len(names) == len(set(names))

    def test_it_needs_one_fixture_that_it_has_not(self) -> None:
        fixtures = {name for name in conformance.__all__ if not name.startswith("Test")}
        assert fixtures == {
            *("broker", "consumer", "desk", "make_consumer", "open_broker", "shop", "worker")
        }

    @pytest.mark.slow
    def test_whoever_only_tests_tasks_does_not_import_it(self) -> None:
        script = (
            "import ltq.testing, sys; "
            "print([m for m in sys.modules if m.startswith(('pytest', 'ltq.testing.conf'))])"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert done.stdout.strip() == "[]"


@pytest.mark.slow
class TestModes:
    @pytest.mark.parametrize("mode", ["strict", "auto"])
    def test_it_runs_in_either_mode_of_pytest_asyncio(self, tmp_path: Path, mode: str) -> None:
        done = run_suite(tmp_path, ON_MEMORY, "-W", "error", "-k", "TestToken", mode=mode)
        assert "4 passed" in done.stdout, done.stdout

    def test_a_failure_shows_what_was_compared(self, tmp_path: Path) -> None:
        test_file = ON_A_BROKEN_ONE % ("Repeating", "Repeating")
        done = run_suite(tmp_path, test_file, "-k", "test_a_cancelled_task_is_there")
        assert "At index 0 diff: <Published.CREATED" in done.stdout, done.stdout


@pytest.mark.slow
@pytest.mark.timeout(240)  # each runs half of the suite
class TestBrokenBrokers:
    @pytest.mark.parametrize(
        ("broker", "found_by"),
        [
            (
                "Unfenced",
                {
                    "TestToken::test_an_outcome_with_an_old_one_changes_nothing",
                    "TestToken::test_it_grows_even_when_the_task_was_forgotten_in_between",
                    "TestRecovery::test_the_lost_lease_is_void_after_the_next_claim",
                    "TestRepeatedOutcome::test_a_requeue_repeated_after_the_next_claim_was_recorded",
                    "TestReplay::test_an_outcome_of_its_former_life_is_stale",
                    "TestDeadOutcome::test_it_is_not_kept_by_a_stale_outcome",
                },
            ),
            (
                "Forgetful",
                {
                    "TestRecovery::test_any_claim_recovers_it",
                    "TestRecovery::test_the_task_of_a_dead_worker_is_pending_again",
                    "TestPoison::test_a_task_that_killed_too_many_workers_is_rejected",
                    "TestTorrelqueSweep::test_stale_and_delayed_tasks_come_back",
                },
            ),
            (
                "Repeating",
                {
                    "TestIdThatIsThere::test_it_is_not_enqueued_again",
                    "TestIdThatIsThere::test_delayed_working_and_final_tasks_are_there",
                    "TestMaxPending::test_an_id_that_is_there_exists_even_when_the_queue_is_full",
                },
            ),
        ],
    )
    def test_the_suite_finds_the_mistake(
        self, tmp_path: Path, broker: str, found_by: set[str]
    ) -> None:
        done = run_suite(tmp_path, ON_A_BROKEN_ONE % (broker, broker), "--tb=no")
        failed = {
            line.split("::", 1)[1].split(" ")[0]
            for line in done.stdout.splitlines()
            if line.startswith("FAILED")
        }
        assert failed >= found_by
