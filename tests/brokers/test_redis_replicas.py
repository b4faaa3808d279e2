"""The parameter `replicas`: a send waits until so many have the task."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from devtools.redis_sets.node import Access, Node
from ltq.broker import Severity
from ltq.broker.flows import HELD, Arrival, Arrived, Ready
from ltq.brokers.redis import RedisBroker
from ltq.errors import BrokerError
from ltq.message import Envelope, Published
from tests.conformance.factories import QUEUE, make_envelope
from tests.elapse import elapse
from tests.eventually import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(redis_executable: str) -> Iterator[tuple[Node, Node]]:
    """A master and its replica."""
    quick = {"save": '""', "repl-diskless-sync-delay": "0"}
    with Node(redis_executable, Access(), quick) as master:
        follow = {**quick, "replicaof": f"127.0.0.1 {master.port}"}
        with Node(redis_executable, Access(), follow) as replica:
            yield master, replica


async def is_followed(master: Node) -> None:
    await eventually(
        lambda: "state=online" in master.info("INFO", "replication").get("slave0", ""),
        description="the replica follows",
    )


async def test_it_returns_when_they_have_it(pair: tuple[Node, Node]) -> None:
    master, replica = pair
    await is_followed(master)
    async with RedisBroker(f"{master.url}?replicas=1") as broker:
        one, *many = (make_envelope() for _ in range(4))
        assert await broker.publish([one]) == [Published.CREATED]
        assert replica.ask("EXISTS", f"ltq:{{mail}}:task:{one.id}") == 1
        assert await broker.publish(many) == [Published.CREATED] * 3
        assert replica.ask("EXISTS", *(f"ltq:{{mail}}:task:{each.id}" for each in many)) == 3


async def test_too_few_are_told_and_a_repeat_is_safe(pair: tuple[Node, Node]) -> None:
    master, replica = pair
    await is_followed(master)
    async with RedisBroker(f"{master.url}?replicas=1") as broker:
        await broker.ping()
        replica.freeze()
        envelope, began = make_envelope(), time.monotonic()
        with pytest.raises(BrokerError, match="stored, but on 0 replicas and not on 1") as error:
            await broker.publish([envelope])
        assert time.monotonic() - began < 5
        assert (error.value.is_refusal, error.value.is_away) == (False, False)
        replica.thaw()
        assert await broker.publish([envelope]) == [Published.EXISTS]
        assert replica.ask("EXISTS", f"ltq:{{mail}}:task:{envelope.id}") == 1
        (stats,) = await broker.stats([QUEUE])
        assert stats.pending == 1


async def test_sends_that_meet_one_that_waits_keep_their_time_and_hold_up_no_other_call(
    pair: tuple[Node, Node],
) -> None:
    master, replica = pair
    await is_followed(master)
    async with RedisBroker(f"{master.url}?replicas=1") as broker:
        await broker.publish([make_envelope()])
        replica.freeze()
        lists = [[make_envelope(), make_envelope()] for _ in range(20)]
        first = [asyncio.create_task(timed(broker, one)) for one in ([make_envelope()], *lists)]
        await elapse(1, "the first ones wait for the replica")
        began = time.monotonic()
        await broker.stats([QUEUE])
        assert time.monotonic() - began < 2, "there is a connection for other calls"
        second = [asyncio.create_task(timed(broker, [make_envelope()])) for _ in range(2)]
        assert max(await asyncio.gather(*first, *second)) < 5.5
        replica.thaw()


async def timed(broker: RedisBroker, envelopes: list[Envelope]) -> float:
    """The seconds until it is told that no replica has them."""
    began = time.monotonic()
    with pytest.raises(BrokerError, match="stored, but on 0 replicas"):
        await broker.publish(envelopes)
    return time.monotonic() - began


async def test_a_script_that_the_server_does_not_know_is_sent_again(
    pair: tuple[Node, Node],
) -> None:
    master, _ = pair
    await is_followed(master)
    master.ask("SCRIPT", "FLUSH")
    async with RedisBroker(f"{master.url}?replicas=1") as broker:
        assert await broker.publish([make_envelope()]) == [Published.CREATED]


async def test_without_it_nothing_waits(pair: tuple[Node, Node]) -> None:
    master, _ = pair
    async with RedisBroker(master.url) as broker:
        await broker.publish([make_envelope()])
    assert "cmdstat_wait" not in master.info("INFO", "commandstats")


async def test_what_makes_it_impossible_is_told(
    pair: tuple[Node, Node],
) -> None:
    master, _ = pair
    await is_followed(master)
    master.ask("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-wait")
    url = master.url.replace("://", "://app:secret@")
    async with RedisBroker(f"{url}?replicas=2") as broker:
        with pytest.raises(BrokerError, match=r"stored, but .* refused to wait for them: ") as told:
            await broker.publish([make_envelope()])
        assert not told.value.is_refusal
        found = {one.name: one for one in await broker.examine()}
    assert found["replication"].severity is Severity.DANGER
    assert found["replication"].text.startswith("replicas: 1, and each send waits for 2")
    assert found["rights"].text == "the user may not use wait"


async def test_what_leads_a_workflow_on_waits_as_well(pair: tuple[Node, Node]) -> None:
    """Unless the ending it came from is in the same namespace, and is removed in the same step."""
    master, replica = pair
    await is_followed(master)
    ctx = b'{"ltq.flow":{"queue":"mail:send","end":"x"}}'
    held = make_envelope(eta=HELD, ctx=ctx)
    async with RedisBroker(f"{master.url}?replicas=1") as broker:
        await broker.publish([held])
        replica.freeze()
        beside = Arrival(held.id, 0, 2, b"1", ending="a 1")
        began = time.monotonic()
        assert await broker.arrive(QUEUE, [beside]) == [Arrived.WAITING]
        assert time.monotonic() - began < 0.4
        began = time.monotonic()
        assert await broker.arrive(QUEUE, [Arrival(held.id, 1, 2, b"2")]) == [Arrived.FULL]
        assert await broker.go_on(QUEUE, held.id, Ready(body=b"[[1],{}]"))
        assert 0.9 < time.monotonic() - began < 4.0  # and then they go on without
        replica.thaw()
        assert await broker.arrive(QUEUE, [Arrival(held.id, 1, 2, b"2")]) == [Arrived.ENDED]
