"""The lines of the memory broker: any part of a long one is found at once."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ltq.brokers._rules.places import Spot
from ltq.brokers._rules.record import Record
from ltq.brokers.memory._line import Line
from tests.conformance.factories import make_envelope

pytestmark = pytest.mark.slow

MOST = 200
"""Most comparisons that it takes to find a spot among 100 000."""


class Number(int):
    """One that counts how often it is compared."""

    compared = 0

    def __lt__(self, other: int) -> bool:
        Number.compared += 1
        return int(self) < int(other)

    def __eq__(self, other: object) -> bool:
        Number.compared += 1
        return isinstance(other, int) and int(self) == int(other)

    __hash__ = int.__hash__


@contextmanager
def few_comparisons() -> Iterator[None]:
    Number.compared = 0
    yield
    assert Number.compared <= MOST


def spot(number: int) -> Spot:
    return Spot(0.0, Number(number))


def make_record() -> Record:
    return Record(make_envelope(), enqueue_time=0.0)


@pytest.fixture(scope="module")
def long() -> tuple[Line, list[Record]]:
    """One of 100 000, with room between all of them."""
    line, records = Line(), [make_record() for _ in range(100_000)]
    for number, record in enumerate(records):
        line.add(record, spot(2 * number))
    return line, records


@pytest.mark.slow
def test_a_part_is_read_alone(long: tuple[Line, list[Record]]) -> None:
    line, records = long
    for first in (0, 1, 511, 512, 50_000, 99_999):
        with few_comparisons():
            found = line.read(spot(2 * first - 1), 3)
        assert [record for _, record in found] == records[first : first + 3]
    with few_comparisons():
        assert line.read(spot(200_000), 3) == []
        assert line.first(2) == records[:2]
        assert line.nth(77_777) == spot(2 * 77_777)
    assert line.nth(100_000) is None


def test_one_comes_and_goes_anywhere(long: tuple[Line, list[Record]]) -> None:
    line, records = long
    for number in (-1, 1, 77_777, 199_999):
        record = make_record()
        with few_comparisons():
            line.add(record, spot(number))
            line.discard(record)
        line.discard(record)
    assert (len(line), line.first(1)) == (len(records), records[:1])


def test_it_is_a_sorted_list() -> None:
    chance = random.Random(7)
    line, there = Line(), dict[Spot, Record]()
    for _ in range(6000):
        if there and chance.random() < 0.45:
            line.discard(there.pop(chance.choice([*there])))
        else:
            at = Spot(float(chance.randrange(50)), chance.randrange(10**6))
            if at not in there:
                there[at] = make_record()
                line.add(there[at], at)
        after = Spot(float(chance.randrange(-1, 51)), 0)
        expected = sorted(each for each in there if each > after)[:5]
        assert [each for each, _ in line.read(after, 5)] == expected
    order = sorted(there)
    assert [each for each, _ in line.read(None, 10**6)] == order
    assert all(line.spot(there[each]) == each for each in order)
    assert [line.nth(number) for number in range(len(order))] == order
    while there:
        line.discard(there.popitem()[1])
    assert (len(line), line.first(1), line.nth(0)) == (0, [], None)
