"""The examples that mount the dashboard, over real HTTP."""

import pytest

from tests.examples.programs import StartProgram
from tests.examples.sites import open_site

HTML = {"accept": "text/html", "sec-fetch-site": "same-origin"}
READY = "Uvicorn running on"


def server(target: str) -> tuple[str, ...]:
    return ("uvicorn", target, "--port", "{port}", "--timeout-graceful-shutdown", "1")


@pytest.mark.parametrize("target", ["examples.fastapi_app.main:app", "examples.django_app:asgi"])
async def test_everybody_may_look_and_nobody_act(start: StartProgram, target: str) -> None:
    async with open_site(start, *server(target), ready=READY) as site:
        site.client.headers.update(HTML)
        site.client.follow_redirects = True
        if "django" in target:
            assert (await site.client.post("/texts", data={"words": "a b"})).status_code == 202
        else:
            order = {"title": "Tea", "pages": 2}
            assert (await site.client.post("/reports", json=order)).status_code == 202
        page = await site.client.get("/ltq/")
        assert page.status_code == 200
        assert "read only" in page.text
        queue = "texts:count" if "django" in target else "reports:build"
        tasks = await site.client.get(f"{page.url.path}queues/{queue}")
        assert "pending" in tasks.text
        refused = await site.client.post(f"{page.url.path}queues/{queue}/pause")
        assert refused.status_code == 403


async def test_who_is_signed_in_may_act_by_name(start: StartProgram) -> None:
    target = "examples.starlette_app:app"
    async with open_site(start, *server(target), ready=READY) as site:
        site.client.headers.update(HTML)
        site.client.follow_redirects = True
        assert (await site.client.get("/ltq/")).status_code == 401
        ada, grace = ("ada", "lovelace"), ("grace", "hopper")
        sent = await site.client.post("/texts", data={"text": "to be"}, auth=ada)
        assert sent.status_code == 202
        page = await site.client.get("/ltq/", auth=ada)
        assert ">ada</span>" in page.text
        path = f"{page.url.path}queues/words:longest/pause"
        assert (await site.client.post(path, auth=grace)).status_code == 403
        assert "paused the queue" in (await site.client.post(path, auth=ada)).text
