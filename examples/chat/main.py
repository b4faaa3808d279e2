"""Answers that a worker writes token by token, streamed to a page.

    ltq run examples.chat.main:worker                                            # in one terminal
    uvicorn examples.chat.main:app --timeout-graceful-shutdown 5                 # in another

Then open http://127.0.0.1:8000. Both use the broker of LTQ_BROKER_URL, else redis://localhost:6379.
Reload the page while an answer comes: it goes on. Kill the worker and start it again: the answer
begins anew, and the page replaces what it had. However many pages are open, the server waits for
items over one connection.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Header
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

import ltq

worker = ltq.Worker("chat", concurrency=20, lease=3)

TEXT = "A queue is a line in which work waits until somebody has time for it ."


@dataclass(frozen=True)
class Token:
    """A piece of an answer."""

    text: str
    is_last: bool = False


@worker.task(timeout=120)
async def answer(prompt: str, words: int = 60) -> AsyncIterator[Token]:
    """Answer a prompt, word by word. A real one asks a model."""
    yield Token(f"{prompt} ")
    text = TEXT.split()
    for number in range(words):
        await asyncio.sleep(0.05)  # stands in for the model
        yield Token(text[number % len(text)] + " ", is_last=number == words - 1)


class Question(BaseModel):
    """What a request asks."""

    prompt: str = Field(min_length=1, max_length=200)
    words: int = Field(default=60, ge=1, le=1000)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Nothing to open, as connections open at first use; close them at the end."""
    yield
    await worker.aclose()


app = FastAPI(title="LTQ chat", lifespan=lifespan)


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """The page."""
    return FileResponse(Path(__file__).with_name("page.html"))


@app.post("/answers", status_code=202)
async def ask(question: Question) -> dict[str, str]:
    """Send a question to the workers."""
    handle = await answer.send(question.prompt, question.words)
    return {"id": handle.id}


@app.get("/answers/{answer_id}", response_class=EventSourceResponse)
async def tokens(
    answer_id: str, last_event_id: Annotated[str | None, Header()] = None
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: the tokens of an answer, from the beginning or behind the last event.

    The id of an event is the cursor of the stream, so a browser that reconnects goes on there.
    """
    try:
        async with aclosing(answer.handle(answer_id).stream(after=last_event_id)) as stream:
            async for token in stream:
                data = {"attempt": stream.attempt, **asdict(token)}
                yield ServerSentEvent(data=data, id=stream.cursor)
            yield ServerSentEvent(event="done", data=stream.missed)
    except (ltq.TaskError, ltq.TaskNotFoundError, ltq.ConfigurationError) as error:
        yield ServerSentEvent(event="failed", data=str(error))
