"""Middleware in the process that sends."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

import ltq.task
from ltq.app import App
from ltq.errors import BrokerError, InvalidArgumentsError, RetryError
from ltq.message import Message
from ltq.middleware import MaxTries, Middleware
from ltq.task import Task
from ltq.worker import Worker


class Plain(Middleware):
    """Sees runs only."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    @asynccontextmanager
    async def __call__(self, message: Message, task: Task) -> AsyncIterator[None]:
        self.seen.append(dict(message.ctx))
        yield


class Hook(Plain):
    """Sees sends as well, and does there what a test wants."""

    def __init__(self, act: Callable[[Message], None] = lambda _: None) -> None:
        super().__init__()
        self.sent: list[Message[Any]] = []
        self._act = act

    def on_send(self, message: Message, task: Task) -> None:
        assert message.task_name == task.name
        self.sent.append(message)
        self._act(message)


def mark(key: str, value: Any = True) -> Callable[[Message], None]:
    return lambda message: message.ctx.update({key: value})


def make(url: str, *middlewares: Middleware, **options: Any) -> tuple[Worker, Task[..., Any]]:
    worker = Worker("shop", broker_url=url, middlewares=middlewares)

    @worker.task(**options)
    async def pay(order: int) -> None: ...

    return worker, pay


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., tuple[Worker, Task[..., Any]]]]:
    """Makes a worker with middleware, and its task; closed after the test."""
    workers = []

    def open_one(*args: Any, **options: Any) -> tuple[Worker, Task[..., Any]]:
        worker, task = make(*args, **options)
        workers.append(worker)
        return worker, task

    yield open_one
    for worker in workers:
        await worker.aclose()


Open = Callable[..., tuple[Worker, Task[..., Any]]]


async def test_what_it_writes_is_there_where_the_message_runs(url: str, opened: Open) -> None:
    written = {"text": "ü", "number": 1.5, "none": None, "list": [1, {"a": True}]}
    _, pay = opened(url, Hook(mark("sent", written)))
    sent, many = await pay.send(1), await pay.send_many([pay.message(2), pay.message(3)])
    running = Plain()
    worker, _ = opened(url, running)
    await worker.run(burst=True)
    assert running.seen == [{"sent": written}] * 3
    assert [(await handle.state()).status for handle in (sent, *many)] == ["completed"] * 3


async def test_it_is_in_the_ctx_of_every_try(opened: Open) -> None:
    hook = Hook(mark("trace", "abc"))
    worker = Worker("shop", broker_url="memory://on-send-tries", middlewares=[hook, MaxTries()])

    @worker.task(max_tries=3, backoff=lambda _: 0.0)
    async def pay() -> None:
        raise RetryError

    await pay.send()
    await worker.run(burst=True)
    assert hook.seen == [{"trace": "abc"}] * 3
    assert len(hook.sent) == 1


async def test_it_sees_the_message_as_it_will_be_sent(opened: Open) -> None:
    hook = Hook()
    _, pay = opened("memory://on-send-seen", hook)
    handle = await pay.with_options(id="a1", delay=timedelta(seconds=60)).send(7)
    (message,) = hook.sent
    assert (message.args, message.kwargs, message.id) == ((7,), {}, "a1")
    assert message.options.delay == 60
    assert handle.id == message.id


async def test_a_message_keeps_its_own_ctx_and_is_not_changed(opened: Open) -> None:
    hook = Hook(mark("sent"))
    worker, pay = opened("memory://on-send-kept", hook)
    message = pay.message(1)
    message.ctx["own"] = {"nested": []}
    await pay.send_many([message])
    assert message.ctx == {"own": {"nested": []}}
    await worker.run(burst=True)
    assert hook.seen == [{"own": {"nested": []}, "sent": True}]


async def test_they_are_called_in_their_order(opened: Open) -> None:
    order: list[str] = []
    first, second = Hook(lambda _: order.append("a")), Hook(lambda _: order.append("b"))
    _, pay = opened("memory://on-send-order", first, Plain(), second)
    await pay.send(1)
    assert order == ["a", "b"]


async def test_one_registered_or_removed_later_counts_from_then_on(opened: Open) -> None:
    worker, pay = opened("memory://on-send-later", Plain())
    later = pay.with_options(priority="low")
    await pay.send(1)
    hook = Hook()
    worker.register_middleware(hook)
    await later.send(2)
    await pay.send(3)
    worker.middlewares.remove(hook)
    await pay.send(4)
    assert [message.args for message in hook.sent] == [(2,), (3,)]


async def test_an_apps_is_called_once_the_worker_is_registered(opened: Open) -> None:
    worker, pay = opened("memory://on-send-app")
    hook = Hook()
    app = App(middlewares=[hook])
    await pay.send(1)
    app.register_worker(worker)
    await pay.send(2)
    assert [message.args for message in hook.sent] == [(2,)]


async def test_without_one_no_message_is_made(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pay = opened("memory://on-send-none", Plain(), MaxTries())
    monkeypatch.setattr(ltq.task, "Message", None)
    await pay.send(1)


class TestErrors:
    async def test_one_of_ltqs_refuses_the_send(self, opened: Open) -> None:
        def refuse(_: Message) -> None:
            raise BrokerError("no more today")

        worker, pay = opened("memory://on-send-refused", Hook(refuse))
        with pytest.raises(BrokerError):
            await pay.send(1)
        with pytest.raises(BrokerError):
            await pay.send_many([pay.message(1)])
        assert (await worker.broker.stats([pay.queue]))[0].pending == 0

    @pytest.mark.parametrize(
        "value", [object(), {1, object()}, "\ud800"], ids=["object", "set", "surrogate"]
    )
    async def test_what_cannot_travel_is_dropped_and_logged(
        self, opened: Open, caplog: pytest.LogCaptureFixture, value: object
    ) -> None:
        good, bad = Hook(mark("good")), Hook(mark("bad", [value]))
        worker, pay = opened("memory://on-send-bad", good, bad, Hook(mark("last")))
        await pay.send(1)
        await worker.run(burst=True)
        assert good.seen == [{"good": True, "last": True}]
        assert "shop:pay" in caplog.text
        assert "on_send of" in caplog.text

    async def test_any_other_is_logged_and_the_message_is_sent(
        self, opened: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(message: Message) -> None:
            message.ctx["half"] = True
            message.ctx["own"].append("half")
            raise OSError("telemetry is away")

        hook = Hook(fail)
        worker, pay = opened("memory://on-send-fails", hook)
        message = pay.message(1)
        message.ctx["own"] = []
        await pay.send_many([message])
        await worker.run(burst=True)
        assert hook.seen == [{"own": []}]
        assert "telemetry is away" in caplog.text

    async def test_one_of_what_it_returns_is_logged_and_the_others_are_told(
        self, opened: Open, caplog: pytest.LogCaptureFixture
    ) -> None:
        told: list[bool | None] = []

        class Told(Plain):
            def on_send(self, message: Message, task: Task) -> Callable[[bool | None], object]:
                return told.append

        class Fails(Plain):
            def on_send(self, message: Message, task: Task) -> Callable[[bool | None], object]:
                return fail

        def fail(_: bool | None) -> None:
            raise SystemExit("telemetry is away")

        worker, pay = opened("memory://on-send-told", Fails(), Told())
        handle = await pay.send(1)
        assert told == [True]
        assert (await worker.broker.stats([pay.queue]))[0].pending == 1
        assert f"{handle.id}: {fail!r} failed" in caplog.text
        assert "telemetry is away" in caplog.text

    async def test_nobody_is_told_of_what_is_not_sent(self, opened: Open) -> None:
        hook = Hook()
        _, pay = opened("memory://on-send-wrong", hook)
        wrong: Message[Any] = Message((), {}, pay.name)
        with pytest.raises(InvalidArgumentsError):
            await pay.send("no number")
        with pytest.raises(InvalidArgumentsError):
            await pay.send_many([pay.message(1), wrong])
        assert hook.sent == []
