"""System checks of a project, and what is there in a Django without tasks."""

import subprocess
import sys
from typing import Any

import pytest
from django.core import checks

from devtools.source import ROOT
from tests.contrib import sites

ADMIN = ("django.contrib.contenttypes", "django.contrib.auth", "django.contrib.admin")


def found(*apps: str, **changes: Any) -> dict[str, str]:
    """The messages of LTQ's checks in a project with these settings, by their ids."""
    with sites.project(*apps, **{"TASKS": {}, **changes}):
        # What Django itself looks at needs more settings.
        mine = [check for check in checks.registry.registry.get_checks() if is_mine(check)]
        return {one.id: one.msg for check in mine for one in check()}


def is_mine(check: Any) -> bool:
    return str(check.__module__).startswith("ltq.")


def test_a_right_project_passes() -> None:
    assert found(sites.PLAIN, LTQ_DASHBOARD_URL="/ltq/") == {}


def test_a_default_broker_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTQ_BROKER_URL", "nothing://")
    messages = found()
    assert list(messages) == ["ltq.E002"]
    assert "LTQ_BROKER_URL of the environment" in messages["ltq.E002"]


@pytest.mark.parametrize("url", [7, ""])
def test_a_wrong_url_of_the_dashboard_is_named(url: object) -> None:
    assert list(found(LTQ_DASHBOARD_URL=url)) == ["ltq.E008"]


def test_the_link_needs_the_app_before_the_admin() -> None:
    with sites.project(TASKS={}):
        from django.test.utils import override_settings

        from ltq.contrib.django._checks import check_project

        for apps, expected in (
            ((*ADMIN, "ltq.contrib.django"), ["ltq.W003"]),
            (("ltq.contrib.django", *ADMIN), []),
        ):
            with override_settings(INSTALLED_APPS=apps, LTQ_DASHBOARD_URL="/ltq/"):
                assert [one.id for one in check_project()] == expected


WITHOUT_TASKS = """if True:
    import sys
    sys.modules["django.tasks"] = sys.modules["django_tasks"] = None
    from tests.contrib import sites
    with sites.project(sites.PLAIN, TASKS={"default": sites.backend("memory://")}):
        from django.core import checks
        from ltq.contrib.django._checks import check_project
        from ltq.contrib.django.project import project_app
        print(*(one.id for one in check_project()))
        print(*(worker.name for worker in project_app().workers))
        import ltq.contrib.django
        print(ltq.contrib.django.send_on_commit.__name__)
        from ltq.contrib.django import LtqBackend
"""


@pytest.mark.slow
def test_without_tasks_in_django_the_rest_works_and_the_backend_says_what_it_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TASKS], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["ltq.E007", "plain inner", "send_on_commit"], done.stderr
    last = done.stderr.splitlines()[-1]
    assert last == (
        "ImportError: LtqBackend needs django.tasks, which is part of Django 6, or the package "
        "django-tasks"
    )
