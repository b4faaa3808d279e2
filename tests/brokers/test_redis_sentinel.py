"""A broker behind Sentinel: URLs with passwords of both kinds, TLS, and mistakes in one line."""

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

import ltq
import ltq.sync
from devtools.redis_sets.certificates import Certificates
from devtools.redis_sets.node import Access
from devtools.redis_sets.sentinel import SentinelSet
from ltq.brokers.redis import RedisBroker
from ltq.errors import BrokerError
from ltq.message import Finish, Published
from ltq.state import Status
from tests.cli.processes import run_ltq
from tests.conformance.factories import claim_one, make_envelope

pytestmark = pytest.mark.slow

PASSWORD, OTHER = "swordfish", "halibut"


@pytest.fixture(scope="module")
def sentinels(redis_executable: str) -> Iterator[SentinelSet]:
    access, watch = Access(password=PASSWORD), Access(password=OTHER)
    with SentinelSet(redis_executable, replicas=1, access=access, sentinel_access=watch) as servers:
        yield servers


async def test_passwords_of_both_kinds_are_used(sentinels: SentinelSet) -> None:
    async with RedisBroker(sentinels.url) as broker:
        await broker.ping()
        assert await broker.publish([make_envelope()]) == [Published.CREATED]
        assert await broker.hazards() == []


def replaced(old: str, new: str) -> Callable[[str], str]:
    return lambda url: url.replace(old, new)


@pytest.mark.parametrize(
    ("change", "meant"),
    [
        (replaced(f":{PASSWORD}@", ":wrong@"), "refused the user or password"),
        (replaced(f":{PASSWORD}@", ""), "refused the user or password: Authentication required"),
        (
            replaced(f"sentinel_password={OTHER}", "sentinel_password=wrong"),
            "the sentinel 127.0.0.1:[0-9]+ refused the user or password",
        ),
        (
            replaced(f"?sentinel_password={OTHER}", ""),
            "the sentinel 127.0.0.1:[0-9]+ refused the user or password",
        ),
        (replaced("/mymaster/", "/other/"), "know no master named 'other': they know 'mymaster'"),
    ],
)
async def test_a_mistake_is_told_at_once_in_one_line(
    sentinels: SentinelSet, change: Callable[[str], str], meant: str
) -> None:
    async with RedisBroker(change(sentinels.url)) as broker:
        began = time.monotonic()
        with pytest.raises(BrokerError, match=meant) as refused:
            await broker.publish([make_envelope()])
    assert time.monotonic() - began < 2
    text = str(refused.value)
    assert "\n" not in text
    assert not any(secret in text for secret in (PASSWORD, OTHER))


async def test_without_any_sentinel_their_addresses_are_told() -> None:
    async with RedisBroker("redis+sentinel://127.0.0.1:1,[::1]:2/mymaster") as broker:
        began = time.monotonic()
        with pytest.raises(BrokerError, match=r"no sentinel answers: .*127.0.0.1:1 .*\[::1\]:2 "):
            await broker.publish([make_envelope()])
    assert time.monotonic() - began < 5


async def test_a_plain_url_of_a_sentinel_is_told_what_it_is(sentinels: SentinelSet) -> None:
    url = f"redis://:{OTHER}@{sentinels.sentinels[0].address}"
    async with RedisBroker(url) as broker:
        with pytest.raises(BrokerError, match=r"a sentinel is named by redis\+sentinel://"):
            await broker.stats(["mail:send"])
        found = {one.name: one for one in await broker.examine()}
    assert "redis+sentinel://" in found["replication"].advice


async def test_a_server_that_is_none_says_so(sentinels: SentinelSet) -> None:
    url = sentinels.servers[0].url.replace("redis://", "redis+sentinel://")
    url = url.replace("/0", f"/mymaster?sentinel_password={PASSWORD}")
    async with RedisBroker(url) as broker:
        with pytest.raises(
            BrokerError, match=r"does not know SENTINEL: it is none, use a URL without \+sentinel"
        ):
            await broker.ping()


async def test_one_that_answers_is_enough(sentinels: SentinelSet) -> None:
    dead = sentinels.url.replace("@127", "@127.0.0.1:1,127", 1)
    async with RedisBroker(dead) as broker:
        await broker.ping()


async def test_what_is_told_may_be_reached_elsewhere(sentinels: SentinelSet) -> None:
    asked: list[tuple[str, int]] = []

    def reached(host: str, port: int) -> tuple[str, int]:
        asked.append((host, port))
        return "localhost", port

    async with RedisBroker(sentinels.url, address_map=reached) as broker:
        await broker.ping()
    assert {*asked} == {("127.0.0.1", sentinels.master.port)}


async def test_commands_take_the_url(sentinels: SentinelSet) -> None:
    async with RedisBroker(sentinels.url) as broker:
        await broker.publish([make_envelope(queue="cli:one")])
    done = await run_ltq("size", "cli:one", "--broker-url", sentinels.url)
    assert done.code == 0, done
    wrong = sentinels.url.replace(OTHER, "wrong")
    done = await run_ltq("size", "cli:one", "--broker-url", wrong)
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    assert "wrong" not in done.err


def test_synchronous_code_takes_it(sentinels: SentinelSet) -> None:
    worker = ltq.Worker("sync", broker_url=sentinels.url)

    @worker.task
    def double(number: int) -> int:
        return 2 * number

    handle = double.send_sync(3)
    assert handle.state().status is Status.PENDING


async def test_a_watch_goes_on_after_a_failover(sentinels: SentinelSet) -> None:
    async with RedisBroker(sentinels.url) as broker, broker.clone() as watcher:
        await asyncio.to_thread(sentinels.wait_until_agreed)
        envelope = make_envelope(queue="mail:late")
        await broker.publish([envelope])
        waiting = asyncio.create_task(watcher.wait("mail:late", envelope.id, timeout=30))
        await asyncio.to_thread(sentinels.fail_over)
        async with broker.consumer(["mail:late"]) as consumer:
            delivery = await claim_one(broker, consumer)
            await broker.finish([Finish(delivery.lease, Status.COMPLETED, b"1")])
        state = await waiting
        assert state is not None
        assert state.result == b"1"


async def test_tls_is_used_to_both(redis_tls_executable: str, certificates: Certificates) -> None:
    access = Access(certificates=certificates)
    with SentinelSet(
        redis_tls_executable, replicas=1, sentinels=1, access=access, sentinel_access=access
    ) as servers:
        assert servers.url.startswith("rediss+sentinel://")
        async with RedisBroker(servers.url) as broker:
            assert await broker.publish([make_envelope()]) == [Published.CREATED]
        async with RedisBroker(servers.url.replace("rediss", "redis").partition("?")[0]) as broker:
            with pytest.raises(BrokerError, match="no sentinel answers"):
                await broker.ping()
