"""Streams: tasks that yield items while they run, and reading them live.

@worker.task
async def chat(prompt: str) -> AsyncIterator[str]:
    async for token in model.generate(prompt):
        yield token

handle = await chat.send("hi")
async for token in handle.stream():
    print(token, end="")
"""

from ltq.streams._decorator import TaskDecorator
from ltq.streams._handle import StreamHandle
from ltq.streams._stream import Stream
from ltq.streams._sync import SyncStream, SyncStreamHandle
from ltq.streams._task import StreamTask

__all__ = [
    "Stream",
    "StreamHandle",
    "StreamTask",
    "SyncStream",
    "SyncStreamHandle",
    "TaskDecorator",
]
