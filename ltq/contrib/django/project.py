"""The workers of a Django project, which `manage.py ltq_worker` runs.

`app` is an `ltq.App` of all of them: `ltq run --app ltq.contrib.django.project:app --reload`, with
`DJANGO_SETTINGS_MODULE` in the environment, restarts them when the code changes.
"""

import sys
from collections.abc import Collection, Iterator
from typing import Any

import django
from django.apps import apps
from django.utils.module_loading import autodiscover_modules

from ltq.app import App
from ltq.contrib.django._connections import close_around
from ltq.contrib.django._tasks_api import Task, has_tasks, task_backends
from ltq.errors import ConfigurationError
from ltq.worker import Worker

_MODULE = "tasks"


def project_workers(names: Collection[str] = ()) -> list[Worker[Any]]:
    """The workers of the project: those with these names, or all.

    The module `tasks` of each installed app is imported. The workers are the `ltq.Worker` objects
    in these modules, those of the `ltq.App` objects there, and one for each `LtqBackend` in the
    setting `TASKS` that has tasks. Raises `ConfigurationError` if there is none of a name.
    """
    if not apps.ready:
        django.setup()
    autodiscover_modules(_MODULE)
    found = list(dict.fromkeys([*_declared(), *_of_backends()]))
    known = [worker.name for worker in found]
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"there is no worker {name!r} in this project; its workers: "
                f"{', '.join(known) or 'none'}"
            )
    return [worker for worker in found if not names or worker.name in names]


def project_app(names: Collection[str] = ()) -> App:
    """An App of `project_workers`, which closes old database connections around their tasks.

    Raises `ConfigurationError` if there is no worker, none of a name, or two of one.
    """
    app = App()
    for worker in project_workers(names):
        app.register_worker(worker)
        close_around(worker)
    if not app.workers:
        raise ConfigurationError(
            "there is nothing to run: no installed app has a module `tasks` with an ltq.Worker, "
            "and no ltq.contrib.django.LtqBackend in TASKS has tasks"
        )
    return app


def __getattr__(name: str) -> Any:
    """`app`, found at its first use."""
    if name == "app":
        return project_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _values() -> Iterator[object]:
    """What the modules `tasks` of the installed apps have."""
    for config in apps.get_app_configs():
        module = sys.modules.get(f"{config.name}.{_MODULE}")
        yield from () if module is None else vars(module).values()


def _declared() -> Iterator[Worker[Any]]:
    for value in _values():
        if isinstance(value, Worker):
            yield value
        elif isinstance(value, App):
            yield from value.workers


def _of_backends() -> Iterator[Worker[Any]]:
    if not has_tasks:
        return
    tasks = [value for value in _values() if isinstance(value, Task)]
    for backend in task_backends.all():
        make = getattr(backend, "ltq_worker", None)
        if make is not None:
            worker: Worker[Any] = make(tasks)
            if worker.tasks:  # a backend may have none yet
                yield worker
