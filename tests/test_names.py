"""Names: what is one, and what follows from it."""

import os
import re
import socket
import string
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltq.errors import ConfigurationError
from ltq.message import lane_of
from ltq.names import (
    check_lane,
    check_name,
    check_names,
    consumer_name,
    namespace_of,
    new_id,
)
from ltq.worker import Worker

ALLOWED = string.ascii_letters + string.digits + "_.:-"


class TestCheckName:
    @given(st.text(ALLOWED, min_size=1, max_size=200))
    def test_1_to_200_of_the_allowed_characters_are_a_name(self, name: str) -> None:
        assert check_name("worker", name) == name

    @given(st.text(min_size=1).filter(lambda text: not set(text) <= set(ALLOWED)))
    def test_any_other_character_makes_it_none(self, name: str) -> None:
        with pytest.raises(ConfigurationError):
            check_name("worker", name)

    @pytest.mark.parametrize(
        "name", ["a\n", "\na", "ａ", "١", "ı", "a\x00", "a b", "{a}", "*", "a/b"]
    )
    def test_what_only_looks_like_one_is_refused(self, name: str) -> None:
        with pytest.raises(ConfigurationError):
            check_name("worker", name)

    @pytest.mark.parametrize("value", [None, 5, b"a", ["a"], object])
    def test_what_is_no_text_is_refused(self, value: object) -> None:
        with pytest.raises(ConfigurationError, match="is not allowed"):
            check_name("queue", value)

    @pytest.mark.parametrize("name", ["", "a" * 201])
    def test_none_and_too_many_are_refused(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match="1 to 200 of the characters"):
            check_name("queue", name)

    def test_the_error_says_what_is_named_and_how(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            check_name("task id", "my task")
        assert str(caught.value) == (
            "task id 'my task' is not allowed: 1 to 200 of the characters A-Z a-z 0-9 _ . : -"
        )

    def test_a_long_one_is_cut_in_the_error(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            check_name("queue", "x" * 1000)
        assert f"'{'x' * 76}... is" in str(caught.value)

    @pytest.mark.parametrize("name", ["", "a b", "x" * 201, "a\n"])
    def test_a_worker_is_held_to_it(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match="worker name"):
            Worker(name, broker_url="memory://names")

    def test_a_task_is_held_to_it_with_its_workers_name(self) -> None:
        worker = Worker("w" * 150, broker_url="memory://names")

        def task() -> None: ...

        with pytest.raises(ConfigurationError, match="task name"):
            worker.task(name="a b")(task)
        with pytest.raises(ConfigurationError, match="task name"):
            worker.task(name="t" * 50)(task)
        assert worker.task(name="t" * 49)(task).name == f"{'w' * 150}:{'t' * 49}"


class TestCheckNames:
    def test_they_come_as_a_list(self) -> None:
        assert check_names("queue", iter(["a", "b:c"])) == ["a", "b:c"]

    @pytest.mark.parametrize("text", ["mail", b"mail", ""])
    def test_one_text_is_no_list(self, text: Any) -> None:
        with pytest.raises(ConfigurationError) as caught:
            check_names("queue", text)
        assert str(caught.value) == f"a list of queue names is needed, not {text!r}"

    def test_the_wrong_one_is_named(self) -> None:
        with pytest.raises(ConfigurationError, match="task id 'b c'"):
            check_names("task id", ["a", "b c"])


class TestCheckLane:
    @pytest.mark.parametrize("lane", ["mail", "mail:send", "mail:all/mail:send", "shared/a.b-c_d"])
    def test_a_queue_and_a_task_in_it_are_lanes(self, lane: str) -> None:
        assert check_lane(lane) == lane

    @pytest.mark.parametrize(
        "lane", ["", "/", "a/", "/a", "a/b/c/d", "a/b\n", "a b/c", "a/" + "b" * 201]
    )
    def test_nothing_else_is(self, lane: str) -> None:
        with pytest.raises(ConfigurationError, match="is not allowed"):
            check_lane(lane)

    def test_lane_of_makes_lanes(self) -> None:
        assert (
            check_lane(lane_of("q" * 200, "t" * 200, limited=True)) == "q" * 200 + "/" + "t" * 200
        )


class TestNamespace:
    @pytest.mark.parametrize(
        ("queue", "namespace"),
        [
            ("mail", "mail"),
            ("mail:send", "mail"),
            ("mail:send:all", "mail"),
            ("mail:send/mail:other", "mail"),
            ("mail/other:task", "mail"),
            (":mail", ":mail"),
        ],
    )
    def test_it_is_what_stands_before_the_first_colon(self, queue: str, namespace: str) -> None:
        assert namespace_of(queue) == namespace

    @given(st.text(ALLOWED, min_size=1), st.text(ALLOWED, min_size=1))
    def test_a_lane_is_in_the_namespace_of_its_queue(self, queue: str, task: str) -> None:
        lane = lane_of(queue, task, limited=True)
        assert namespace_of(lane) == namespace_of(queue)
        assert lane.partition("/")[0] == queue

    def test_only_a_limited_task_in_a_shared_queue_has_a_lane_of_its_own(self) -> None:
        assert lane_of("mail:all", "mail:send", limited=True) == "mail:all/mail:send"
        assert lane_of("mail:all", "mail:send", limited=False) == "mail:all"
        assert lane_of("mail:send", "mail:send", limited=True) == "mail:send"


class TestNewId:
    def test_it_is_a_name(self) -> None:
        assert re.fullmatch("[0-9a-f]{24}", check_name("task id", new_id()))

    def test_it_begins_with_the_time(self) -> None:
        before, task_id, after = time.time(), new_id(), time.time()
        assert before - 1 / 256 <= int(task_id[:10], 16) / 256 <= after

    def test_no_two_are_the_same(self) -> None:
        assert len({new_id() for _ in range(10_000)}) == 10_000

    @pytest.mark.slow
    def test_not_after_a_fork_either(self) -> None:
        script = (
            "import os; from ltq.names import new_id; new_id(); child = os.fork();"
            "os.write(1, new_id().encode()); child and os.waitpid(child, 0)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
        assert done.stdout[:24] != done.stdout[24:]


class TestConsumerName:
    def test_it_says_where_it_runs(self) -> None:
        assert f"-{os.getpid()}-" in consumer_name()

    @pytest.mark.parametrize(
        "host", ["h" * 300, "ünïcödé.example", "a b\n", "", "-", "[::1]", "h" * 63 + ".example.org"]
    )
    def test_it_is_a_short_name_whatever_the_host_is_called(
        self, host: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(socket, "gethostname", lambda: host)
        name = check_name("consumer", consumer_name())
        assert len(name) <= 64, "a longer value makes a Redis hash large"

    def test_two_of_one_process_differ(self) -> None:
        assert len({consumer_name() for _ in range(20)}) > 1
