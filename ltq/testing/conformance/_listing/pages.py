"""Pages of a list: each task comes once, however the queue moves meanwhile."""

from typing import Any

import pytest

from ltq.broker import Broker, Consumer
from ltq.errors import ConfigurationError
from ltq.message import Finish, Requeue
from ltq.options import Priority
from ltq.state import Page, Status, TaskDetail
from ltq.testing.conformance._support.factories import QUEUE, claim_ids, publish, publish_many
from ltq.testing.conformance._support.fixtures import OpenBroker


def ids(page: Page[TaskDetail]) -> list[str]:
    """The ids of a page's tasks, in their order."""
    return [task.id for task in page.items]


async def run(broker: Broker, **query: Any) -> list[TaskDetail]:
    """The tasks of all pages of a query."""
    page = await broker.tasks(QUEUE, **query)
    found = [*page.items]
    while page.cursor is not None:
        page = await broker.tasks(QUEUE, cursor=page.cursor, **query)
        found += page.items
    return found


class TestPages:
    @pytest.mark.parametrize("limit", [1, 2, 7, 1000])
    async def test_together_they_are_the_whole_list(
        self, broker: Broker, consumer: Consumer, open_broker: OpenBroker, limit: int
    ) -> None:
        done = (await publish_many(broker, 3), await consumer.claim(3))[1].deliveries
        await broker.finish([Finish(one.lease, Status.COMPLETED) for one in done])
        await publish_many(broker, 4, priority=Priority.HIGH)
        await consumer.claim(4)
        await publish_many(broker, 3, lane=f"{QUEUE}/mail:a")
        await publish_many(broker, 3, priority=Priority.LOW)
        await publish_many(broker, 5)
        await publish_many(broker, 4, delay=60.0)
        whole = ids(await broker.tasks(QUEUE, limit=1000))
        assert len(set(whole)) == 22
        assert [task.id for task in await run(open_broker(), limit=limit)] == whole

    async def test_one_that_is_full_has_a_cursor_if_there_are_more(self, broker: Broker) -> None:
        sent = await publish_many(broker, 4)
        page = await broker.tasks(QUEUE, status=Status.PENDING, limit=3)
        assert ids(page) == sent[:3]
        assert page.total == 4
        assert page.cursor is not None
        rest = await broker.tasks(QUEUE, status="pending", limit=5, cursor=page.cursor)
        assert ids(rest) == sent[3:]
        assert rest.cursor is None

    async def test_what_is_claimed_meanwhile_moves_nothing(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = await publish_many(broker, 20)
        page = await broker.tasks(QUEUE, status=Status.PENDING, limit=5)
        await claim_ids(consumer, 3)
        second = await broker.tasks(QUEUE, status=Status.PENDING, limit=5, cursor=page.cursor)
        assert ids(second) == sent[5:10]
        await claim_ids(consumer, 12)
        third = await broker.tasks(QUEUE, status=Status.PENDING, limit=5, cursor=second.cursor)
        assert ids(third) == sent[15:20]

    async def test_the_last_one_shown_may_be_gone(self, broker: Broker) -> None:
        sent = await publish_many(broker, 20)
        page = await broker.tasks(QUEUE, status=Status.PENDING, limit=5)
        await broker.cancel(QUEUE, sent[4], 60.0)
        second = await broker.tasks(QUEUE, status=Status.PENDING, limit=5, cursor=page.cursor)
        assert ids(second) == sent[5:10]

    async def test_cancelled_ones_are_left_out(self, broker: Broker) -> None:
        sent = await publish_many(broker, 300)
        page = await broker.tasks(QUEUE, status=Status.PENDING, limit=100)
        for task_id in sent[50:98] + sent[100:152]:
            await broker.cancel(QUEUE, task_id, 60.0)
        rest = await broker.tasks(QUEUE, status=Status.PENDING, limit=100, cursor=page.cursor)
        assert ids(rest) == sent[152:252]
        assert rest.total == 200
        whole = await run(broker, status=Status.PENDING, limit=70)
        assert [task.id for task in whole] == [*sent[:50], *sent[98:100], *sent[152:]]

    async def test_what_comes_meanwhile_is_for_another_run(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = await publish_many(broker, 4)
        page = await broker.tasks(QUEUE, limit=2)
        await publish_many(broker, 3)
        await publish(broker, delay=60.0)
        rest = await broker.tasks(QUEUE, limit=100, cursor=page.cursor)
        assert ids(rest) == sent[2:]
        assert rest.cursor is None
        assert len(ids(await broker.tasks(QUEUE))) == 8

    async def test_no_task_is_shown_twice_as_it_moves_on(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = await publish_many(broker, 6)
        page = await broker.tasks(QUEUE, limit=4)
        assert ids(page) == sent[:4]
        first, second, third, fourth = (await consumer.claim(4)).deliveries
        await broker.finish(
            [
                Finish(first.lease, Status.COMPLETED),
                Requeue(second.lease, delay=60.0),
                Requeue(third.lease),
            ]
        )
        rest = await broker.tasks(QUEUE, limit=100, cursor=page.cursor)
        assert ids(rest) == sent[4:]
        assert fourth.lease.id not in ids(rest)

    async def test_the_front_may_grow_meanwhile(self, broker: Broker, consumer: Consumer) -> None:
        sent = await publish_many(broker, 12)
        held = (await consumer.claim(4)).deliveries
        page = await broker.tasks(QUEUE, status=Status.PENDING, limit=3)
        assert ids(page) == sent[4:7]
        await broker.finish([Requeue(one.lease, front=True, is_void=True) for one in held])
        rest = await broker.tasks(QUEUE, status=Status.PENDING, cursor=page.cursor)
        assert ids(rest) == sent[7:]

    async def test_the_front_may_be_sorted_anew_meanwhile(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = await publish_many(broker, 12)
        held = (await consumer.claim(7)).deliveries
        await broker.finish([Requeue(one.lease, front=True, is_void=True) for one in held[:6]])
        page = await broker.tasks(QUEUE, status=Status.PENDING, limit=3)
        assert ids(page) == sent[:3]
        await broker.finish([Requeue(held[6].lease, front=True, is_void=True)])
        rest = await broker.tasks(QUEUE, status=Status.PENDING, cursor=page.cursor)
        assert ids(rest) == sent[3:6] + sent[7:]

    @pytest.mark.parametrize("limit", [1, 7, 30])
    async def test_delayed_ones_are_shown_by_their_due_times(
        self, broker: Broker, limit: int
    ) -> None:
        soon = await broker.time() + 60.0
        sent = {
            (await publish(broker, eta=soon + number % 7)).id: number % 7 for number in range(30)
        }
        await publish_many(broker, 30, queue="mail:other", eta=soon)
        found = await run(broker, status=Status.DELAYED, limit=limit)
        assert {task.id for task in found} == set(sent)
        assert [sent[task.id] for task in found] == sorted(sent.values())

    async def test_of_those_that_are_due_together_each_is_shown_once(self, broker: Broker) -> None:
        soon = await broker.time() + 60.0
        sent = await publish_many(broker, 40, eta=soon)
        shown: list[str] = []
        gone: set[str] = set()
        page = await broker.tasks(QUEUE, status=Status.DELAYED, limit=6)
        while True:
            shown += ids(page)
            if page.cursor is None:
                break
            unseen = next(task_id for task_id in sent if task_id not in {*shown, *gone})
            gone.add(unseen)
            await broker.cancel(QUEUE, shown[-1], 60.0)  # the one that the cursor names
            await broker.promote(QUEUE, [shown[-2], unseen])
            await publish_many(broker, 2, eta=soon)
            page = await broker.tasks(QUEUE, status=Status.DELAYED, limit=6, cursor=page.cursor)
        assert sorted(shown) == sorted({*sent} - gone)

    async def test_final_ones_that_come_meanwhile_move_nothing(
        self, broker: Broker, consumer: Consumer
    ) -> None:
        sent = await publish_many(broker, 8)
        held = (await consumer.claim(8)).deliveries
        for one in held[:5]:
            await broker.release(one.lease)
        page = await broker.tasks(QUEUE, status=Status.COMPLETED, limit=2)
        assert ids(page) == [sent[4], sent[3]]
        for one in held[5:]:
            await broker.release(one.lease)
        rest = await broker.tasks(QUEUE, status=Status.COMPLETED, limit=2, cursor=page.cursor)
        assert ids(rest) == [sent[2], sent[1]]
        last = await broker.tasks(QUEUE, status=Status.COMPLETED, limit=2, cursor=rest.cursor)
        assert (ids(last), last.cursor) == ([sent[0]], None)

    @pytest.mark.parametrize("limit", [1, 4])
    async def test_of_those_that_ended_together_each_is_shown_once(
        self, broker: Broker, consumer: Consumer, limit: int
    ) -> None:
        sent = await publish_many(broker, 9)
        held = (await consumer.claim(9)).deliveries
        await broker.finish([Finish(one.lease, Status.COMPLETED) for one in held])
        found = await run(broker, status=Status.COMPLETED, limit=limit)
        assert sorted(task.id for task in found) == sorted(sent)

    async def test_a_queue_may_be_cleared_meanwhile(self, broker: Broker) -> None:
        await publish_many(broker, 5)
        await publish_many(broker, 5, delay=60.0)
        page = await broker.tasks(QUEUE, limit=2)
        later = await broker.tasks(QUEUE, limit=6, cursor=page.cursor)
        await broker.clear(QUEUE)
        for each in (page, later):
            rest = await broker.tasks(QUEUE, cursor=each.cursor)
            assert (ids(rest), rest.cursor) == ([], None)

    async def test_large_tasks_are_all_shown(self, broker: Broker) -> None:
        sent = await publish_many(broker, 12, body=b"x" * 300_000)
        found = await run(broker, limit=10)
        assert [task.id for task in found] == sent
        assert {task.body for task in found} == {b"x" * 300_000}


class TestCursor:
    """A cursor belongs to its query, whoever reads the next page."""

    async def cursor(self, broker: Broker, **query: Any) -> str:
        await publish_many(broker, 3)
        page = await broker.tasks(QUEUE, limit=1, **query)
        assert page.cursor is not None
        return page.cursor

    async def test_it_is_short_and_fits_into_a_url(self, broker: Broker) -> None:
        cursor = await self.cursor(broker)
        assert set(cursor) <= {*map(chr, range(48, 58)), *map(chr, range(65, 123)), "-", "_"}
        assert len(cursor) < 400

    async def test_one_of_another_query_is_refused(self, broker: Broker) -> None:
        cursor = await self.cursor(broker, status=Status.PENDING)
        others: list[dict[str, Any]] = [
            {"queue": "mail:other", "status": Status.PENDING},
            {"queue": QUEUE},
            {"queue": QUEUE, "status": [Status.PENDING, Status.DELAYED]},
            {"queue": QUEUE, "status": Status.PENDING, "task_name": QUEUE},
            {"queue": QUEUE, "status": Status.PENDING, "tag": "night"},
        ]
        for query in others:
            with pytest.raises(ConfigurationError, match="another query"):
                await broker.tasks(cursor=cursor, **query)
        await broker.tasks(QUEUE, status=["pending"], limit=7, cursor=cursor)

    async def test_what_is_none_is_refused(self, broker: Broker) -> None:
        cursor = await self.cursor(broker)
        wrong: list[Any] = ["", "x", "é", cursor[1:], cursor[:-1], f"{cursor}A", f"{cursor}=", 7]
        wrong += [cursor.swapcase(), f" {cursor}", cursor.encode(), "A" * 5000]
        for value in wrong:
            with pytest.raises(ConfigurationError, match="cursor"):
                await broker.tasks(QUEUE, cursor=value)
