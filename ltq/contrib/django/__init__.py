"""LTQ in a Django project: `INSTALLED_APPS = [..., "ltq.contrib.django"]`.

It has `manage.py ltq_worker`, system checks, `send_on_commit`, and `LtqBackend` for the setting
`TASKS` of Django 6.
"""

import importlib
from typing import Any

from ltq.contrib.django._on_commit import send_on_commit

__all__ = ["LtqBackend", "send_on_commit"]


def __getattr__(name: str) -> Any:
    """`LtqBackend`, which needs `django.tasks`: the rest is for Django 5.2 as well."""
    if name == "LtqBackend":
        if not importlib.import_module("ltq.contrib.django._tasks_api").has_tasks:
            raise ImportError(
                "LtqBackend needs django.tasks, which is part of Django 6, or the package "
                "django-tasks"
            )
        return importlib.import_module("ltq.contrib.django._backend").LtqBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
