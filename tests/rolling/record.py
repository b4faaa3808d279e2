"""What the processes of a deployment did, as they told it to a Redis that no fault is done to.

It is part of both versions of the shop, so that their records are alike.
"""

import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, TypeVar

import msgspec
import redis

import ltq
from devtools.variables import LEDGER_VARIABLE

T = TypeVar("T")


class Sent(msgspec.Struct, frozen=True):
    """A send that was acknowledged."""

    id: str
    task: str
    kind: str
    """What it is in both versions, whatever it is called."""
    version: str
    number: int
    """Which send of its sender."""


class Ran(msgspec.Struct, frozen=True):
    """The begin or the end of a run."""

    what: str
    """"start", "end", or the name of the error that the run ended with."""
    id: str
    task: str
    version: str
    """Of the worker that ran it."""
    attempt: int
    pid: int
    time: float
    claimed: float
    """When it was claimed, by the broker's clock."""
    ctx: dict[str, Any] = {}
    """What the message carried when the run began."""


class Read(msgspec.Struct, frozen=True):
    """What a handle of one version gave."""

    id: str
    version: str
    value: str = ""
    """The `repr` of the result."""
    error: str = ""
    """The name of the error that `result` raised."""


class Record:
    """Lists of records, by type; and what the processes are told."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def write(self, records: Iterable[msgspec.Struct]) -> None:
        for record in records:
            self._client.rpush(type(record).__name__, msgspec.json.encode(record))

    def read(self, kind: type[T]) -> list[T]:
        """All records of a type, in the order in which they were written."""
        decode = msgspec.json.Decoder(kind).decode
        return [decode(line) for line in self._client.lrange(kind.__name__, 0, -1)]

    def tell(self, what: str) -> None:
        """Tell all processes something, such as that they shall stop."""
        self._client.set(what, 1)

    def is_told(self, what: str) -> bool:
        return bool(self._client.exists(what))


@cache
def record() -> Record:
    """The record of this process."""
    return Record(redis.Redis.from_url(os.environ[LEDGER_VARIABLE]))


class Tell(ltq.Middleware):
    """Writes down each run. `ctx` gets the versions that have run the message, in turn."""

    def __init__(self, version: str) -> None:
        self._version = version

    def on_send(self, message: ltq.Message[Any], task: ltq.Task[..., Any]) -> None:
        message.ctx["sent by"] = self._version

    @asynccontextmanager
    async def __call__(
        self, message: ltq.Message[Any], task: ltq.Task[..., Any]
    ) -> AsyncIterator[None]:
        self._write("start", message)
        message.ctx["ran"] = [*message.ctx.get("ran", []), self._version]
        try:
            yield
        except BaseException as error:
            self._write(type(error).__name__, message)
            raise
        self._write("end", message)

    def _write(self, what: str, message: ltq.Message[Any]) -> None:
        context = ltq.current()
        ran = Ran(
            what=what,
            id=message.id,
            task=message.task_name,
            version=self._version,
            attempt=context.attempt,
            pid=os.getpid(),
            time=time.time(),
            claimed=message.dequeue_time or 0.0,
            ctx=dict(message.ctx),
        )
        record().write([ran])


class Mark(ltq.Middleware):
    """A middleware that one version has and the other has not: it leaves a key in `ctx`."""

    def __init__(self, key: str) -> None:
        self._key = key

    def on_send(self, message: ltq.Message[Any], task: ltq.Task[..., Any]) -> None:
        message.ctx[self._key] = message.id

    @asynccontextmanager
    async def __call__(
        self, message: ltq.Message[Any], task: ltq.Task[..., Any]
    ) -> AsyncIterator[None]:
        message.ctx.setdefault(self._key, "")  # of a message from the other version
        yield


def sent(version: str, number: int, handles: Mapping[str, ltq.Handle[Any]]) -> list[Sent]:
    """The records of what was sent, by kind."""
    return [
        Sent(handle.id, handle.task_name, kind, version, number) for kind, handle in handles.items()
    ]
