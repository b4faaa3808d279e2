"""Tasks as the other parts of LTQ see them."""

from typing import Any

import pytest

import ltq
from ltq._declared import DeclaredTask, LanesOfTasks
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


class TestLanesOfTasks:
    @staticmethod
    def lanes(*tasks: dict[str, Any]) -> LanesOfTasks:
        worker = ltq.Worker("shop", "memory://lanes")
        declared = [DeclaredTask.of(worker.task(**options)(print)) for options in tasks]
        return LanesOfTasks(declared)

    def test_a_task_in_its_own_queue_has_that_lane_only(self) -> None:
        lanes = self.lanes({"name": "a"}, {"name": "b"})
        assert lanes.all == ["shop:a", "shop:b"]
        assert lanes.kinds == ["shop:a", "shop:b"]

    def test_in_a_shared_queue_each_name_has_one(self) -> None:
        lanes = self.lanes({"name": "a", "queue": "all", "aliases": ("old",)}, {"name": "b"})
        own = ["all/shop:a", "all/shop:old", "shop:old"]
        assert lanes.all == ["all", *own, "shop:b", "all/shop:b"]
        assert lanes.kinds == ["shop:a", "shop:old", "shop:b"]

    def test_a_limit_holds_in_every_shared_queue(self) -> None:
        lanes = self.lanes({"name": "a", "max_running": 2, "queue": "all"}, {"queue": "b"})
        assert set(lanes.limits(with_rates=True)) == {"all/shop:a", "b/shop:a"}
        assert lanes.running_limited == ["shop:a"]

    def test_a_rate_counts_only_where_it_is_kept(self) -> None:
        lanes = self.lanes({"name": "a", "max_rate": "1/s"})
        assert set(lanes.limits(with_rates=True)) == {"shop:a"}
        assert lanes.limits(with_rates=False) == {}

    def test_there_are_not_more_than_a_worker_can_wait_for(self) -> None:
        few = self.lanes(*({"name": f"a{i}", "queue": f"q{i % 10}"} for i in range(100)))
        many = self.lanes(*({"name": f"a{i}", "queue": f"q{i % 20}"} for i in range(100)))
        assert len(few.all) == 10 + 10 * 100
        assert len(many.all) == 20 + 100
        assert len(few.announced) == len(few.all)
        assert len(many.announced) == len(many.all)

    def test_what_is_announced_has_all_that_is_served_if_it_is_not_too_much(self) -> None:
        lanes = self.lanes({"name": "a"}, {"name": "b", "queue": "all"})
        own = {f"{queue}/{name}" for queue in ("shop:a", "all") for name in lanes.kinds}
        assert set(lanes.announced) == {"shop:a", "all"} | own
