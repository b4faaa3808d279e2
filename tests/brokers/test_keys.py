"""Names of Redis keys: no two alike, and all of a namespace in one cluster slot."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from ltq.brokers.redis import _keys
from ltq.names import namespace_of

names = st.text(string.ascii_letters + string.digits + "_.:-", min_size=1, max_size=200)


def keys_of(queue: str, task_id: str, consumer: str) -> list[str]:
    """Every key and channel there may be for one queue."""
    space, lane = namespace_of(queue), f"{queue}/{queue}"
    return [
        _keys.task(space, task_id),
        *(_keys.ready(space, name, level) for name in (queue, lane) for level in range(3)),
        _keys.active(space),
        _keys.delayed(space, queue),
        _keys.due(space),
        _keys.leases(space, queue),
        _keys.lease_ends(space),
        _keys.dead(space, queue),
        _keys.dead_letter(space, task_id),
        _keys.throughput(space, queue),
        _keys.wake(space, queue),
        _keys.wake(space, lane),
        _keys.lanes(space),
        _keys.claim(space, consumer),
        _keys.rate(space, lane),
        _keys.slot(space, task_id),
        _keys.revoked(space, consumer),
    ]


def slots_of(queue: str) -> set[int]:
    keys = [_keys.prefix(namespace_of(queue)), *keys_of(queue, "a1", "host-1-ab")]
    return {key_slot(key.encode()) for key in keys}


class TestSlots:
    @given(names.filter(lambda queue: not queue.startswith(":")))
    def test_all_keys_of_a_queue_are_in_one(self, queue: str) -> None:
        assert len(slots_of(queue)) == 1

    @pytest.mark.parametrize("queue", [":mail", ":", "::"])
    def test_also_of_a_queue_that_begins_with_a_colon(self, queue: str) -> None:
        assert len(slots_of(queue)) == 1

    def test_queues_of_one_worker_share_it(self) -> None:
        assert slots_of("mail:send") == slots_of("mail:receive") == slots_of("mail")

    def test_other_workers_may_be_elsewhere(self) -> None:
        assert slots_of("mail:send") != slots_of("shop:pay")

    def test_the_set_of_namespaces_is_outside(self) -> None:
        assert "{" not in _keys.NAMESPACES


class TestKeys:
    @given(names, names, names)
    def test_no_two_are_the_same(self, queue: str, task_id: str, consumer: str) -> None:
        keys = keys_of(queue, task_id, consumer)
        assert len(set(keys)) == len(keys)

    @given(names, names)
    def test_other_names_make_other_keys(self, one: str, other: str) -> None:
        space = namespace_of(one)
        same = one == other
        assert (_keys.task(space, one) == _keys.task(space, other)) == same
        assert (_keys.leases(space, one) == _keys.leases(space, other)) == same
        assert (_keys.ready(space, one, 1) == _keys.ready(space, other, 1)) == same

    @given(names, st.integers(0, 2))
    def test_a_ready_list_ends_as_its_member_of_active_does(self, lane: str, level: int) -> None:
        key = _keys.ready("mail", lane, level)
        assert key.removeprefix(_keys.prefix("mail")) == f"ready:{level}:{lane}"


class TestChannels:
    def test_that_of_a_key_names_its_database(self) -> None:
        assert _keys.keyspace(3, _keys.task("mail", "a1")) == "__keyspace@3__:ltq:{mail}:task:a1"


class TestLineList:
    def test_each_name_stands_between_line_feeds(self) -> None:
        assert _keys.line_list(["a", "b"]) == "\na\nb\n"

    def test_none_is_nothing(self) -> None:
        assert _keys.line_list([]) == ""

    @given(st.lists(names, max_size=5), names)
    def test_a_name_is_found_only_as_a_whole(self, listed: list[str], name: str) -> None:
        assert (f"\n{name}\n" in _keys.line_list(listed)) == (name in listed)
