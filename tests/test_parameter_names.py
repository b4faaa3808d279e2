"""Every parameter name is the task's: none is kept by LTQ's own methods."""

import pytest

import ltq
from ltq import testing

worker = ltq.Worker("names", broker_url="memory://names")

NAMES = [
    "self",
    "cls",
    "task",
    "id",
    "delay",
    "args",
    "kwargs",
    "fn",
    "message",
    "timeout",
    "name",
    "options",
    "message_id",
    "worker",
    "handle",
    "box",
    "codec",
    "envelope",
    "context",
    "func",
    "loop",
    "callback",
    "count",
    "names",
    "key",
    "value",
    "hint",
    "body",
    "middleware",
    "priority",
]


@worker.task
async def keep(**data: int) -> dict[str, int]:
    return data


@worker.task
def keep_in_thread(**data: int) -> dict[str, int]:
    return data


@worker.task
async def assign(task: str, self: int = 0, *, fn: str = "", id: str = "") -> str:  # noqa: A002
    return f"{task} {self} {fn} {id}"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("task", [keep, keep_in_thread], ids=["async", "thread"])
async def test_it_is_sent_and_called(name: str, task: ltq.Task[..., dict[str, int]]) -> None:
    with testing.use(worker) as box:
        handle = await task.send(**{name: 1})
        [other] = await task.send_many([task.with_options(id="b").message(**{name: 2})])
        await box.drain()
        assert await handle.result() == {name: 1}
        assert await other.result() == {name: 2}
        assert await task(**{name: 3}) == {name: 3}
        assert len(testing.assert_sent(task, **{name: 1})) == 1
        assert testing.assert_sent_once(task, **{name: 2}).kwargs == {name: 2}
        testing.assert_not_sent(task, **{name: 3})
        assert [message.kwargs for message in testing.sent(task)] == [{name: 1}, {name: 2}]


async def test_declared_parameters_have_these_names_too() -> None:
    with testing.use(worker) as box:
        handle = await assign.with_options(id="a").send(task="a", self=1, fn="b", id="c")
        await box.drain()
        assert handle.id == "a"
        assert await handle.result() == await assign("a", 1, fn="b", id="c") == "a 1 b c"
        testing.assert_sent(assign, task="a", self=1, fn="b", id="c")


def test_they_are_sent_without_an_event_loop() -> None:
    handle = keep.send_sync(self=1, task=2)
    assert handle.task_name == "names:keep"
