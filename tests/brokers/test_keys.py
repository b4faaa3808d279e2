"""Names of Redis keys: no two alike, and all of a namespace in one cluster slot."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from ltq.brokers.redis._server.keys import Keys, keyspace, line_list
from ltq.brokers.redis._server.keys import ltq_keys as keys
from ltq.names import namespace_of

names = st.text(string.ascii_letters + string.digits + "_.:-", min_size=1, max_size=200)


def keys_of(queue: str, task_id: str, consumer: str) -> list[str]:
    """Every key and channel there may be for one queue."""
    space, lane = namespace_of(queue), f"{queue}/{queue}"
    return [
        keys.task(space, task_id),
        *(keys.ready(space, name, level) for name in (queue, lane) for level in range(3)),
        keys.active(space),
        keys.delayed(space, queue),
        keys.due(space),
        keys.leases(space, queue),
        keys.lease_ends(space),
        keys.dead(space, queue),
        keys.dead_letter(space, task_id),
        keys.throughput(space, queue),
        keys.history(space, queue, 28333333),
        keys.wake(space, queue),
        keys.replicated(space),
        keys.wake(space, lane),
        keys.lanes(space),
        keys.claim(space, consumer),
        keys.rate(space, lane),
        keys.slot(space, task_id),
        keys.revoked(space, consumer),
    ]


def slots_of(queue: str) -> set[int]:
    every = [keys.prefix(namespace_of(queue)), *keys_of(queue, "a1", "host-1-ab")]
    return {key_slot(key.encode()) for key in every}


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
        assert "{" not in keys.namespaces


class TestKeys:
    @given(names, names, names)
    def test_no_two_are_the_same(self, queue: str, task_id: str, consumer: str) -> None:
        keys = keys_of(queue, task_id, consumer)
        assert len(set(keys)) == len(keys)

    @given(names, names)
    def test_other_names_make_other_keys(self, one: str, other: str) -> None:
        space = namespace_of(one)
        same = one == other
        assert (keys.task(space, one) == keys.task(space, other)) == same
        assert (keys.leases(space, one) == keys.leases(space, other)) == same
        assert (keys.ready(space, one, 1) == keys.ready(space, other, 1)) == same

    @given(names, st.integers(0, 2))
    def test_a_ready_list_ends_as_its_member_of_active_does(self, lane: str, level: int) -> None:
        key = keys.ready("mail", lane, level)
        assert key.removeprefix(keys.prefix("mail")) == f"ready:{level}:{lane}"


class TestPrefix:
    @given(names.map(lambda name: name[:64]), names, names)
    def test_all_begin_with_it(self, root: str, queue: str, task_id: str) -> None:
        own = Keys(root)
        assert own.namespaces.startswith(f"{root}:")
        assert own.schedule_marks.startswith(f"{root}:")
        assert own.task(namespace_of(queue), task_id).startswith(f"{root}:{{")


class TestChannels:
    def test_that_of_a_key_names_its_database(self) -> None:
        assert keyspace(3, keys.task("mail", "a1")) == "__keyspace@3__:ltq:{mail}:task:a1"


class TestLineList:
    def test_each_name_stands_between_line_feeds(self) -> None:
        assert line_list(["a", "b"]) == "\na\nb\n"

    def test_none_is_nothing(self) -> None:
        assert line_list([]) == ""

    @given(st.lists(names, max_size=5), names)
    def test_a_name_is_found_only_as_a_whole(self, listed: list[str], name: str) -> None:
        assert (f"\n{name}\n" in line_list(listed)) == (name in listed)
