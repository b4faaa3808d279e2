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
        return importlib.import_module("ltq.contrib.django._backend").LtqBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
