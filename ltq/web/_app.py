"""The parts of a dashboard joined: its routes, and what every request passes."""

from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from ltq.web._actions import dead as dead_actions
from ltq.web._actions import queue as queue_actions
from ltq.web._actions import schedules as schedule_actions
from ltq.web._actions import task as task_actions
from ltq.web._actions.act import Action
from ltq.web._door.gate import AccessMiddleware, Gate
from ltq.web._door.paths import SlashMiddleware
from ltq.web._door.safety import (
    BodyLimitMiddleware,
    HeadersMiddleware,
    SameOriginMiddleware,
    failed,
)
from ltq.web._pages.dead import read_confirm, read_dead
from ltq.web._pages.overview import read_overview
from ltq.web._pages.page import MissingError, Page
from ltq.web._pages.queue import read_queue
from ltq.web._pages.schedules import read_schedules
from ltq.web._pages.search import read_search
from ltq.web._pages.task import read_edit, read_task
from ltq.web._pages.workers import read_workers
from ltq.web._respond import Responder
from ltq.web._source.site import Site
from ltq.web._view.assets import Assets
from ltq.web._view.render import warm

_TASK = "/queues/{queue}/tasks/{id}"

PAGES = (
    Page("/", "overview.html", read_overview),
    Page("/queues/{queue}", "queue.html", read_queue),
    Page(_TASK, "task.html", read_task),
    Page(f"{_TASK}/edit", "edit.html", read_edit, every=0, needs="write"),
    Page("/dead", "dead.html", read_dead, every=5.0),
    Page("/dead/confirm", "confirm.html", read_confirm, every=0, needs="write"),
    Page("/workers", "workers.html", read_workers),
    Page("/schedules", "schedules.html", read_schedules),
    Page("/search", "search.html", read_search, every=0),
)
"""All pages of a broker."""

ACTIONS = (
    *(
        Action(f"/queues/{{queue}}/{name}", do, "/queues/{queue}")
        for name, do in (
            ("pause", queue_actions.pause),
            ("resume", queue_actions.resume),
            ("clear", queue_actions.clear),
        )
    ),
    *(
        Action(f"{_TASK}/{name}", do, _TASK)
        for name, do in (
            ("cancel", task_actions.cancel),
            ("promote", task_actions.promote),
            ("rerun", task_actions.rerun),
            ("retry", task_actions.retry),
            ("purge", task_actions.purge),
        )
    ),
    Action(f"{_TASK}/send", task_actions.send, f"{_TASK}/edit"),
    Action("/dead/do", dead_actions.retry_or_purge, "/dead"),
    *(
        Action(f"/schedules/{{name}}/{name}", do, "/schedules")
        for name, do in (
            ("pause", schedule_actions.pause),
            ("resume", schedule_actions.resume),
            ("trigger", schedule_actions.trigger),
        )
    ),
)
"""All that can be done."""


def make_app(site: Site, gate: Gate, *, around: Sequence[Middleware] = ()) -> Starlette:
    """The application of a site. `around` are the first to see a request."""
    warm()
    responder = Responder(site, gate)
    middleware = [
        Middleware(HeadersMiddleware),
        *around,
        Middleware(SlashMiddleware),
        Middleware(BodyLimitMiddleware),
        Middleware(SameOriginMiddleware),
        Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5),
        Middleware(AccessMiddleware, gate=gate, read_only=site.read_only),
    ]
    app = Starlette(
        routes=[*gate.routes, *_routes(responder)],
        middleware=middleware,
        exception_handlers={
            MissingError: responder.failed,
            HTTPException: responder.failed,
            Exception: failed,
        },
    )
    app.router.redirect_slashes = False  # its addresses would be absolute
    app.state.responder = responder
    return app


def _routes(responder: Responder) -> list[BaseRoute]:
    return [
        Mount("/static", Assets()),
        Route("/", responder.brokers),
        *(Route(f"/{{key}}{page.path}", _shows(responder, page)) for page in PAGES),
        Route("/{key}", responder.no_slash),
        *(
            Route(f"/{{key}}{action.path}", _does(responder, action), methods=["POST"])
            for action in ACTIONS
        ),
    ]


def _shows(responder: Responder, page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def show(request: Request) -> Response:
        return await responder.page(page, request)

    return show


def _does(responder: Responder, action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def do(request: Request) -> Response:
        return await responder.act(action, request)

    return do
