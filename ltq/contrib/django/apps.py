"""The app of Django's."""

from django.apps import AppConfig
from django.core import checks

from ltq.contrib.django._checks import check_project


class _LtqConfig(AppConfig):
    """`INSTALLED_APPS = [..., "ltq.contrib.django"]`: Django finds it by what it inherits from."""

    name = "ltq.contrib.django"
    label = "ltq"
    verbose_name = "LTQ"

    def ready(self) -> None:
        """Register the system checks."""
        checks.register(check_project)
