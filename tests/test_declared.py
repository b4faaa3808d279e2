"""Tasks as the other parts of LTQ see them."""

import pytest

import ltq
from ltq._declared import DeclaredTask
from ltq._sender.prepared import PreparedMessage
from ltq.message import Published


@pytest.fixture
def worker() -> ltq.Worker:
    return ltq.Worker("shop", broker_url="memory://declared")


def test_every_task_is_one_also_with_options(worker: ltq.Worker) -> None:
    @worker.task(queue="mail", max_running=2)
    async def pay() -> None: ...

    declared = DeclaredTask.of(pay.with_options(delay=5))
    assert declared.lane == "mail/shop:pay"
    assert declared.codec is DeclaredTask.of(pay).codec


def test_one_made_by_hand_is_none() -> None:
    class ByHand(ltq.Task[[], None]):
        name = "shop:pay"

    with pytest.raises(ltq.ConfigurationError, match=r"<Task shop:pay> was not made by @worker"):
        DeclaredTask.of(ByHand())


def test_a_message_knows_its_task_and_how_it_travels(worker: ltq.Worker) -> None:
    @worker.task
    async def pay(order: int) -> None: ...

    message = pay.message(7)
    assert isinstance(message, PreparedMessage)
    assert (message.body, message.task) == (b"[[7],{}]", pay)
    assert DeclaredTask.of(pay).envelope(message, "slot").id == "slot"


def test_listeners_hear_of_what_others_publish(worker: ltq.Worker) -> None:
    @worker.task
    async def pay() -> None: ...

    task, heard = DeclaredTask.of(pay), list[ltq.Event]()
    envelope = task.envelope(pay.message(), "slot")
    task.published(envelope, Published.CREATED)
    worker.subscribe(heard.append)
    task.published(envelope, Published.EXISTS)
    task.published(envelope, Published.CREATED)
    assert [(event.kind, event.id) for event in heard] == [(ltq.EventKind.ENQUEUED, "slot")]
