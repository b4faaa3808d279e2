"""Work in many namespaces of a cluster: what one that fails tells of the others."""

from collections import Counter
from types import SimpleNamespace
from typing import cast

import pytest
from redis.exceptions import AskError, ConnectionError, TryAgainError  # noqa: A004

from ltq.brokers.redis._connect.addresses import Address
from ltq.brokers.redis._operations import spread
from ltq.brokers.redis._operations.spread import in_each, read_each
from ltq.brokers.redis._server.idle import IdleWires
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.links import Links
from ltq.brokers.redis._server.wire import Wire
from ltq.errors import BrokerError

NAMES = [f"a{number}" for number in range(9)] + ["b0"]


class Nodes:
    """Servers `a` and `b`: the first letter of a namespace says which one has it."""

    is_split = True

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def server_of(self, namespace: str) -> str:
        return namespace[0]

    def of(self, namespace: str) -> SimpleNamespace:
        self.asked[namespace[0]] += 1
        return SimpleNamespace(is_failing=False, name=namespace[0])


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    monkeypatch.setattr(spread, "_AT_ONCE", 2)
    return Nodes()


def failing(cause: Exception | None) -> BrokerError:
    error = BrokerError("away")
    error.__cause__ = cause
    return error


async def read_but_a(link: Link, namespace: str) -> str:
    if namespace[0] == "a":
        raise failing(ConnectionError("refused"))
    return namespace


@pytest.mark.parametrize("cause", [None, ConnectionError("refused")])
async def test_a_server_that_is_away_is_waited_for_once(
    nodes: Nodes, cause: Exception | None
) -> None:
    async def work(link: Link, namespace: str) -> None:
        if namespace[0] == "a":
            raise failing(cause)

    with pytest.raises(BrokerError, match="away"):
        await in_each(cast(Links, nodes), NAMES, work)
    assert nodes.asked == {"a": 1, "b": 1}


@pytest.mark.parametrize("cause", [TryAgainError("later"), AskError("5 127.0.0.1:1")])
async def test_a_slot_that_is_on_its_way_says_nothing_of_others(
    nodes: Nodes, cause: Exception
) -> None:
    async def read(link: Link, namespace: str) -> str:
        if namespace == "a0":
            raise failing(cause)
        return namespace

    assert await read_each(cast(Links, nodes), NAMES, read) == NAMES[1:]


async def test_few_are_named(nodes: Nodes, caplog: pytest.LogCaptureFixture) -> None:
    spread._throttled.over()
    assert await read_each(cast(Links, nodes), NAMES, read_but_a) == ["b0"]
    (told,) = caplog.messages
    assert "in a0, a1, a2, a3, a4 and 4 more:" in told


class Idle:
    """A link, as far as others may use its connections."""

    def __init__(self, *wires: Wire) -> None:
        self.wires = [*wires]

    def is_idle(self, wire: Wire) -> bool:
        return wire in self.wires

    def give_up(self, wire: Wire) -> bool:
        if wire in self.wires:
            self.wires.remove(wire)
            return True
        return False


class FakeWire:
    def __init__(self, used_at: float, port: int = 1) -> None:
        self.used_at = used_at
        self.address = Address("host", port)
        self.is_open = True

    def break_off(self, reason: str) -> None:
        self.is_open = False


def make_wire(used_at: float, port: int = 1) -> Wire:
    return cast(Wire, FakeWire(used_at, port))


class TestIdleWires:
    def test_one_of_another_link_is_taken_if_no_call_uses_it(self) -> None:
        busy, free, elsewhere = make_wire(1), make_wire(2), make_wire(3, port=2)
        idle, here, taker = IdleWires(), Idle(free), Idle()
        for wire in (free, busy, elsewhere):
            idle.add(here, wire)
        assert idle.take(taker, Address("host", 1)) is free
        assert idle.take(taker, Address("host", 1)) is None
        assert idle.take(taker, None) is None

    def test_a_closed_one_is_not_taken(self) -> None:
        wire = make_wire(1)
        idle = IdleWires()
        idle.add(Idle(wire), wire)
        wire.break_off("gone")
        assert idle.take(Idle(), Address("host", 1)) is None

    def test_those_idle_for_longest_are_closed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ltq.brokers.redis._server.idle.MOST_IDLE", 5)
        wires = [make_wire(number, port=1 + number % 2) for number in range(20)]
        idle, link = IdleWires(), Idle(*wires[:10])
        for wire in wires:
            idle.add(link, wire)
        assert [wire.used_at for wire in wires if not wire.is_open] == [0, 1, 2, 3, 4]
