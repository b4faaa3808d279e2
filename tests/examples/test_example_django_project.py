"""`examples/django`, a project of several apps, with whichever Django is installed."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import django
import pytest

from tests.eventually import eventually
from tests.examples.programs import PATIENCE, ROOT, Program, StartProgram
from tests.examples.sites import Site, open_site

PROJECT = ROOT / "examples" / "django"
HTML = {"accept": "text/html", "sec-fetch-site": "same-origin"}


@pytest.fixture
async def manage(start: StartProgram, tmp_path: Path) -> StartProgram:
    """Starts `manage.py` with arguments, on a database of its own."""
    own = {"DATABASE": str(tmp_path / "project.db"), "DJANGO_SUPERUSER_PASSWORD": "lovelace"}

    async def begin(
        *arguments: str, cwd: Path = PROJECT, environment: dict[str, str] | None = None
    ) -> Program:
        command = arguments if arguments[0] == "-m" else ("manage.py", *arguments)
        return await start(*command, cwd=cwd, environment={**own, **(environment or {})})

    migrated = await begin("migrate", "--verbosity", "0")
    assert await migrated.ends() == 0, migrated.output
    return begin


@pytest.fixture
async def site(manage: StartProgram) -> AsyncIterator[Site]:
    """The site under uvicorn, with the dashboard."""

    async def begin(
        *arguments: str, cwd: Path = PROJECT, environment: dict[str, str] | None = None
    ) -> Program:
        return await manage(*arguments[2:], cwd=cwd, environment=environment)  # without -X dev

    command = ("uvicorn", "config.asgi:application", "--port", "{port}")
    server = (*command, "--timeout-graceful-shutdown", "1")
    async with open_site(begin, *server, ready="Uvicorn running on") as site:
        yield site


async def start_worker(manage: StartProgram, *options: str) -> Program:
    worker = await manage("ltq_worker", *options)
    await asyncio.wait_for(worker.says("worker "), PATIENCE)
    return worker


async def test_an_order_is_priced_after_its_commit(manage: StartProgram, site: Site) -> None:
    worker = await start_worker(manage)
    answer = await site.client.post("/orders/", data={"article": "tea", "amount": "2"})
    sent = answer.json()
    assert answer.status_code == 202, answer.text
    shown = await site.ends_as(sent["url"], "completed")
    assert (shown["result"], shown["price"]) == (5.0, 5.0)
    total = await site.client.get("/orders/total")
    assert total.json() == {"orders": 1}
    assert await worker.stop() == 0
    assert "Traceback" not in worker.output + site.server.output


async def test_one_that_is_rolled_back_is_never_sent(manage: StartProgram, site: Site) -> None:
    refused = await site.client.post("/orders/", data={"amount": "2"})
    task = refused.json()["task"]
    shown = await site.get(f"/orders/1/{task}")
    assert (refused.status_code, shown["code"]) == (400, 404)


async def test_a_letter_is_a_task_of_django(manage: StartProgram, site: Site) -> None:
    answer = await site.client.post("/letters/", data={"name": "Ada"})
    if django.VERSION < (6, 0):
        assert answer.status_code == 404  # the app is not installed: Django has no tasks
        return
    first = answer.json()
    second = (await site.client.post("/letters/now", data={"name": "Ada"})).json()
    assert (await site.get(first["url"]))["status"] == "READY"
    await start_worker(manage)
    shown = await site.ends_as(first["url"], "SUCCESSFUL")
    assert shown["letter"] == ["Dear Ada,", "thank you.", "thank you."]
    shown = await site.ends_as(second["url"], "SUCCESSFUL")
    assert shown["letter"] == f"letter {second['id']} to Ada, attempt 1"


async def test_the_admin_leads_to_the_dashboard_of_its_staff(
    manage: StartProgram, site: Site
) -> None:
    site.client.headers.update(HTML)
    site.client.follow_redirects = True
    assert (await site.client.get("/ltq/")).status_code == 403
    site.client.cookies.set("sessionid", "nobody")
    assert (await site.client.get("/ltq/")).status_code == 403
    made = await manage(
        "createsuperuser", "--noinput", "--username", "ada", "--email", "ada@example.org"
    )
    assert await made.ends() == 0, made.output
    page = await site.client.get("/admin/login/")
    token = page.text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    login = {"username": "ada", "password": "lovelace", "csrfmiddlewaretoken": token}
    index = await site.client.post("/admin/login/?next=/admin/", data=login)
    assert '<a href="/ltq/" class="section">LTQ</a>' in index.text
    board = await site.client.get("/ltq/")
    assert (board.status_code, ">ada</span>" in board.text) == (200, True)
    assert "read only" not in board.text
    code = (
        "import django; django.setup(); from django.contrib.auth.models import User; "
        "User.objects.update(is_superuser=False)"
    )
    settings = {"DJANGO_SETTINGS_MODULE": "config.settings"}
    changed = await manage("shell", "-c", code, environment=settings)
    assert await changed.ends() == 0, changed.output
    assert "read only" in (await site.client.get("/ltq/")).text


async def test_several_processes_run_by_manage_py(manage: StartProgram, site: Site) -> None:
    worker = await manage("ltq_worker", "--processes", "2", "--log-completed")

    def run_as() -> int:
        return worker.output.count("worker orders: 2 tasks")

    await eventually(lambda: run_as() == 2, PATIENCE, "two processes")
    sent = (await site.client.post("/orders/", data={"article": "tea"})).json()
    await site.ends_as(sent["url"], "completed")
    assert await worker.stop() == 0
    assert "runs as pid" in worker.output


async def test_wrong_use_is_one_line(manage: StartProgram) -> None:
    for options, said in (
        (("--concurrency", "0"), "ltq: invalid value for '--concurrency'"),
        (("--worker", "nobody"), "ltq: there is no worker 'nobody' in this project"),
    ):
        done = await manage("ltq_worker", *options)
        assert await done.ends() == 2
        assert done.output.startswith(said)
        assert done.output.count("\n") == 1


async def test_the_app_runs_by_ltq_as_well(manage: StartProgram, start: StartProgram) -> None:
    environment = {"DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": f"{PROJECT}"}
    environment["PYTHONPATH"] += os.pathsep + str(ROOT)
    command = ("-m", "ltq", "run", "--app", "ltq.contrib.django.project:app", "--burst")
    done = await start(*command, cwd=PROJECT, environment=environment)
    assert await done.ends() == 0, done.output
    assert "worker orders: 2 tasks" in done.output


async def test_its_migrations_are_those_of_its_models(manage: StartProgram) -> None:
    done = await manage("makemigrations", "--check", "--dry-run")
    assert (await done.ends(), "No changes detected" in done.output) == (0, True)
