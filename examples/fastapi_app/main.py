"""Reports that a worker builds, and a page that shows their progress live.

    ltq run examples.fastapi_app.main:worker                                     # in one terminal
    uvicorn examples.fastapi_app.main:app --timeout-graceful-shutdown 5          # in another

Then open http://127.0.0.1:8000, and http://127.0.0.1:8000/ltq for the dashboard. Both use the
broker of LTQ_BROKER_URL, else redis://localhost:6379.
However many pages are open, the server watches over one connection. When a page is left,
its watches end. A page has one stream of events for all its reports, since browsers open at most
six connections to a server.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse
from pydantic import BaseModel, Field

import ltq
from ltq.web import Level, dashboard

worker = ltq.Worker("reports", concurrency=4)


@dataclass(frozen=True)
class Report:
    """What the worker returns."""

    title: str
    pages: int
    words: int


@worker.task(max_tries=3, timeout=300)
async def build(title: str, pages: int) -> Report:
    """Write a report, page by page, and report the progress."""
    words = 0
    for page in range(1, pages + 1):
        await ltq.current().progress(page - 1, pages, f"writing page {page}")
        await asyncio.sleep(0.15)  # stands in for the work
        words += 200 + 7 * len(title) * page % 90
    if "fail" in title.lower():
        raise ltq.RejectError("nobody wants to read that")
    return Report(title, pages, words)


@dataclass(frozen=True)
class View:
    """A report as the page shows it."""

    id: str
    status: str
    """An `ltq.Status`, or "unknown"."""
    done: float
    """From 0 to 1."""
    note: str
    is_final: bool

    @classmethod
    def of(cls, state: ltq.TaskState[Report]) -> "View":
        """The view of a state. Type checkers know that its result is a `Report`."""
        done, note = 0.0, "waiting for a worker"
        if state.progress is not None:
            done = state.progress.current / (state.progress.total or 1)
            note = state.progress.note
        if state.result is not None:
            done, note = 1.0, f"{state.result.words:,} words on {state.result.pages} pages"
        elif state.status.is_final:
            note = state.error or ""
        return cls(state.id, state.status, done, note, state.status.is_final)


class Order(BaseModel):
    """What a request asks for."""

    title: str = Field(min_length=1, max_length=80)
    pages: int = Field(ge=1, le=500)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Nothing to open, as connections open at first use; close them at the end."""
    yield
    await worker.aclose()


def who_may(_: Request) -> Level:
    """Everybody may look at the dashboard. A real site asks its own sessions, and says who it is:
    `Access("write", user.name)`."""
    return "read"


app = FastAPI(title="LTQ reports", lifespan=lifespan)
app.mount("/ltq", dashboard(worker, authorize=who_may))


async def find(report_id: str) -> ltq.Handle[Report]:
    """The report that a URL names. A process needs only the id of a task."""
    handle = build.handle(report_id)
    try:
        await handle.state()
    except ltq.TaskNotFoundError as error:
        raise HTTPException(404, str(error)) from None
    return handle


Found = Annotated[ltq.Handle[Report], Depends(find)]


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """The page."""
    return FileResponse(Path(__file__).with_name("page.html"))


@app.post("/reports", status_code=202)
async def order(wanted: Order) -> View:
    """Send a report to the workers."""
    handle = await build.send(wanted.title, wanted.pages)
    return View.of(await handle.state())


@app.get("/reports/{report_id}")
async def show(report: Found) -> View:
    """The present state of a report."""
    return View.of(await report.state())


@app.delete("/reports/{report_id}")
async def cancel(report: Found) -> dict[str, bool]:
    """Cancel a report, wherever it is."""
    return {"cancelled": await report.cancel()}


@app.get("/events", response_class=EventSourceResponse)
async def events(
    ids: Annotated[list[str], Query(alias="id", max_length=100)],
) -> AsyncIterator[View]:
    """Server-sent events: the states of these reports, until all have ended or nobody looks."""
    async for view in follow([build.handle(one) for one in ids]):
        yield view


async def follow(reports: Sequence[ltq.Handle[Report]]) -> AsyncIterator[View]:
    """The views of several reports, as they change."""
    views: asyncio.Queue[View | None] = asyncio.Queue()
    watches = [asyncio.create_task(watch(report, views)) for report in reports]
    try:
        left = len(watches)
        while left:
            view = await views.get()
            if view is None:
                left -= 1
            else:
                yield view
    finally:
        for one in watches:
            one.cancel()


async def watch(report: ltq.Handle[Report], views: "asyncio.Queue[View | None]") -> None:
    """Put the views of one report into a queue, then None."""
    try:
        async for state in report.watch():
            views.put_nowait(View.of(state))
    except ltq.TaskNotFoundError:
        views.put_nowait(View(report.id, "unknown", 0.0, "it does not exist any more", True))
    finally:
        views.put_nowait(None)
