"""The workers of a Django project: which are found, and what is around their tasks."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import ltq
from ltq.contrib.django import project
from ltq.contrib.django._tasks_api import task_backends
from tests.contrib import sites


@pytest.fixture(autouse=True)
def close() -> Iterator[None]:
    yield
    ltq.close_sync()


class TestDiscovery:
    def test_workers_and_those_of_apps_and_backends_are_found(self) -> None:
        tasks = {"default": sites.backend("memory://found")}
        with sites.project(sites.PLAIN, sites.LETTERS, TASKS=tasks):
            app = project.project_app()
        assert [worker.name for worker in app.workers] == ["plain", "inner", "django"]
        names = [name for name in app.workers[2].tasks if name.endswith(".add")]
        assert names == [
            "django:tests.contrib.letters.tasks.add",
            "django:emails:tests.contrib.letters.tasks.add",
        ]

    def test_an_app_without_tasks_has_none(self) -> None:
        with sites.project("tests.contrib.empty", sites.PLAIN, TASKS={}):
            assert len(project.project_app().workers) == 2

    def test_it_is_an_attribute_for_the_command_line(self) -> None:
        with sites.project(sites.PLAIN, TASKS={}):
            assert isinstance(project.app, ltq.App)
        with pytest.raises(AttributeError):
            _ = project.application

    def test_those_with_a_name_are_taken(self) -> None:
        with sites.project(sites.PLAIN, TASKS={}):
            assert [one.name for one in project.project_app(["inner"]).workers] == ["inner"]
            with pytest.raises(ltq.ConfigurationError, match="its workers: plain, inner"):
                project.project_app(["other"])

    @pytest.mark.parametrize("tasks", [{}, {"default": sites.backend("memory://none")}])
    def test_a_project_without_any_is_refused(
        self, tasks: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq.contrib.django._known._known", {})
        with (
            sites.project("tests.contrib.empty", TASKS=tasks),
            pytest.raises(ltq.ConfigurationError, match="there is nothing to run"),
        ):
            project.project_app()

    def test_two_of_one_name_are_refused(self) -> None:
        tasks = {"default": sites.backend("memory://found", worker="plain")}
        with (
            sites.project(sites.PLAIN, sites.LETTERS, TASKS=tasks),
            pytest.raises(ltq.ConfigurationError, match="'plain' is registered already"),
        ):
            project.project_app()

    def test_without_a_list_of_queues_those_of_the_decorators_are_served(self) -> None:
        params = {**sites.backend("memory://found"), "QUEUES": []}
        with sites.project(sites.LETTERS, TASKS={"default": params}):
            (worker,) = project.project_app().workers
        assert all(name.count(":") == 1 for name in worker.tasks)

    def test_a_task_of_another_backend_may_be_sent_to_it(self) -> None:
        tasks = {
            "default": {"BACKEND": f"{_package()}.backends.immediate.ImmediateBackend"},
            "late": sites.backend("memory://late", worker="late"),
        }
        with sites.project(sites.LETTERS, TASKS=tasks):
            from tests.contrib.letters.tasks import add

            assert add.enqueue(1).return_value == 1
            result = add.using(backend="late").enqueue(2)
            sites.work("late")
            result.refresh()
            assert result.return_value == 2


def _package() -> str:
    """Where Django's tasks are."""
    return type(task_backends).__module__


class TestConnections:
    @pytest.mark.parametrize("name", ["double", "double_slowly"])
    def test_old_ones_are_closed_before_and_after(
        self, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        told: list[tuple[str, str]] = []

        def tell(what: str) -> Any:
            return lambda: told.append((what, threading.current_thread().name))

        for what in ("close_old_connections", "reset_queries"):
            monkeypatch.setattr(f"ltq.contrib.django._connections.{what}", tell(what))
        with sites.project(sites.PLAIN, TASKS={}):
            from tests.contrib.plain import tasks

            task: ltq.Task[[int], int] = getattr(tasks, name)
            monkeypatch.setattr(task, "fn", task.fn)
            handle = task.send_sync(4)
            sites.work("plain")
            assert handle.result(0) == 8
        assert [what for what, _ in told] == [
            "reset_queries",
            "close_old_connections",
            "close_old_connections",
        ]
        assert len({thread for _, thread in told}) == 1

    def test_after_an_error_as_well(self, monkeypatch: pytest.MonkeyPatch) -> None:
        told: list[int] = []
        path = "ltq.contrib.django._connections.close_old_connections"
        monkeypatch.setattr(path, lambda: told.append(1))
        with sites.project(sites.LETTERS, TASKS={"default": sites.backend("memory://error")}):
            from tests.contrib.letters import tasks

            tasks.fail.enqueue("x")
            tasks.fail_together.enqueue()
            sites.work()
        assert len(told) == 4

    def test_it_is_done_once_however_often_workers_are_found(self) -> None:
        with sites.project(sites.PLAIN, TASKS={}):
            from tests.contrib.plain import tasks

            project.project_app()
            first = tasks.double.fn
            project.project_app()
            assert tasks.double.fn is first
            assert asyncio.run(tasks.double(2)) == 4
