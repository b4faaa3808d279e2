"""System checks of what is not in a backend of `TASKS`."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks

from ltq.broker.default import broker_at
from ltq.contrib.django._tasks_api import has_tasks
from ltq.errors import ConfigurationError

_BACKEND = "ltq.contrib.django.LtqBackend"
_ADMIN = "django.contrib.admin"


def check_project(app_configs: object = None, **kwargs: Any) -> Iterable[checks.CheckMessage]:
    """Whether the default broker can be used, Django has tasks, and the admin shows the link."""
    return [*_default_broker(), *_tasks(), *_dashboard()]


def _default_broker() -> Iterator[checks.CheckMessage]:
    try:
        broker_at(None)
    except ConfigurationError as error:
        yield checks.Error(f"the default broker cannot be used: {error}", id="ltq.E002")


def _tasks() -> Iterator[checks.CheckMessage]:
    given: object = getattr(settings, "TASKS", None)
    named = [one.get("BACKEND") for one in given.values()] if isinstance(given, dict) else []
    if _BACKEND in named and not has_tasks:
        yield checks.Error(
            f"TASKS names {_BACKEND}, but this Django has no tasks",
            hint="Install Django 6 or newer, or the package django-tasks.",
            id="ltq.E007",
        )


def _dashboard() -> Iterator[checks.CheckMessage]:
    url: object = getattr(settings, "LTQ_DASHBOARD_URL", None)
    if url is None:
        return
    if not isinstance(url, str) or not url:
        yield checks.Error(
            f"LTQ_DASHBOARD_URL={url!r} is not allowed: the URL at which ltq.web is mounted",
            id="ltq.E008",
        )
        return
    order = [config.name for config in apps.get_app_configs()]
    if _ADMIN in order and order.index(_ADMIN) < order.index("ltq.contrib.django"):
        yield checks.Warning(
            "the admin does not show the link to LTQ_DASHBOARD_URL",
            hint=f'Put "ltq.contrib.django" before "{_ADMIN}" in INSTALLED_APPS.',
            id="ltq.W003",
        )
