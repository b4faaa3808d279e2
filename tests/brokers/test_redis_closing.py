"""Closing what a broker has open in a cluster, while more is opened or something fails."""

from collections.abc import Iterator
from contextlib import suppress

import pytest

from devtools.redis_sets.cluster import ClusterSet
from ltq.brokers.redis._hubs import WatchHubs
from ltq.brokers.redis._server.links import Links
from ltq.brokers.redis._server.opening import Opening
from ltq.brokers.redis._watch_hub import WatchHub
from ltq.errors import BrokerError
from tests.eventually import eventually


@pytest.fixture(scope="module")
def cluster(redis_executable: str) -> Iterator[ClusterSet]:
    with ClusterSet(redis_executable, replicas=0) as cluster:
        yield cluster


def links_to(url: str) -> Links:
    return Opening(url, None, None, None).open_links()


def connections(cluster: ClusterSet) -> int:
    """How many clients there are, without the one that asks."""
    lists = [node.ask("CLIENT", "LIST", "TYPE", "NORMAL") for node in cluster.nodes]
    return sum("cmd=client" not in line for text in lists for line in text.splitlines())


async def test_a_hub_that_is_made_meanwhile_is_closed_and_others_than_one_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    links = links_to("redis+cluster://127.0.0.1:1")
    hubs, closed = WatchHubs(links, "poll"), list[WatchHub]()

    async def close(hub: WatchHub) -> None:
        closed.append(hub)
        if len(closed) == 1:
            hubs.of("late")
            raise RuntimeError("cannot be closed")

    monkeypatch.setattr(WatchHub, "aclose", close)
    opened = [hubs.of(name) for name in ("a", "b", "c")]
    with pytest.raises(RuntimeError, match="cannot be closed"):
        await hubs.aclose()
    assert closed[:3] == opened
    assert len(closed) == 4
    await links.aclose()


async def test_a_link_that_is_made_later_keeps_no_connection(cluster: ClusterSet) -> None:
    before = connections(cluster)
    links = links_to(cluster.url)
    await links.of("early").call("PING")
    assert connections(cluster) > before
    await links.aclose()
    for namespace in ("late", "later"):
        with suppress(BrokerError):
            await links.of(namespace).call("PING")
    await eventually(lambda: connections(cluster) <= before, description="all are closed")


async def test_those_that_are_abandoned_keep_no_connection(cluster: ClusterSet) -> None:
    """Their broker was dropped, and not closed."""
    before = connections(cluster)
    links = links_to(cluster.url)
    for namespace in ("a", "b", "c", "d"):
        await links.of(namespace).call("PING")
    assert connections(cluster) > before
    links.abandon()
    await eventually(lambda: connections(cluster) <= before)
