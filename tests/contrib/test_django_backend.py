"""`LtqBackend` runs the tasks of Django 6, or before that those of the package django-tasks."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.test.utils import override_settings

import ltq
from devtools.source import ROOT
from ltq.contrib.django import LtqBackend
from ltq.contrib.django._tasks_api import (
    InvalidTask,
    TaskResultDoesNotExist,
    task_backends,
    task_enqueued,
    task_finished,
    task_started,
)
from ltq.names import new_id
from tests.contrib import sites

HOUR = timedelta(hours=1)


@pytest.fixture
def url() -> str:
    return f"memory://{new_id()}"


@pytest.fixture
def letters(url: str) -> Iterator[Any]:
    """The tasks of an app, whose backend has a broker of its own."""
    with sites.project(sites.LETTERS, TASKS={"default": sites.backend(url)}):
        from tests.contrib.letters import tasks

        tasks.ran.clear()
        yield tasks
    ltq.close_sync()


def status_of(url: str, result: Any) -> ltq.TaskState[bytes]:
    async def look() -> ltq.TaskState[bytes]:
        return await ltq.Broker.from_url(url).state("django:default", result.id)

    return asyncio.run(look())


class TestRun:
    def test_it_goes_from_ready_to_successful(self, letters: Any) -> None:
        before = datetime.now(UTC)
        result = letters.add.enqueue(1, two=2)
        assert (result.status, result.args, result.kwargs) == ("READY", [1], {"two": 2})
        assert (result.attempts, result.started_at, result.finished_at) == (0, None, None)
        waiting = letters.add.get_result(result.id)
        assert (waiting.status, waiting.args, waiting.kwargs) == ("READY", [1], {"two": 2})
        assert waiting.task == letters.add
        sites.work()
        result.refresh()
        assert (result.status, result.return_value, result.attempts) == ("SUCCESSFUL", 3, 1)
        assert before <= result.enqueued_at <= result.started_at <= result.finished_at
        done = letters.add.get_result(result.id)
        assert (done.args, done.kwargs, done.errors) == ([1], {"two": 2}, [])

    def test_a_coroutine_function_runs(self, letters: Any) -> None:
        result = letters.add_slowly.enqueue(1, 2)
        sites.work()
        result.refresh()
        assert result.return_value == 3

    def test_the_arguments_and_the_result_are_those_of_json(self, letters: Any) -> None:
        result = letters.change.enqueue(values=(1, 2))
        assert result.kwargs == {"values": [1, 2]}
        sites.work()
        done = letters.change.get_result(result.id)
        assert (done.return_value, done.kwargs) == (3, {"values": [1, 2]})
        with pytest.raises(TypeError):
            letters.add.enqueue(object())

    def test_a_result_that_is_not_json_is_a_failure(self, letters: Any) -> None:
        result = letters.give_a_time.enqueue()
        sites.work()
        result.refresh()
        assert result.errors[0].exception_class is TypeError

    def test_a_large_result_has_room_beside_its_arguments(self, letters: Any) -> None:
        result = letters.give_large.enqueue("x" * 1_000_000)
        sites.work()
        result.refresh()
        assert len(result.return_value) == 1_000_000

    def test_one_whose_function_no_worker_knows_waits(
        self, letters: Any, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result = letters.add.enqueue(1)
        with override_settings(INSTALLED_APPS=["ltq.contrib.django"]), monkeypatch.context() as now:
            now.setattr("ltq.contrib.django._known._known", {("default", "a.b"): letters.note})
            sites.work()
        assert letters.add.get_result(result.id).status == "READY"
        sites.work()
        assert letters.add.get_result(result.id).return_value == 1

    def test_a_task_enqueues_another(self, letters: Any) -> None:
        result = letters.enqueue_another.enqueue()
        sites.work()
        result.refresh()
        assert letters.add.get_result(result.return_value).return_value == 7


STORES = ["redis_url", "sqlite_url", pytest.param("postgres_url", marks=pytest.mark.slow)]


class TestStores:
    @pytest.fixture
    def sqlite_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'jobs.db'}"

    @pytest.fixture(params=STORES)
    def url(self, request: pytest.FixtureRequest) -> str:
        return str(request.getfixturevalue(request.param))

    def test_each_knows_what_a_result_needs(self, letters: Any) -> None:
        done = letters.add.using(priority=3).enqueue(1, two=2)
        failed = letters.fail.using(queue_name="emails").enqueue("x")
        assert letters.add.get_result(done.id).args == [1]
        sites.work()
        done, failed = letters.add.get_result(done.id), letters.fail.get_result(failed.id)
        assert (done.return_value, done.kwargs, done.task.priority) == (3, {"two": 2}, 3)
        assert (failed.args, failed.task.queue_name) == (["x"], "emails")
        assert failed.errors[0].exception_class is letters.LetterError


class TestFailure:
    @pytest.mark.parametrize(
        ("name", "args", "path", "text"),
        [
            ("fail", ["no\nLetterError: x"], "tests.contrib.letters.tasks.LetterError", "x"),
            ("fail_plainly", [], "builtins.ValueError", "second: x"),
            ("fail_together", [], "builtins.ExceptionGroup", "LetterError: b"),
        ],
    )
    def test_it_has_the_class_and_the_traceback(
        self, letters: Any, name: str, args: list[Any], path: str, text: str
    ) -> None:
        task = getattr(letters, name)
        result = task.enqueue(*args)
        sites.work()
        failed = task.get_result(result.id)
        (error,) = failed.errors
        assert (failed.status, failed.args) == ("FAILED", args)
        assert (error.exception_class_path, failed.is_finished) == (path, True)
        assert issubclass(error.exception_class, Exception)
        assert "Traceback (most recent call last)" in error.traceback
        assert text in error.traceback

    def test_a_rejected_one_has_failed(self, letters: Any) -> None:
        result = letters.reject.enqueue()
        sites.work()
        (error,) = letters.reject.get_result(result.id).errors
        assert (error.exception_class, error.traceback) == (ltq.RejectError, "not wanted")

    def test_a_cancelled_one_has_failed(self, letters: Any, url: str) -> None:
        result = letters.add.enqueue(1)

        async def cancel() -> None:
            await ltq.Broker.from_url(url).cancel("django:default", result.id, 60)

        asyncio.run(cancel())
        result.refresh()
        assert (result.status, result.args) == ("FAILED", [1])
        assert result.errors[0].exception_class is ltq.TaskCancelledError
        assert result.errors[0].traceback == "the task was cancelled"
        assert letters.add.get_result(result.id).args == []  # they are not kept


class TestContext:
    def test_it_has_the_attempt_and_the_result(self, letters: Any) -> None:
        result = letters.attempt.enqueue()
        sites.work()
        result.refresh()
        assert result.return_value == [2, result.id, "RUNNING"]
        assert letters.ran[0].worker_ids == [result.worker_ids[1]]
        assert (result.worker_ids[0], result.attempts) == ("unknown", 2)

    def test_a_coroutine_has_it_too(self, letters: Any) -> None:
        result = letters.attempt_slowly.enqueue()
        sites.work()
        result.refresh()
        assert result.return_value == 2


class TestOptions:
    def test_one_to_run_later_waits(self, letters: Any, url: str) -> None:
        due = datetime.now(ZoneInfo("Europe/Berlin")) + HOUR
        task = letters.add.using(run_after=due)
        result = task.enqueue(1)
        sites.work()
        found = letters.add.get_result(result.id)
        assert (found.status, found.task.run_after) == ("READY", due)
        assert status_of(url, result).due_time == pytest.approx(due.timestamp(), abs=1)

    def test_one_whose_time_has_come_runs(self, letters: Any) -> None:
        due = datetime.now(UTC) - HOUR
        result = letters.add.using(run_after=due).enqueue(1)
        sites.work()
        found = letters.add.get_result(result.id)
        assert (found.return_value, found.task.run_after) == (1, due)

    def test_without_time_zones_times_are_naive(self, letters: Any, url: str) -> None:
        with override_settings(USE_TZ=False, TIME_ZONE="Europe/Berlin"):
            due = datetime.now(ZoneInfo("Europe/Berlin")).replace(tzinfo=None) + HOUR
            result = letters.add.using(run_after=due).enqueue(1)
            state = status_of(url, result)
            assert state.due_time == pytest.approx(datetime.now(UTC).timestamp() + 3600, abs=5)
            found = letters.add.get_result(result.id)
            assert (found.task.run_after, found.enqueued_at.tzinfo) == (due, None)

    def test_a_higher_priority_goes_first(self, letters: Any) -> None:
        for priority, word in ((-50, "low"), (0, "normal"), (50, "high")):
            letters.note.using(priority=priority).enqueue(word)
        sites.work(concurrency=1)
        assert letters.ran == ["high", "normal", "low"]

    def test_a_result_knows_the_priority(self, letters: Any) -> None:
        result = letters.add.using(priority=17).enqueue(1)
        assert letters.add.get_result(result.id).task.priority == 17
        sites.work()
        assert letters.add.get_result(result.id).task.priority == 17

    def test_each_queue_is_one_of_ltq(self, letters: Any, url: str) -> None:
        result = letters.add.using(queue_name="emails").enqueue(1)
        assert status_of(url, result).queue == "django:emails"
        sites.work()
        found = letters.add.get_result(result.id)
        assert (found.return_value, found.task.queue_name) == (1, "emails")

    def test_an_unknown_queue_is_refused(self, letters: Any) -> None:
        with pytest.raises(InvalidTask, match="Queue 'other' is not valid"):
            letters.add.using(queue_name="other")

    def test_a_name_that_ltq_does_not_allow_is_refused(self, letters: Any) -> None:
        fn = vars(letters)["add"].func
        odd = type(fn)(fn.__code__, vars(letters), "größe")
        odd.__qualname__, odd.__module__ = "größe", letters.__name__
        vars(letters)["größe"] = odd
        try:
            with pytest.raises(InvalidTask, match=r"task name .* is not allowed"):
                letters.task(odd)
        finally:
            del vars(letters)["größe"]

    def test_results_are_kept_as_long_as_they_should(self, url: str) -> None:
        with sites.project(sites.LETTERS, TASKS={"default": sites.backend(url, result_ttl=0)}):
            from tests.contrib.letters import tasks

            result = tasks.add.enqueue(1)
            sites.work()
            with pytest.raises(TaskResultDoesNotExist):
                tasks.add.get_result(result.id)
        ltq.close_sync()

    def test_the_worker_has_another_name(self, url: str) -> None:
        with sites.project(sites.LETTERS, TASKS={"default": sites.backend(url, worker="other")}):
            from tests.contrib.letters import tasks

            result = tasks.add.enqueue(1)
            sites.work("other")
            assert tasks.add.get_result(result.id).return_value == 1
        ltq.close_sync()

    def test_a_wrong_one_is_refused_at_the_first_use(self, letters: Any, url: str) -> None:
        for wrong, said in (
            (sites.backend(url, workers="x"), "unknown option 'workers'"),
            (sites.backend("nothing://"), "nothing"),
        ):
            with (
                override_settings(TASKS={"default": wrong}),
                pytest.raises(ltq.ConfigurationError, match=said),
            ):
                letters.add.enqueue(1)


class TestResults:
    @pytest.mark.parametrize("unknown", ["nobody", "a b", ""])
    def test_an_unknown_id_has_none(self, letters: Any, unknown: str) -> None:
        with pytest.raises(TaskResultDoesNotExist):
            letters.add.get_result(unknown)

    def test_one_of_another_task_is_a_mismatch(self, letters: Any) -> None:
        result = letters.add.enqueue(1)
        with pytest.raises(Exception, match="Task does not match"):
            letters.note.get_result(result.id)

    def test_one_whose_function_is_gone_does_not_exist(
        self, letters: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result = letters.add.enqueue(1)
        monkeypatch.setattr("ltq.contrib.django._known._known", {})
        monkeypatch.delattr(letters, "add")
        with pytest.raises(TaskResultDoesNotExist, match="is not a task here"):
            task_backends["default"].get_result(result.id)


class TestCoroutines:
    async def test_they_enqueue_and_look_up(self, letters: Any) -> None:
        result = await letters.add.aenqueue(1, two=2)
        await asyncio.to_thread(sites.work)
        found = await letters.add.aget_result(result.id)
        await result.arefresh()
        assert (found.return_value, result.return_value) == (3, 3)

    async def test_a_call_that_would_block_the_event_loop_is_refused(self, letters: Any) -> None:
        with pytest.raises(SynchronousOnlyOperation, match="aenqueue"):
            letters.add.enqueue(1)
        with pytest.raises(SynchronousOnlyOperation, match="aget_result"):
            letters.add.get_result("a")


class TestSignals:
    @pytest.fixture
    def told(self) -> Iterator[list[tuple[str, str, str]]]:
        """Which signals were sent: their name, the status and the id of the result."""
        told: list[tuple[str, str, str]] = []
        receivers = []
        for name, signal in (
            ("enqueued", task_enqueued),
            ("started", task_started),
            ("finished", task_finished),
        ):

            def tell(sender: type, task_result: Any, name: str = name, **_: Any) -> None:
                assert sender is LtqBackend
                told.append((name, task_result.status, task_result.id))

            signal.connect(tell)
            receivers.append((signal, tell))
        yield told
        for signal, receiver in receivers:
            signal.disconnect(receiver)

    @pytest.mark.parametrize(
        ("name", "args", "end"),
        [
            ("add", [1], "SUCCESSFUL"),
            ("add_slowly", [1, 2], "SUCCESSFUL"),
            ("fail", ["x"], "FAILED"),
            ("fail_together", [], "FAILED"),
        ],
    )
    def test_each_is_sent_once(
        self,
        letters: Any,
        told: list[tuple[str, str, str]],
        name: str,
        args: list[Any],
        end: str,
    ) -> None:
        result = getattr(letters, name).enqueue(*args)
        sites.work()
        assert told == [
            ("enqueued", "READY", result.id),
            ("started", "RUNNING", result.id),
            ("finished", end, result.id),
        ]

    def test_a_task_to_be_retried_is_not_finished(
        self, letters: Any, told: list[tuple[str, str, str]]
    ) -> None:
        letters.attempt.enqueue()
        sites.work()
        assert [name for name, _, _ in told] == ["enqueued", "started", "started", "finished"]

    def test_an_error_of_a_receiver_changes_nothing(
        self, letters: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(sender: type, **_: Any) -> None:
            raise RuntimeError("the receiver's own")

        for signal in (task_enqueued, task_started, task_finished):
            signal.connect(fail)
        try:
            with caplog.at_level(logging.CRITICAL, "django.dispatch"):
                result = letters.add.enqueue(1)
                sites.work()
        finally:
            for signal in (task_enqueued, task_started, task_finished):
                signal.disconnect(fail)
        assert letters.add.get_result(result.id).return_value == 1


class TestChecks:
    def found(self, **changes: Any) -> dict[str, str]:
        """The messages of the checks of a backend with these parameters, by their ids."""
        params = {"OPTIONS": {"broker_url": "memory://checks"}, **changes}
        tasks = {"default": {"BACKEND": sites.BACKEND, **params}}
        with sites.project(TASKS=tasks):
            return {one.id: one.msg for one in task_backends["default"].check()}

    def test_a_right_one_passes(self) -> None:
        assert self.found() == {}

    @pytest.mark.parametrize(
        ("options", "identifier", "said"),
        [
            ({"broker": "memory://"}, "ltq.E001", "unknown option 'broker': did you mean"),
            ({"retries": 3}, "ltq.E001", "allowed are broker_url, result_ttl, worker"),
            ([], "ltq.E001", "OPTIONS=[] is not allowed: a dict"),
            ({"broker_url": "nothing://"}, "ltq.E002", "nothing"),
            ({"broker_url": "@nobody"}, "ltq.E002", "nobody"),
            ({"broker_url": 7}, "ltq.E002", "broker_url=7 is not allowed"),
            ({"worker": "a:b"}, "ltq.E003", "worker name 'a:b' is not allowed"),
            ({"result_ttl": -1}, "ltq.E004", "result_ttl=-1 is not allowed"),
        ],
    )
    def test_a_wrong_option_is_named(
        self, options: object, identifier: str, said: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LTQ_BROKER_URL", "memory://checks")
        messages = self.found(OPTIONS=options)
        assert list(messages) == [identifier]
        assert said in messages[identifier]
        assert messages[identifier].startswith("TASKS['default']: ")

    @pytest.mark.parametrize("options", [{"worker": "a:b"}, [], None])
    def test_a_wrong_one_lets_tasks_be_declared(self, options: object) -> None:
        """Their modules are imported before the checks can say what is wrong."""
        wrong = {**sites.backend("memory://checks"), "OPTIONS": options}
        with sites.project(TASKS={"default": wrong}):
            from tests.contrib.letters import tasks

            assert tasks.add.using(priority=1).priority == 1

    @pytest.mark.slow
    def test_a_missing_extra_is_named(self) -> None:
        code = """if True:
            import sys
            sys.modules["psycopg"] = None
            from tests.contrib import sites
            from ltq.contrib.django._tasks_api import task_backends
            tasks = {"default": sites.backend("postgresql://localhost/db")}
            with sites.project(TASKS=tasks):
                print(*(one.id + one.msg for one in task_backends["default"].check()))
        """
        done = subprocess.run(  # a fork would have the package
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.stdout.startswith("ltq.E002TASKS['default']: "), done.stderr
        assert "ltq[postgres]" in done.stdout

    def test_queues_are_looked_at(self) -> None:
        assert list(self.found(QUEUES=["a b"])) == ["ltq.E005"]
        assert list(self.found(QUEUES=[])) == ["ltq.W001"]

    def test_two_backends_need_two_workers(self) -> None:
        one = sites.backend("memory://checks")
        with sites.project(TASKS={"a": one, "default": one}):
            found = [each.id for each in task_backends["default"].check()]
            assert (found, task_backends["a"].check()) == (["ltq.E006"], [])
        two = sites.backend("memory://checks", worker="two")
        with sites.project(TASKS={"a": two, "default": one}):
            assert task_backends["default"].check() == []

    def test_the_app_has_to_be_installed(self) -> None:
        tasks = {"default": sites.backend("memory://checks")}
        with sites.project(TASKS=tasks), override_settings(INSTALLED_APPS=[]):
            assert [one.id for one in task_backends["default"].check()] == ["ltq.W002"]


def test_what_it_supports_is_said() -> None:
    flags = ("defer", "async_task", "get_result", "priority")
    assert all(getattr(LtqBackend, f"supports_{flag}") for flag in flags)


def test_its_path_is_the_one_of_the_settings(url: str) -> None:
    with sites.project(TASKS={"default": sites.backend(url)}):
        assert type(task_backends["default"]) is LtqBackend
    wrong = {"default": {"BACKEND": "ltq.contrib.django.Backend"}}
    with sites.project(TASKS=wrong), pytest.raises(ImproperlyConfigured):
        task_backends["default"]
