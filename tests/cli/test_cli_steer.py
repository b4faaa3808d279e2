"""`ltq pause`, `ltq resume`, `ltq promote`, on a real server."""

import json
from collections.abc import Awaitable, Callable

import pytest

from ltq.broker import Broker
from ltq.state import Status
from tests.cli.calls import call_ltq
from tests.cli.processes import Done
from tests.conformance.factories import QUEUE, claim_ids, claim_one, publish

Ltq = Callable[..., Awaitable[Done]]


@pytest.fixture
def ltq(redis_url: str) -> Ltq:
    """Runs `ltq` on the real server."""

    async def run(*arguments: str) -> Done:
        return await call_ltq(*arguments, env={"LTQ_BROKER_URL": redis_url})

    return run


async def paused(broker: Broker) -> list[str]:
    return [one.queue for one in await broker.stats(await broker.queues()) if one.paused]


class TestPause:
    async def test_a_queue_is_paused_and_goes_on(self, ltq: Ltq, broker: Broker) -> None:
        sent = await publish(broker)
        await publish(broker, delay=60.0)
        for _ in range(2):
            told = f"{QUEUE} is paused: 2 tasks waiting, 0 running\n"
            assert await ltq("pause", QUEUE) == Done(0, told, "")
        async with broker.consumer([QUEUE]) as consumer:
            assert await claim_ids(consumer, 1) == []
            for _ in range(2):
                told = f"{QUEUE} is not paused: 2 tasks waiting\n"
                assert await ltq("resume", QUEUE) == Done(0, told, "")
            assert await claim_ids(consumer, 1) == [sent.id]

    async def test_several_at_once(self, ltq: Ltq, broker: Broker) -> None:
        queues = ["mail:b", "mail:a", "other:x"]
        for queue in queues:
            await publish(broker, queue=queue)
        done = await ltq("pause", *queues[:2], queues[0], "--json")
        expected = [{"queue": queue, "paused": True} for queue in queues[:2]]
        assert (done.code, json.loads(done.out)) == (0, expected)
        assert await paused(broker) == ["mail:a", "mail:b"]
        done = await ltq("resume", *queues, "--json")
        assert [one["paused"] for one in json.loads(done.out)] == [False] * 3
        assert await paused(broker) == []

    @pytest.mark.parametrize("command", ["pause", "resume"])
    async def test_an_unknown_one_and_nothing_is_done(
        self, ltq: Ltq, broker: Broker, command: str
    ) -> None:
        await publish(broker)
        if command == "resume":
            await broker.pause(QUEUE)
        before = await paused(broker)
        done = await ltq(command, QUEUE, "mail:sedn", "nope")
        told = (
            "ltq: there is no queue 'mail:sedn': did you mean mail:send?; "
            "there is no queue 'nope': `ltq stats` shows those there are\n"
        )
        assert done == Done(1, "", told)
        assert await paused(broker) == before
        assert (await ltq(command, "a b")).code == 2
        assert (await ltq(command)).code == 2

    async def test_stats_mark_it(self, ltq: Ltq, broker: Broker) -> None:
        await publish(broker)
        await broker.serve([QUEUE], 60.0)
        await broker.pause(QUEUE)
        (line,) = (await ltq("stats")).out.splitlines()[1:]
        assert line.split()[:3] == [QUEUE, "(paused)", "0"]
        (found,) = json.loads((await ltq("stats", "--json")).out)
        assert (found["queue"], found["paused"]) == (QUEUE, True)

    async def test_check_and_doctor_tell_of_it(self, ltq: Ltq, broker: Broker) -> None:
        await publish(broker)
        await broker.pause(QUEUE)
        checked = await ltq("check", "--max-wait", "0")
        assert checked.code == 0
        assert checked.out.endswith(f"queues: 1, none stands still; paused: {QUEUE}\n")
        examined = await ltq("doctor", "--json")
        (finding,) = [
            one for one in json.loads(examined.out)["findings"] if one["name"] == "paused"
        ]
        assert finding["text"].startswith(f"{QUEUE} is paused: 1 task waiting, the oldest for")


class TestPromote:
    async def test_a_delayed_task_is_pending_now(self, ltq: Ltq, broker: Broker) -> None:
        sent = await publish(broker, delay=60.0)
        assert await ltq("promote", sent.id) == Done(0, f"task {sent.id} is pending now\n", "")
        assert (await broker.state(QUEUE, sent.id)).status is Status.PENDING

    async def test_any_other_is_refused_with_the_reason(self, ltq: Ltq, broker: Broker) -> None:
        ended, working = await publish(broker), await publish(broker)
        async with broker.consumer([QUEUE]) as consumer:
            await broker.release((await claim_one(broker, consumer)).lease)
            await claim_one(broker, consumer)
            pending = await publish(broker)
            for task_id, reason in {
                ended.id: "it had already ended: completed",
                working.id: "it is working already",
                pending.id: "it is pending already",
            }.items():
                told = f"ltq: task {task_id} was not promoted: {reason}\n"
                assert await ltq("promote", task_id) == Done(1, "", told)
        for unknown in ("nobody", "no id\x1b"):
            done = await ltq("promote", unknown)
            assert (done.code, done.out) == (1, "")
            assert done.err.count("\n") == 1
            assert "\x1b" not in done.err

    async def test_the_others_are_promoted_all_the_same(self, ltq: Ltq, broker: Broker) -> None:
        one, other = (
            await publish(broker, delay=60.0),
            await publish(broker, queue="b:c", delay=60.0),
        )
        done = await ltq("promote", "nobody", one.id, "nothing", other.id, one.id)
        assert done.code == 1
        assert done.out.splitlines() == [f"task {sent.id} is pending now" for sent in (one, other)]
        assert len(done.err.splitlines()) == 2

    async def test_json_for_programs(self, ltq: Ltq, broker: Broker) -> None:
        sent = await publish(broker, delay=60.0)
        done = await ltq("promote", sent.id, "nobody", "--json")
        answers = {sent.id: True, "nobody": False}
        expected = [{"id": task_id, "promoted": answer} for task_id, answer in answers.items()]
        assert (done.code, [json.loads(line) for line in done.out.splitlines()]) == (1, expected)
