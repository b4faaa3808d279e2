"""The tasks of a queue: their order, what is shown of each, and the filters."""

from typing import Any

import pytest

from ltq.broker import Broker, Consumer
from ltq.errors import ConfigurationError
from ltq.message import Finish, Requeue
from ltq.options import Priority
from ltq.state import Page, Status, TaskDetail
from ltq.testing.conformance._listing.pages import ids, run
from ltq.testing.conformance._support.eventually import eventually
from ltq.testing.conformance._support.factories import (
    QUEUE,
    claim_ids,
    claim_one,
    publish,
    publish_many,
)
from ltq.testing.conformance._support.fixtures import MakeConsumer, OpenBroker

OTHER = "mail:other"


class TestTasks:
    """The order of the groups, and within each."""

    async def test_there_are_none(self, broker: Broker) -> None:
        empty: Page[TaskDetail] = Page(items=(), cursor=None, total=0)
        assert await broker.tasks(QUEUE, status=Status.PENDING) == empty
        page = await broker.tasks(QUEUE)
        assert (page.items, page.cursor) == ((), None)
        assert await broker.queues() == []

    async def test_the_pending_ones_are_in_the_order_of_claiming(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        low = await publish_many(broker, 2, priority=Priority.LOW)
        normal = await publish_many(broker, 3)
        high = await publish_many(broker, 2, priority=Priority.HIGH)
        normal += await publish_many(broker, 2)
        page = await broker.tasks(QUEUE, status=Status.PENDING)
        assert ids(page) == [*high, *normal, *low]
        assert page.total == 9
        assert await claim_ids(make_consumer(), 9) == ids(page)

    async def test_the_lanes_of_a_priority_follow_each_other(self, broker: Broker) -> None:
        b = await publish_many(broker, 2, lane=f"{QUEUE}/mail:b")
        low = await publish_many(broker, 1, lane=f"{QUEUE}/mail:a", priority=Priority.LOW)
        own = await publish_many(broker, 2)
        a = await publish_many(broker, 2, lane=f"{QUEUE}/mail:a")
        page = await broker.tasks(QUEUE, status="pending")
        assert ids(page) == [*own, *a, *b, *low]
        assert page.total == 7

    async def test_what_is_put_back_to_the_front_is_first(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        first, second, third = await publish_many(broker, 3)
        deliveries = (await consumer.claim(2)).deliveries
        outcomes = [Requeue(each.lease, front=True, is_void=True) for each in deliveries]
        await broker.finish(outcomes[1:])
        assert ids(await broker.tasks(QUEUE, status=Status.PENDING)) == [second, third]
        await broker.finish(outcomes[:1])
        assert ids(await broker.tasks(QUEUE, status=Status.PENDING)) == [first, second, third]

    async def test_the_delayed_ones_are_in_the_order_of_their_due_times(
        self, broker: Broker
    ) -> None:
        late = await publish(broker, delay=60.0, priority=Priority.HIGH)
        soon = await publish(broker, delay=30.0)
        last = await publish(broker, delay=90.0, lane=f"{QUEUE}/mail:a")
        page = await broker.tasks(QUEUE, status=Status.DELAYED)
        assert ids(page) == [soon.id, late.id, last.id]
        assert page.total == 3
        assert [task.due_time for task in page.items] == [
            (await broker.state(QUEUE, task_id)).due_time for task_id in ids(page)
        ]

    async def test_the_working_ones_are_in_the_order_of_the_ends_of_their_leases(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        long, middle = make_consumer(lease=90.0), make_consumer(lease=60.0)
        short = make_consumer(lease=30.0)
        sent = await publish_many(broker, 4)
        assert await claim_ids(long, 1) == sent[:1]
        assert await claim_ids(short, 1) == sent[1:2]
        held = (await middle.claim(1)).deliveries
        page = await broker.tasks(QUEUE, status=Status.WORKING)
        assert ids(page) == [sent[1], sent[2], sent[0]]
        assert page.total == 3
        assert await broker.heartbeat([one.lease for one in held], 120.0) == []
        page = await broker.tasks(QUEUE, status=Status.WORKING)
        assert ids(page) == [sent[1], sent[0], sent[2]]

    async def test_the_final_ones_are_the_newest_first(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        completed, failed, rejected, cancelled = await publish_many(broker, 4)
        await broker.release((await claim_one(broker, consumer)).lease)
        for status in (Status.FAILED, Status.REJECTED):
            lease = (await claim_one(broker, consumer)).lease
            await broker.finish([Finish(lease, status, dead=True)])
        await broker.cancel(QUEUE, cancelled, 60.0)
        final = [status for status in Status if status.is_final]
        page = await broker.tasks(QUEUE, status=final)
        assert ids(page) == [cancelled, rejected, failed, completed]
        assert page.total in (None, 4)
        for status, task_id in (
            (Status.COMPLETED, completed),
            (Status.FAILED, failed),
            (Status.REJECTED, rejected),
            (Status.CANCELLED, cancelled),
        ):
            assert ids(await broker.tasks(QUEUE, status=status)) == [task_id]

    async def test_all_of_them_are_in_four_groups(self, broker: Broker, consumer: Consumer) -> None:
        ended, working, pending = await publish_many(broker, 3)
        delayed = await publish(broker, delay=60.0)
        await broker.release((await claim_one(broker, consumer)).lease)
        await claim_one(broker, consumer)
        page = await broker.tasks(QUEUE)
        assert ids(page) == [pending, delayed.id, working, ended]
        assert page.cursor is None
        assert page.total in (None, 4)
        some = await broker.tasks(QUEUE, status={Status.WORKING, Status.DELAYED})
        assert ids(some) == [delayed.id, working]
        assert some.total == 2

    async def test_each_queue_has_its_own(self, broker: Broker, consumer: Consumer) -> None:
        own = await publish_many(broker, 3)
        await publish_many(broker, 2, queue=OTHER)
        await publish(broker, queue=OTHER, delay=60.0)
        await publish(broker, queue=f"{QUEUE}er")
        await broker.release((await claim_one(broker, consumer)).lease)
        await claim_one(broker, consumer)
        assert ids(await broker.tasks(QUEUE)) == [own[2], own[1], own[0]]
        assert len(ids(await broker.tasks(OTHER))) == 3


class TestTaskDetail:
    """What a list shows of each task."""

    async def test_it_is_the_state_and_what_was_sent(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        body = b'[["a/b"],{"depth":2}]'
        fields: dict[str, Any] = {"body": body, "ctx": b'{"a":1}', "max_tries": 3, "timeout": 5.0}
        sent = [await publish(broker, **fields), await publish(broker, delay=60.0, **fields)]
        for status in (Status.PENDING, Status.WORKING):
            items = (await broker.tasks(QUEUE, status=[status, Status.DELAYED])).items
            assert {task.id for task in items} == {one.id for one in sent}
            for task in items:
                state = await broker.state(QUEUE, task.id)
                assert task == TaskDetail.of(state, body=body, ctx=b'{"a":1}', max_tries=3)
            await consumer.claim(1)

    async def test_what_was_not_said_is_none(self, broker: Broker) -> None:
        await publish(broker, body=b"")
        (task,) = (await broker.tasks(QUEUE)).items
        assert (task.body, task.ctx, task.max_tries) == (b"", b"", None)

    async def test_a_final_one_has_its_result_and_no_more_its_arguments(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish(broker, ctx=b'{"a":1}', max_tries=3)
        lease = (await claim_one(broker, consumer)).lease
        await broker.release(lease, result=b'"done"')
        (task,) = (await broker.tasks(QUEUE)).items
        state = await broker.state(QUEUE, lease.id)
        assert task == TaskDetail.of(state, body=task.body, ctx=b"", max_tries=None)
        assert task.result == b'"done"'
        assert task.body is None

    async def test_deaths_are_shown(self, broker: Broker, make_consumer: MakeConsumer) -> None:
        await publish(broker)
        await claim_one(broker, make_consumer(lease=0.05))

        async def pending() -> tuple[TaskDetail, ...]:
            await broker.sweep([QUEUE])
            return (await broker.tasks(QUEUE, status=Status.PENDING)).items

        (found,) = await eventually(pending)
        assert found.deaths == 1


class TestFinalTasks:
    """Which final tasks are listed."""

    async def test_one_whose_state_is_not_kept_is_not_listed(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish_many(broker, 2)
        await broker.release((await claim_one(broker, consumer)).lease, result_ttl=0.0)
        kept = (await claim_one(broker, consumer)).lease
        await broker.release(kept)
        assert ids(await broker.tasks(QUEUE)) == [kept.id]

    async def test_one_whose_state_has_expired_is_not_listed(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish_many(broker, 2)
        await broker.release((await claim_one(broker, consumer)).lease, result_ttl=0.05)
        kept = (await claim_one(broker, consumer)).lease
        await broker.release(kept)

        async def is_gone() -> bool:
            return ids(await broker.tasks(QUEUE)) == [kept.id]

        await eventually(is_gone)

    async def test_a_replayed_one_is_listed_where_it_is(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        first, second = await publish_many(broker, 2)
        for _ in range(2):
            lease = (await claim_one(broker, consumer)).lease
            await broker.finish([Finish(lease, Status.FAILED, dead=True)])
        await broker.replay(QUEUE, [first])
        assert [(one.id, one.status) for one in (await broker.tasks(QUEUE)).items] == [
            (first, Status.PENDING),
            (second, Status.FAILED),
        ]
        await broker.release((await claim_one(broker, consumer)).lease)
        assert ids(await broker.tasks(QUEUE)) == [first, second]
        assert ids(await broker.tasks(QUEUE, limit=1)) == [first]

    async def test_a_repeated_outcome_is_listed_once(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        await publish(broker)
        outcome = Finish((await claim_one(broker, consumer)).lease, Status.COMPLETED)
        await broker.finish([outcome, outcome])
        await broker.finish([outcome])
        assert ids(await broker.tasks(QUEUE)) == [outcome.lease.id]

    async def test_one_that_killed_its_workers_is_listed(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        poison = await publish(broker, max_deliveries=1)
        await claim_one(broker, make_consumer(lease=0.05))

        async def rejected() -> list[str]:
            await broker.sweep([QUEUE])
            return ids(await broker.tasks(QUEUE, status=Status.REJECTED))

        assert await eventually(rejected) == [poison.id]

    async def test_many_outcomes_of_one_call_are_all_listed(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        sent = await publish_many(broker, 30) + await publish_many(broker, 30, queue=OTHER)
        deliveries = (await make_consumer(QUEUE, OTHER).claim(60)).deliveries
        statuses = [Status.COMPLETED, Status.FAILED, Status.REJECTED]
        outcomes = [
            Finish(one.lease, statuses[number % 3], dead=number % 3 > 0)
            for number, one in enumerate(deliveries)
        ]
        await broker.finish(outcomes)
        listed = [*ids(await broker.tasks(QUEUE)), *ids(await broker.tasks(OTHER))]
        assert sorted(listed) == sorted(sent)


class TestFilters:
    async def test_only_those_of_a_task(self, broker: Broker, consumer: Consumer) -> None:
        expected = []
        for number in range(6):
            name = "mail:a" if number % 2 else "mail:b"
            sent = await publish(broker, task_name=name, delay=60.0 if number > 3 else 0.0)
            expected += [sent.id] if name == "mail:a" else []
        page = await broker.tasks(QUEUE, task_name="mail:a")
        assert ids(page) == expected
        assert page.total in (None, 3)
        delayed = await broker.tasks(QUEUE, status=Status.DELAYED, task_name="mail:a")
        assert ids(delayed) == expected[2:]
        await consumer.claim(10)
        working = await broker.tasks(QUEUE, status=Status.WORKING, task_name="mail:a")
        assert sorted(ids(working)) == sorted(expected[:2])
        assert ids(await broker.tasks(QUEUE, task_name="mail:nobody")) == []

    async def test_only_those_with_a_tag(self, broker: Broker, consumer: Consumer) -> None:
        both = await publish(broker, tags=("tenant:7", "night"))
        one = await publish(broker, tags=("tenant:7",), task_name="mail:a")
        await publish(broker, tags=("tenant:70", "xtenant:7"))
        await publish(broker)
        delayed = await publish(broker, tags=("tenant:7",), delay=60.0)
        page = await broker.tasks(QUEUE, tag="tenant:7")
        assert ids(page) == [both.id, one.id, delayed.id]
        assert page.items[0].tags == ("tenant:7", "night")
        assert ids(await broker.tasks(QUEUE, tag="tenant:7", task_name="mail:a")) == [one.id]
        assert ids(await broker.tasks(QUEUE, tag="nobody")) == []
        await broker.release((await claim_one(broker, consumer)).lease)
        final = await broker.tasks(QUEUE, tag="night")
        assert [(task.id, task.status) for task in final.items] == [(both.id, Status.COMPLETED)]
        assert final.items[0].tags == ("tenant:7", "night")

    @pytest.mark.parametrize("tag", ["", "a b", "x" * 65, "ä", 7, ["night"]])
    async def test_what_is_no_tag_is_refused(self, broker: Broker, tag: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"tag .* is not allowed"):
            await broker.tasks(QUEUE, tag=tag)

    async def test_a_rare_task_among_many_is_found_page_by_page(
        self, broker: Broker, open_broker: OpenBroker
    ) -> None:
        for _ in range(4):
            await publish_many(broker, 1000)
        rare = await publish(broker, task_name="mail:rare")
        await publish_many(broker, 500)
        found = [task.id for task in await run(open_broker(), task_name="mail:rare", limit=10)]
        assert found == [rare.id]

    @pytest.mark.parametrize("limit", [0, -1, 1001, 1.5, True, "10", None])
    async def test_a_page_has_1_to_1000(self, broker: Broker, limit: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"limit=.* 1 to 1000"):
            await broker.tasks(QUEUE, limit=limit)

    @pytest.mark.parametrize("status", ["dead", "", "PENDING", 7, ["pending", "dead"], [None]])
    async def test_what_is_no_status_is_refused(self, broker: Broker, status: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"status=.* is not allowed: pending, delayed"):
            await broker.tasks(QUEUE, status=status)

    async def test_no_status_at_all_is_refused(self, broker: Broker) -> None:
        with pytest.raises(ConfigurationError, match="one or more"):
            await broker.tasks(QUEUE, status=[])

    async def test_what_is_no_name_is_refused(self, broker: Broker) -> None:
        with pytest.raises(ConfigurationError, match="task name 'a b'"):
            await broker.tasks(QUEUE, task_name="a b")
