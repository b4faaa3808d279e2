"""Answering requests: pages whole and as streams, actions, and what goes wrong."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from ltq.errors import BrokerError, ConfigurationError, LtqError
from ltq.logger import get_logger, printable
from ltq.web._actions.act import Act, Action, Again
from ltq.web._door.gate import Gate, access_of
from ltq.web._door.paths import path_of, root_of
from ltq.web._pages.page import Ask, MissingError, Page
from ltq.web._source.live import LivePages
from ltq.web._source.readings import Readings
from ltq.web._source.site import Board, Site
from ltq.web._view.notes import Note, drop_note, read_note, write_note
from ltq.web._view.render import Raw, render_live, render_page
from ltq.web._view.values import Viewer
from ltq.web.access import Access, Level

logger: logging.Logger = get_logger("web")

_MOST_FIELDS = 2000


@dataclass(frozen=True)
class _Here:
    """What a dashboard has in one event loop."""

    live: LivePages
    readings: Mapping[str, Readings]


class Responder:
    """Answers the requests of one dashboard."""

    def __init__(self, site: Site, gate: Gate) -> None:
        self._site = site
        self._gate = gate
        self._viewer = Viewer(site.redact)
        self._loops: dict[asyncio.AbstractEventLoop, _Here] = {}

    @property
    def live(self) -> LivePages:
        """The poller of this event loop."""
        return self._here.live

    async def warm(self) -> None:
        """Begin to read what the first page shows."""
        for readings in self._here.readings.values():
            await readings.snapshot.soon(0.0)

    async def aclose(self) -> None:
        """End what works in this event loop."""
        self.live.end_streams()
        await self.live.aclose()

    async def page(self, page: Page, request: Request) -> Response:
        """A page, or its stream if the address says `live`."""
        access = _checked(request, page.needs)
        ask = self._ask(request, access)
        if page.every and "live" in request.query_params:
            return self._stream(page, request, ask)
        try:
            context = await page.read(ask)
        except BrokerError as error:
            return self._away(page, request, ask, str(error))
        except ConfigurationError as error:
            raise HTTPException(400, str(error)) from error
        context |= self._frame(request, ask.board, is_live=bool(page.every))
        response = HTMLResponse(render_page(page.template, context))
        if context["said"] is not None:
            drop_note(response)
        return response

    async def act(self, action: Action, request: Request) -> Response:
        """Do what a form asks for, and lead to a page that says so."""
        access = _checked(request, "write")
        form = await request.form(max_files=0, max_fields=_MOST_FIELDS)
        ask = self._ask(request, access)
        who = printable(access.name) or _sender(request)
        try:
            done = await action.do(Act(ask, *_fields(form)))
        except LtqError as error:
            text = str(error)
            what = printable(request.url.path)
            logger.warning("%s: %s failed: %s", who, what, printable(text))
            back = action.back.format_map(request.path_params)
            return self._lead(request, ask.board, back, Note(text, is_trouble=True))
        if isinstance(done, Again):
            what = printable(request.url.path)
            logger.warning("%s: %s refused: %s", who, what, printable(done.text))
            context = {**done.context, "now": await ask.readings.now()}
            context |= self._frame(request, ask.board, is_live=False)
            return HTMLResponse(render_page(done.template, context), 422)
        logger.info("%s %s (%s)", who, printable(done.text), ask.board.url)
        ask.readings.spoil()
        self.live.nudge()
        path = done.path
        if path == action.back.format_map(request.path_params) and form.get("back"):
            path += f"?{str(form['back']).lstrip('?')}"
        return self._lead(request, ask.board, path, Note(done.text, not done.changed))

    async def brokers(self, request: Request) -> Response:
        """The first page of all: that of the only broker, or a list."""
        _checked(request, "read")
        boards = list(self._site.boards.values())
        if len(boards) == 1:
            return RedirectResponse(f"{root_of(request.scope)}{boards[0].key}/", 303)
        found = await asyncio.gather(*(self._totals(board) for board in boards))
        context = {"brokers": found, **self._frame(request, None, is_live=False)}
        return HTMLResponse(render_page("brokers.html", context))

    async def no_slash(self, request: Request) -> Response:
        """The address of a broker, or of the dashboard itself, without its slash."""
        last = request.url.path.rstrip("/").rpartition("/")[2]
        return RedirectResponse(f"./{last}/" if last else "./", 307)

    async def failed(self, request: Request, error: Exception) -> Response:
        """The page of what goes wrong: not found, not allowed, not understood."""
        status, text, links = _trouble(error)
        if status in (401, 403) and access_of(request) is None:
            refusal = self._gate.refuse(request)
            if refusal is not None:
                return refusal
        board = self._site.boards.get(request.path_params.get("key", ""))
        context = self._frame(request, board, is_live=False)
        context |= {"status": status, "text": text, "links": links, "said": None}
        return HTMLResponse(render_page("trouble.html", context), status)

    def _stream(self, page: Page, request: Request, ask: Ask) -> Response:
        """The stream of a page: the same template, each time something has changed."""
        frame = self._frame(request, ask.board, is_live=True)

        async def render() -> str:
            await ask.readings.renew()
            try:
                context = await page.read(ask)
            except MissingError as error:
                return render_live("gone.html", {**frame, "text": str(error)})
            return render_live(page.template, {**context, **frame})

        media_type, headers = "text/event-stream", {"x-accel-buffering": "no"}
        if request.method == "HEAD":  # it would never end
            return Response(media_type=media_type, headers=headers)
        query = tuple(sorted(ask.query.items()))
        key = (page.path, ask.board.key, tuple(sorted(ask.path.items())), query, ask.can_write)
        events = self.live.stream(key, render, page.every)
        return StreamingResponse(events, media_type=media_type, headers=headers)

    def _away(self, page: Page, request: Request, ask: Ask, text: str) -> Response:
        """The page while the broker does not answer. Its stream fills it once the broker does."""
        context = self._frame(request, ask.board, is_live=bool(page.every))
        context |= {"text": text}
        return HTMLResponse(render_page("away.html", context), 503, {"retry-after": "5"})

    async def _totals(self, board: Board) -> dict[str, Any]:
        readings = self._here.readings[board.key]
        try:
            snapshot, workers = await asyncio.gather(
                readings.snapshot.get(), readings.workers.get()
            )
        except BrokerError as error:
            return {"board": board, "error": str(error), "totals": None, "workers": 0, "queues": 0}
        return {
            "board": board,
            "error": "",
            "totals": snapshot.totals,
            "workers": len(workers),
            "queues": len(snapshot.queues),
        }

    def _ask(self, request: Request, access: Access) -> Ask:
        key = request.path_params["key"]
        board = self._site.boards.get(key)
        if board is None:
            links = {f"the broker {one}": f"/{one}/" for one in self._site.boards}
            raise MissingError(f"There is no broker “{key}” here.", links)
        query = {name: value for name, value in request.query_params.items() if name != "live"}
        return Ask(
            site=self._site,
            board=board,
            readings=self._here.readings[key],
            viewer=self._viewer,
            path={name: value for name, value in request.path_params.items() if name != "key"},
            query=query,
            can_write=access.can_write,
        )

    def _frame(self, request: Request, board: Board | None, *, is_live: bool) -> dict[str, Any]:
        """What every page is given besides its own."""
        root = root_of(request.scope)
        access = access_of(request)
        query = [one for one in request.url.query.split("&") if one and one != "live=1"]
        return {
            "root": root,
            "base": f"{root}{board.key}" if board is not None else root.rstrip("/"),
            "board": board,
            "boards": list(self._site.boards.values()),
            "path": path_of(request.scope),
            "here": Raw("&".join(query)),
            "access": access,
            "can_write": access is not None and access.can_write,
            "has_sessions": self._gate.has_sessions,
            "said": read_note(request),
            "is_live": is_live,
        }

    def _lead(self, request: Request, board: Board, path: str, note: Note) -> Response:
        response = RedirectResponse(f"{root_of(request.scope)}{board.key}{path}", 303)
        write_note(response, note)
        return response

    @property
    def _here(self) -> _Here:
        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        if here is None:
            for ended in [known for known in self._loops if known.is_closed()]:
                del self._loops[ended]
            readings = {key: Readings(board) for key, board in self._site.boards.items()}
            here = self._loops[loop] = _Here(LivePages(), readings)
        return here


def _checked(request: Request, level: Level) -> Access:
    access = access_of(request)
    if access is None:
        raise HTTPException(403, "You may not see this dashboard.")
    if level == "write" and not access.can_write:
        raise HTTPException(403, "You may look at this dashboard, but change nothing.")
    return access


def _fields(form: FormData) -> tuple[dict[str, str], list[str]]:
    """The fields of a form, and what was ticked in its list."""
    fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    return fields, [value for value in form.getlist("letter") if isinstance(value, str)]


def _sender(request: Request) -> str:
    """Who sends a request, if nobody knows a name."""
    return f"somebody at {request.client.host}" if request.client else "somebody"


def _trouble(error: Exception) -> tuple[int, str, Mapping[str, str]]:
    if isinstance(error, MissingError):
        return 404, str(error), error.links
    assert isinstance(error, HTTPException)
    known = {404: "There is no such page here.", 405: "This address takes no such request."}
    return error.status_code, known.get(error.status_code, error.detail), {}
