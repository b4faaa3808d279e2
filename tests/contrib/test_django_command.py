"""`manage.py ltq_worker`, and what the admin needs, in this process."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import ManagementUtility, call_command
from django.test.utils import override_settings

import ltq
from ltq.contrib.django.staff import staff_may
from ltq.contrib.django.templatetags.ltq_dashboard import ltq_dashboard_url
from ltq.web import Access
from tests.contrib import sites
from tests.logs import logging_restored


@pytest.fixture
def plain() -> Iterator[Any]:
    """The tasks of an app."""
    with logging_restored(), sites.project(sites.PLAIN, TASKS={}):
        from tests.contrib.plain import tasks

        yield tasks
    ltq.close_sync()


class TestCommand:
    def test_it_runs_the_workers(self, plain: Any, capfd: pytest.CaptureFixture[str]) -> None:
        handles = [plain.double.send_sync(2), plain.halve.send_sync(4)]
        call_command("ltq_worker", burst=True, concurrency=3, log_level="info")
        assert [handle.result(0) for handle in handles] == [4, 2]
        said = capfd.readouterr().err
        assert "worker plain: 2 tasks" in said
        assert "concurrency 3" in said

    def test_it_runs_those_with_a_name(self, plain: Any) -> None:
        handle = plain.double.send_sync(2)
        call_command("ltq_worker", burst=True, worker=["inner"])
        assert handle.state().status == "pending"
        # The checks that others have registered in this process need their apps.
        words = ["manage.py", "ltq_worker", "--burst", "--worker", "plain", "--skip-checks"]
        ManagementUtility(words).execute()
        assert handle.result(0) == 4

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"worker": ["other"]}, "ltq: there is no worker 'other' in this project"),
            ({"processes": 2}, "ltq: --processes 2 needs a command line of its own"),
            ({"concurrency": 0}, "ltq: invalid value for '--concurrency'"),
        ],
    )
    def test_wrong_use_is_one_line(
        self,
        plain: Any,
        capfd: pytest.CaptureFixture[str],
        options: dict[str, Any],
        said: str,
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            call_command("ltq_worker", burst=True, **options)
        error = capfd.readouterr().err
        assert (ended.value.code, error.count("\n")) == (2, 1)
        assert error.startswith(said)


@dataclass(frozen=True)
class User:
    """One of Django's."""

    is_active: bool = True
    is_staff: bool = True
    is_superuser: bool = False

    def get_username(self) -> str:
        return "ada"


KEY = "k" * 32


class TestStaff:
    @pytest.mark.parametrize(
        ("user", "expected"),
        [
            (User(), Access("read", "ada")),
            (User(is_superuser=True), Access("write", "ada")),
            (User(is_staff=False), None),
            (User(is_active=False, is_superuser=True), None),
        ],
    )
    async def test_superusers_may_act_and_other_staff_may_look(
        self, monkeypatch: pytest.MonkeyPatch, user: User, expected: Access | None
    ) -> None:
        sites.configure()
        seen: list[str] = []

        def get_user(request: Any) -> User:
            seen.append(request.session.session_key)
            return user

        monkeypatch.setattr("ltq.contrib.django.staff.get_user", get_user)
        engine = "django.contrib.sessions.backends.signed_cookies"
        with override_settings(SESSION_ENGINE=engine):
            assert await staff_may(SimpleNamespace(cookies={"sessionid": KEY})) == expected
        assert seen == [KEY]

    async def test_without_a_session_nobody_may_look(self) -> None:
        sites.configure()
        assert await staff_may(SimpleNamespace(cookies={})) is None


def test_the_admin_asks_where_the_dashboard_is() -> None:
    sites.configure()
    assert ltq_dashboard_url() == ""
    with override_settings(LTQ_DASHBOARD_URL="/ltq/"):
        assert ltq_dashboard_url() == "/ltq/"
