"""A broker over a Redis Cluster: what is asked where, and what is told of nodes."""

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

from devtools.redis_sets.certificates import Certificates
from devtools.redis_sets.cluster import ClusterSet
from devtools.redis_sets.node import Access, Node
from devtools.redis_sets.sentinel import SentinelSet
from ltq.broker import Feed, Severity
from ltq.brokers.redis import RedisBroker
from ltq.brokers.redis._connect.addresses import Address
from ltq.brokers.redis._connect.asking import asking
from ltq.brokers.redis._connect.cluster import AnyNode, Topology
from ltq.brokers.redis._connect.connections import maker
from ltq.brokers.redis._server import channels
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.brokers.redis._server.url import new_client
from ltq.errors import BrokerError
from ltq.message import Finish, Published
from ltq.state import Status
from tests.conformance.factories import claim_one, make_envelope
from tests.elapse import elapse
from tests.eventually import eventually

pytestmark = pytest.mark.slow

QUEUES = ("mail:send", "shop:pay", "news:read", "jobs:run", "user:add", "logs:cut")


@pytest.fixture(scope="module")
def servers(redis_executable: str) -> Iterator[ClusterSet]:
    with ClusterSet(redis_executable, replicas=0) as cluster:
        yield cluster


@pytest.fixture
def cluster(servers: ClusterSet) -> ClusterSet:
    """Emptied for this test."""
    servers.empty()
    return servers


def slot_of(cluster: ClusterSet, namespace: str) -> int:
    return int(cluster.nodes[0].ask("CLUSTER", "KEYSLOT", f"ltq:{{{namespace}}}:"))


def elsewhere(cluster: ClusterSet, namespace: str) -> int:
    """A node that has not this namespace."""
    owner = cluster.owner(slot_of(cluster, namespace))
    return next(number for number, one in enumerate(cluster.nodes) if one is not owner)


async def test_namespaces_are_on_several_nodes_and_all_are_found(cluster: ClusterSet) -> None:
    async with RedisBroker(cluster.url) as broker, broker.clone() as other:
        envelopes = [make_envelope(queue=queue) for queue in QUEUES]
        assert await broker.publish(envelopes) == [Published.CREATED] * len(QUEUES)
        owners = {cluster.owner(slot_of(cluster, queue.partition(":")[0])) for queue in QUEUES}
        assert len(owners) > 1
        assert await other.queues() == sorted(QUEUES)
        assert [one.pending for one in await other.stats(QUEUES)] == [1] * len(QUEUES)
        assert await other.find(envelopes[-1].id) is not None
        async with other.consumer(QUEUES) as consumer:
            claimed = (await consumer.claim(100)).deliveries
        assert {one.lease.id for one in claimed} == {one.id for one in envelopes}
        await other.finish([Finish(one.lease, Status.COMPLETED) for one in claimed])
        for envelope in envelopes:
            state = await other.state(envelope.queue, envelope.id)
            assert state is not None
            assert state.status is Status.COMPLETED


async def test_many_namespaces_need_few_connections(cluster: ClusterSet) -> None:
    """A process may have only so many open files, and a server so many clients."""
    queues = [f"n{number}:run" for number in range(60)]
    before = connected(cluster)
    async with RedisBroker(cluster.url) as broker:
        for queue in queues:
            await broker.publish([make_envelope(queue=queue)])
        assert connected(cluster) - before < 6 * len(cluster.nodes)
        assert sum(one.pending for one in await broker.stats(await broker.queues())) == 60
        for node in cluster.nodes:
            node.ask("CLIENT", "KILL", "TYPE", "normal")
        for queue in queues:
            await broker.publish([make_envelope(queue=queue)])


async def test_a_connection_on_which_nothing_is_watched_any_more_is_closed(
    cluster: ClusterSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "UNUSED", 0.2)
    monkeypatch.setattr(channels, "LOOK_EVERY", 0.1)
    envelopes = [make_envelope(queue=queue) for queue in QUEUES]
    async with RedisBroker(cluster.url) as broker:
        await broker.publish(envelopes)
        feeds: list[Feed] = []
        for number in (1, len(QUEUES)):
            feeds[:] = [broker.feed(one.queue, one.id) for one in envelopes[:number]]
            await eventually(
                lambda: watching(cluster) == len(feeds), description="they are watched"
            )
            for feed in feeds:
                feed.close()
            await eventually(lambda: watching(cluster) == 0, description="they are closed")


def watching(cluster: ClusterSet) -> int:
    """How many Pub/Sub connections the nodes have."""
    told = [str(node.ask("CLIENT", "LIST", "TYPE", "PUBSUB")) for node in cluster.nodes]
    return sum(one.count(" laddr=") for one in told)


def connected(cluster: ClusterSet) -> int:
    """How many clients the nodes have."""
    return sum(int(node.info("INFO", "clients")["connected_clients"]) for node in cluster.nodes)


async def test_a_watch_goes_on_when_its_slot_has_moved(cluster: ClusterSet) -> None:
    async with RedisBroker(cluster.url) as broker, broker.clone() as watcher:
        envelope = make_envelope(queue="shop:pay")
        await broker.publish([envelope])
        waiting = asyncio.create_task(watcher.wait("shop:pay", envelope.id, timeout=20))
        slot = slot_of(cluster, "shop")
        home, target = cluster.owner(slot), cluster.nodes[elsewhere(cluster, "shop")]
        await eventually(
            lambda: home.ask("PUBSUB", "CHANNELS", "*shop*"), description="it is watched there"
        )
        await asyncio.to_thread(cluster.migrate, slot, target)
        try:
            async with broker.consumer(["shop:pay"]) as consumer:
                delivery = await claim_one(broker, consumer)
            await broker.finish([Finish(delivery.lease, Status.COMPLETED, b"1")])
            state = await waiting
            assert state is not None
            assert state.result == b"1"
        finally:
            await asyncio.to_thread(cluster.migrate, slot, home)


async def test_one_dead_node_is_passed_over_once(cluster: ClusterSet) -> None:
    """Many calls may find that out at once, and some only when another node is asked already."""
    seeds = [Address("127.0.0.1", node.port) for node in cluster.nodes]
    ask = asking(maker(new_client(cluster.nodes[0].url).connection_pool, None))
    topology = Topology(seeds, ask, lambda address: address)
    where, masters = AnyNode(topology), [*await topology.masters()]
    first = await where.address()
    where.mark_stale(first, None)
    where.mark_stale(first, None)
    assert await where.address() == masters[(masters.index(first) + 1) % 3]
    where.mark_stale(first, None)
    assert await where.address() == masters[(masters.index(first) + 1) % 3]
    await topology.aclose()


async def test_a_plain_url_is_told_what_it_is(cluster: ClusterSet) -> None:
    node = cluster.nodes[elsewhere(cluster, "mail")]
    async with RedisBroker(node.url) as broker:
        began = time.monotonic()
        with pytest.raises(BrokerError, match=r"node of a Redis Cluster: use redis\+cluster://"):
            await broker.stats(["mail:send"])
        assert time.monotonic() - began < 2
        found = {one.name: one for one in await broker.examine()}
    assert found["replication"].severity is Severity.DANGER
    assert "redis+cluster://" in found["replication"].advice


async def test_the_doctor_names_each_node(cluster: ClusterSet) -> None:
    async with RedisBroker(cluster.url) as broker:
        await broker.publish([make_envelope(queue=queue) for queue in QUEUES])
        findings = await broker.examine()
    assert [one.text for one in findings if one.name == "cluster"] == [
        "3 masters, which have all slots"
    ]
    told = [one.text for one in findings if one.name == "rights"]
    assert told == [
        f"{node.address}: all commands, scripts and channels are allowed" for node in cluster.nodes
    ]
    (keys,) = [one for one in findings if one.name == "keys"]
    assert keys.severity is Severity.OK
    assert not [one for one in findings if one.name in ("replication", "places") and one.advice]


async def test_hazards_name_their_node(cluster: ClusterSet) -> None:
    node = cluster.nodes[1]
    node.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    node.ask("CONFIG", "SET", "maxmemory", "1gb")
    try:
        async with RedisBroker(cluster.url) as broker:
            (hazard,) = await broker.hazards()
    finally:
        node.ask("CONFIG", "SET", "maxmemory", "0")
        node.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert hazard.startswith(f"{node.address}: Redis may evict tasks")


async def test_a_map_says_where_nodes_are_reached(cluster: ClusterSet) -> None:
    asked: list[Address] = []

    def reached(host: str, port: int) -> tuple[str, int]:
        asked.append(Address(host, port))
        return "localhost", port

    async with RedisBroker(cluster.url, address_map=reached) as broker:
        await broker.publish([make_envelope(queue=queue) for queue in QUEUES])
    assert {one.port for one in asked} == {node.port for node in cluster.nodes}


async def test_a_server_that_is_none_says_so(redis_url: str) -> None:
    url = redis_url.replace("redis://", "redis+cluster://")
    async with RedisBroker(url) as broker:
        with pytest.raises(BrokerError, match="is not a node of a cluster: use a URL without"):
            await broker.ping()


async def test_a_sentinel_is_none_either(redis_executable: str) -> None:
    with SentinelSet(redis_executable, replicas=0, sentinels=1) as sentinels:
        (address,) = [one.address for one in sentinels.sentinels]
        async with RedisBroker(f"redis+cluster://{address}") as broker:
            with pytest.raises(BrokerError, match=f"{address} does not know CLUSTER.*a sentinel"):
                await broker.ping()


async def test_a_user_who_may_not_ask_for_its_nodes_is_told_the_right(cluster: ClusterSet) -> None:
    for one in cluster.nodes:
        one.ask("ACL", "SETUSER", "app", "on", ">password", "~*", "&*", "+@all", "-cluster")
    async with RedisBroker(cluster.url.replace("//", "//app:password@")) as broker:
        with pytest.raises(BrokerError, match=r"the user needs the right \+cluster\|slots at"):
            await broker.ping()
    for one in cluster.nodes:
        one.ask("ACL", "DELUSER", "app")


async def test_nodes_that_are_not_there_are_named() -> None:
    async with RedisBroker("redis+cluster://127.0.0.1:1,127.0.0.1:2") as broker:
        with pytest.raises(BrokerError, match=r"no node of the cluster answers: 127.0.0.1:1 .*:2 "):
            await broker.ping()


async def test_a_send_does_not_wait_for_the_registry(redis_executable: str) -> None:
    """It is at a node that is away; tools find the namespace once it is back."""
    settings = {"cluster-require-full-coverage": "no", "save": '"3600 1"'}
    with ClusterSet(redis_executable, replicas=0, settings=settings) as cluster:
        registry = cluster.owner("ltq:namespaces")
        namespace = next(
            name
            for name in (f"n{number}" for number in range(99))
            if cluster.owner(slot_of(cluster, name)) is not registry
        )
        node = cluster.owner(slot_of(cluster, namespace))
        other = next(
            name
            for name in (f"m{number}" for number in range(99))
            if cluster.owner(slot_of(cluster, name)) is node
        )
        async with RedisBroker(cluster.url) as broker:
            await broker.publish([make_envelope(queue=f"{namespace}:first")])
            registry.kill()
            began = time.monotonic()
            await broker.publish([make_envelope(queue=f"{other}:run")])
            assert time.monotonic() - began < 2
            assert f"{other}:run" in await broker.queues()
            registry.start()
            await asyncio.to_thread(cluster.wait_until_agreed)
            await eventually(
                lambda: other in registry.ask("SMEMBERS", "ltq:namespaces"),
                timeout=15,
                description="it is noted",
            )


async def test_names_tls_and_credentials_are_used_at_each_node(
    redis_tls_executable: str, certificates: Certificates
) -> None:
    access = Access(password="swordfish", certificates=certificates)
    with ClusterSet(redis_tls_executable, replicas=0, access=access, hostname="localhost") as set_:
        url = set_.url.replace(":swordfish@", "")
        asked: list[tuple[str, int]] = []

        def told(host: str, port: int) -> tuple[str, int]:
            asked.append((host, port))
            return host, port

        async with RedisBroker(
            url, credentials=lambda: (None, "swordfish"), address_map=told
        ) as broker:
            answers = await broker.publish([make_envelope(queue=queue) for queue in QUEUES])
            assert answers == [Published.CREATED] * len(QUEUES)
        assert {host for host, _ in asked} == {"localhost"}
        async with RedisBroker(url) as broker:
            with pytest.raises(BrokerError, match="refused the user or password") as refused:
                await broker.ping()
            assert "swordfish" not in str(refused.value)


async def test_a_consumer_of_several_nodes_goes_on_without_one(redis_executable: str) -> None:
    settings = {"cluster-require-full-coverage": "no"}
    with ClusterSet(redis_executable, replicas=0, settings=settings) as cluster:
        dead = cluster.owner(slot_of(cluster, "mail"))
        alive = next(
            queue
            for queue in QUEUES
            if cluster.owner(slot_of(cluster, queue.partition(":")[0])) is not dead
        )
        async with (
            RedisBroker(cluster.url) as broker,
            broker.consumer(["mail:send", alive]) as consumer,
        ):
            assert (await consumer.claim(1)).deliveries == []
            dead.kill()
            await broker.publish([make_envelope(queue=alive)])
            delivery = await claim_one(broker, consumer)  # it finds out that a node is away
            assert delivery.lease.queue == alive
            await broker.publish([make_envelope(queue=alive)])
            began = time.monotonic()
            assert (await claim_one(broker, consumer)).lease.queue == alive
            assert time.monotonic() - began < 2
            dead.start()
            await asyncio.to_thread(cluster.wait_until_agreed)
            await broker.publish([make_envelope(queue="mail:send")])
            assert (await claim_one(broker, consumer)).lease.queue == "mail:send"


def refuse_writes(cluster: ClusterSet, node: Node) -> Callable[[], object]:
    """As one whose replicas are gone, or whose disk is full; what ends that."""
    node.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    return lambda: node.ask("CONFIG", "SET", "min-replicas-to-write", "0")


def move_slot(cluster: ClusterSet, node: Node) -> Callable[[], object]:
    """In the old way, and the keys are still here: what reads them is answered."""
    move = cluster.slot_move(slot_of(cluster, "mail"), cluster.nodes[elsewhere(cluster, "mail")])
    move.begin()
    return move.undo


@pytest.mark.parametrize("harm", [refuse_writes, move_slot])
async def test_a_node_that_answers_but_serves_nothing_holds_up_no_other(
    cluster: ClusterSet,
    harm: Callable[[ClusterSet, Node], Callable[[], object]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is tried with what a claim does, and not with what a node answers all the same."""
    node = cluster.owner(slot_of(cluster, "mail"))
    healthy = next(
        x for x in QUEUES if cluster.owner(slot_of(cluster, x.split(":")[0])) is not node
    )
    async with (
        RedisBroker(cluster.url) as broker,
        broker.consumer(["mail:send", healthy]) as consumer,
    ):
        await consumer.claim(10)
        envelope = make_envelope(queue="mail:send")
        await broker.publish([envelope])
        heal = harm(cluster, node)
        try:
            await consumer.claim(10)  # it finds out
            slow, until = 0, time.monotonic() + 6
            while time.monotonic() < until:
                began = time.monotonic()
                await broker.publish([make_envelope(queue=healthy)])
                assert (await consumer.claim(10)).deliveries
                slow += time.monotonic() - began > 0.8
                await elapse(0.1, "the node is tried meanwhile")
            assert slow <= 1
        finally:
            heal()
        assert len([one for one in caplog.records if "is left out" in one.message]) == 1
        claimed: list[str] = []

        async def is_back() -> bool:
            claimed.extend(one.lease.id for one in (await consumer.claim(10)).deliveries)
            return envelope.id in claimed

        await eventually(is_back, 5, "it is served again")


async def test_a_call_about_a_node_that_is_away_is_done_at_the_others(cluster: ClusterSet) -> None:
    """There tasks are sent, lanes are served, and what is lost is requeued, before it fails."""
    away = cluster.owner(slot_of(cluster, "mail"))
    here = next(x for x in QUEUES if cluster.owner(slot_of(cluster, x.split(":")[0])) is not away)
    node, namespace = cluster.owner(slot_of(cluster, here.split(":")[0])), here.split(":")[0]
    async with RedisBroker(cluster.url) as broker, broker.clone() as other:
        await broker.publish([make_envelope(queue=one) for one in ("mail:send", here)])
        assert await other.served([here]) == [None]
        node.ask("DEL", keys.ready(namespace, here, 1), keys.active(namespace))
        for one in cluster.nodes:
            one.ask("CONFIG", "SET", "cluster-require-full-coverage", "no")
        away.freeze()
        try:
            for call in (
                broker.publish([make_envelope(queue=one) for one in ("mail:send", here)]),
                broker.serve(["mail:send", here], 60.0),
                broker.repair(["mail:send", here]),
                broker.served(["mail:send", here]),
            ):
                began = time.monotonic()
                with pytest.raises(BrokerError, match="did not reply"):
                    await call
                assert time.monotonic() - began < 7  # not once for each step
            assert await other.served([here]) == [0.0]
            async with other.consumer([here]) as consumer:
                assert len((await consumer.claim(10)).deliveries) == 2
        finally:
            away.thaw()
            for one in cluster.nodes:
                one.ask("CONFIG", "SET", "cluster-require-full-coverage", "yes")
        await asyncio.to_thread(cluster.wait_until_agreed)


async def test_a_frozen_node_does_not_hold_up_what_any_node_can_answer(
    redis_executable: str,
) -> None:
    settings = {"cluster-require-full-coverage": "no"}
    with ClusterSet(redis_executable, replicas=0, settings=settings) as cluster:
        frozen = cluster.nodes[0]
        names = [queue.partition(":")[0] for queue in QUEUES]
        lost = next(one for one in names if cluster.owner(slot_of(cluster, one)) is frozen)
        frozen.freeze()
        async with RedisBroker(cluster.url) as broker:
            began = time.monotonic()
            await broker.ping()
            assert time.monotonic() - began < 2.5
            with pytest.raises(BrokerError, match=f"no answer from {frozen.address}"):
                await broker.publish([make_envelope(queue=f"{lost}:x")])
            findings = await broker.examine()
    told = [one for one in findings if one.name in ("node", "cluster")]
    assert any(one.severity is Severity.DANGER for one in told), told  # the nodes may know by now
    assert len([one for one in findings if one.name == "version"]) == 2
