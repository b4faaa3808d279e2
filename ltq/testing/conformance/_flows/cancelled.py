"""Nodes of a workflow are cancelled together, whatever they are about to do."""

from ltq.broker import Broker
from ltq.broker.flows import HELD, Arrival
from ltq.message import Envelope, Finish
from ltq.state import Status, TaskState
from ltq.testing.conformance._flows.kept import CTX, OUTLINE, TTL, hold
from ltq.testing.conformance._seam.watch import Follow, FollowsTasks, seen
from ltq.testing.conformance._support.factories import QUEUE, claim_one, make_envelope, publish
from ltq.testing.conformance._support.fixtures import MakeConsumer

NODE = {"ctx": CTX, "body": b"[1]"}


async def states_of(broker: Broker, ids: list[str]) -> list[TaskState[bytes]]:
    """Their states, all of which are there."""
    return [one for one in await broker.states(QUEUE, ids) if one is not None]


class TestCancelEach(FollowsTasks):
    async def test_all_that_has_not_ended_is(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        consumer = make_consumer()
        final = await publish(broker, **NODE)
        delivery = await claim_one(broker, consumer)
        await broker.finish([Finish(delivery.lease, Status.COMPLETED, b"1")])
        working = await publish(broker, **NODE)
        await claim_one(broker, consumer)
        waiting = [await publish(broker, **NODE, **one) for one in ({}, {"delay": 60.0})]
        held = await hold(broker)
        ids = [working.id, *(one.id for one in waiting), held]
        given = [*ids, final.id, "nobody"]
        assert await broker.cancel_each(QUEUE, given, TTL) == len(ids)
        assert {one.status for one in await states_of(broker, ids)} == {Status.CANCELLED}
        assert (await broker.state(QUEUE, final.id)).status is Status.COMPLETED
        assert await broker.cancel_each(QUEUE, given, TTL) == 0
        (stats,) = await broker.stats([QUEUE])
        assert (stats.pending, stats.delayed) == (0, 0)

    async def test_an_id_that_is_given_twice_is_cancelled_once(self, broker: Broker) -> None:
        envelope = await publish(broker, **NODE)
        assert await broker.cancel_each(QUEUE, [envelope.id] * 2, TTL) == 1
        assert len(await broker.endings(QUEUE)) == 1

    async def test_each_node_leaves_an_ending_and_only_a_held_one_its_body(
        self, broker: Broker
    ) -> None:
        node = await publish(broker, **NODE)
        held = await hold(broker, ctx=OUTLINE, serializer="msgpack")
        alone = await publish(broker, body=b"[1]")
        await broker.cancel_each(QUEUE, [node.id, held, alone.id], TTL)
        found = {one.id: one for one in await broker.endings(QUEUE)}
        assert {one: (found[one].ctx, found[one].body) for one in found} == {
            node.id: (CTX, b""),
            held: (OUTLINE, b"recipe"),
        }
        assert {one.status for one in found.values()} == {Status.CANCELLED}
        assert (found[node.id].serializer, found[held].serializer) == ("json", "msgpack")
        assert (found[node.id].queue, found[node.id].result) == (QUEUE, b"")

    async def test_what_they_were_may_go_on(
        self, broker: Broker, make_consumer: MakeConsumer
    ) -> None:
        """With its arguments, and with what has arrived."""
        node = await publish(broker, **NODE)
        held = await hold(broker)
        await broker.arrive(QUEUE, [Arrival(held, 0, 2, b"7")])
        await broker.cancel_each(QUEUE, [node.id, held], TTL)
        task = await broker.held(QUEUE, held, [0])
        assert task is not None
        assert (task.status, task.body, task.slots) == (Status.CANCELLED, b"recipe", {0: b"=7"})
        assert await broker.restart(QUEUE, [node.id], held=False) == 1
        assert (await claim_one(broker, make_consumer())).body == b"[1]"
        assert await broker.restart(QUEUE, [held], held=True) == 1
        again = await broker.held(QUEUE, held, [0])
        assert again is not None
        assert (again.status, again.slots) == (Status.DELAYED, {0: b"=7"})

    async def test_states_are_kept_as_long_as_their_tasks_say(self, broker: Broker) -> None:
        def node(**fields: object) -> Envelope:
            return make_envelope(**NODE, **fields)

        gone, own, given = node(result_ttl=0.0), node(result_ttl=500.0), node()
        await broker.publish([gone, own, given])
        assert await broker.cancel_each(QUEUE, [gone.id, own.id, given.id], TTL) == 3
        assert await broker.states(QUEUE, [gone.id]) == [None]
        first, second = await states_of(broker, [own.id, given.id])
        assert first.release_time is not None
        assert len(await broker.endings(QUEUE)) == 3
        assert await broker.cancel_each(QUEUE, [own.id, given.id], 0.0) == 0
        assert second.status is Status.CANCELLED

    async def test_arguments_are_kept_where_a_task_says_so(self, broker: Broker) -> None:
        kept = await publish(broker, body=b"[2]", keep_body=True)
        lost = await publish(broker, body=b"[3]")
        await broker.cancel_each(QUEUE, [kept.id, lost.id], TTL)
        page = await broker.tasks(QUEUE, status=Status.CANCELLED)
        assert {one.id: one.body for one in page.items} == {kept.id: b"[2]", lost.id: None}

    async def test_they_are_counted(self, broker: Broker) -> None:
        ids = [(await publish(broker, **NODE)).id for _ in range(3)]
        ids.append(await hold(broker, eta=HELD))
        await broker.cancel_each(QUEUE, ids, TTL)
        minutes = await broker.history(QUEUE, 2)
        assert sum(one.cancelled for one in minutes) == 4

    async def test_watchers_are_told(self, broker: Broker, follow: Follow) -> None:
        envelope = await publish(broker, **NODE)
        feed = follow(broker, envelope.id)
        await seen(feed, Status.PENDING)
        await broker.cancel_each(QUEUE, [envelope.id], TTL)
        await seen(feed, Status.CANCELLED)
