"""The `ctx` of a message as bytes, and how many there may be."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ltq
from ltq import InvalidArgumentsError, Message, Middleware, Task
from ltq.message import MAX_CTX, encode_ctx
from ltq.middleware import default_stack
from ltq.names import new_id

LARGE = "x" * MAX_CTX


def test_one_that_is_empty_takes_no_bytes() -> None:
    assert encode_ctx({}) == (b"", "")


def test_one_that_just_fits_is_taken() -> None:
    rest = len(b'{"key":""}')
    data, wrong = encode_ctx({"key": "x" * (MAX_CTX - rest)})
    assert (len(data), wrong) == (MAX_CTX, "")
    data, wrong = encode_ctx({"key": "x" * (MAX_CTX - rest + 1)})
    assert (data, wrong != "") == (b"", True)


def test_of_what_is_too_large_the_largest_value_is_left_out_and_named() -> None:
    data, wrong = encode_ctx({"a": 1, "big": LARGE, "b": 2})
    assert data == b'{"a":1,"b":2}'
    assert wrong == f"ctx['big'] has {MAX_CTX + 8} bytes: at most {MAX_CTX} are allowed in all"


class Writes(Middleware):
    """Writes a large note, when it is sent or when it runs."""

    def __init__(self, *, on_send: bool) -> None:
        self._writes_on_send = on_send

    def on_send(self, message: Message[Any], task: Task[..., Any]) -> None:
        if self._writes_on_send:
            message.ctx["large"] = LARGE

    @asynccontextmanager
    async def __call__(self, message: Message[Any], task: Task[..., Any]) -> AsyncIterator[None]:
        message.ctx["run"] = message.tries
        if not self._writes_on_send:
            message.ctx["large"] = LARGE
        yield


def make_worker(*middlewares: Middleware) -> ltq.Worker:
    return ltq.Worker(
        "ctx", broker_url=f"memory://{new_id()}", middlewares=[*default_stack(), *middlewares]
    )


async def test_a_message_with_too_much_is_not_sent() -> None:
    worker = make_worker()

    @worker.task
    async def job() -> None: ...

    message = job.message()
    message.ctx["large"] = LARGE
    with pytest.raises(InvalidArgumentsError, match=r"ctx\['large'\] has"):
        await job.send_many([job.message(), message])
    assert await worker.broker.queues() == []


async def test_what_a_middleware_adds_beyond_that_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "ltq.task")
    worker = make_worker(Writes(on_send=True))

    @worker.task
    async def job() -> None:
        assert "large" not in ltq.current().message.ctx

    async with worker:
        await (await job.send()).result(5)
    assert any("'large'" in text for text in caplog.messages)


async def test_what_a_run_adds_beyond_that_is_dropped_and_its_error_stands(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "ltq.worker")
    worker = make_worker(Writes(on_send=False))
    seen: list[dict[str, Any]] = []

    @worker.task(max_tries=2, backoff=0.001)
    async def job() -> None:
        seen.append(dict(ltq.current().message.ctx))
        raise ValueError("its own error")

    message = job.message()
    message.ctx["tenant"] = "acme"
    (handle,) = await job.send_many([message])
    async with worker:
        state = await handle.wait(5)
    assert state.error == "ValueError: its own error"
    assert [ctx["tenant"] for ctx in seen] == ["acme", "acme"]
    told = [text for text in caplog.messages if "ctx[" in text]
    assert told
    assert "'large'" in told[0]
