"""`examples/django_app.py` over real HTTP: a server in threads, a worker in another process."""

from collections.abc import AsyncIterator

import pytest

from tests.examples.programs import StartProgram
from tests.examples.sites import Site, open_site, start_worker

WORKER = "examples.django_app:worker"
SERVER = ("examples.django_app", "runserver", "{port}", "--noreload")


@pytest.fixture
async def site(start: StartProgram) -> AsyncIterator[Site]:
    async with open_site(start, *SERVER, ready="Starting development server") as site:
        yield site


async def test_a_text_is_sent_by_one_request_and_shown_by_another(
    start: StartProgram, site: Site
) -> None:
    answer = await site.client.post("/texts", data={"words": "the fox The dog"})
    sent = answer.json()
    assert (answer.status_code, sent["url"]) == (202, f"/texts/{sent['id']}")
    assert (await site.get(sent["url"]))["status"] == "pending"
    await start_worker(start, WORKER)
    shown = await site.ends_as(sent["url"], "completed")
    assert shown["words"] == {"the": 2, "fox": 1, "dog": 1}
    assert "Traceback" not in site.server.output


async def test_an_unknown_id_is_not_found(site: Site) -> None:
    for unknown in ("nobody", "a%20b", "%00"):
        shown = await site.get(f"/texts/{unknown}")
        assert (shown["code"], "no task with id" in str(shown["error"])) == (404, True)


async def test_methods_are_kept_apart(site: Site) -> None:
    assert (await site.client.get("/texts")).status_code == 405
    assert (await site.client.post("/texts/a")).status_code == 405
