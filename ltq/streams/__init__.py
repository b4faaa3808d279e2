"""Streams: tasks that yield items while they run, and reading them live.

@worker.task
async def chat(prompt: str) -> AsyncIterator[str]:
    async for token in model.generate(prompt):
        yield token

handle = await chat.send("hi")
async for token in handle.stream():
    print(token, end="")
"""

from ltq.streams.decorator import TaskDecorator
from ltq.streams.handle import StreamHandle
from ltq.streams.stream import Stream
from ltq.streams.sync import SyncStream, SyncStreamHandle
from ltq.streams.task import StreamTask

__all__ = [
    "Stream",
    "StreamHandle",
    "StreamTask",
    "SyncStream",
    "SyncStreamHandle",
    "TaskDecorator",
]
