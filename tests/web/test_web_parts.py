"""Parts of the dashboard by themselves."""

import asyncio
import json
import math
from datetime import datetime
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

import ltq
from ltq._declared import DeclaredTask
from ltq._display.encoded import Encoded
from ltq.broker import Broker
from ltq.logger import ThrottledLogger, get_logger
from ltq.state import Durations, Minute, Priority, Progress, Status, TaskState
from ltq.web._source.cached import Cached
from ltq.web._source.faults import fault_of
from ltq.web._source.site import Named, make_site
from ltq.web._view.command import send_command
from ltq.web._view.form import fields_of, read_fields
from ltq.web._view.render import Bar, ago, bar, count, query, rate, spark
from ltq.web._view.values import Call, Viewer
from tests.eventually import eventually


class TestCached:
    async def test_who_asks_at_the_same_time_shares_one_reading(self) -> None:
        reads: list[asyncio.Future[int]] = []

        async def read() -> int:
            reads.append(asyncio.get_running_loop().create_future())
            return await reads[-1]

        cached = Cached(read, fresh=60)
        waiting = [asyncio.ensure_future(cached.get()) for _ in range(5)]
        await eventually(lambda: reads)
        reads[0].set_result(7)
        assert await asyncio.gather(*waiting) == [7] * 5
        assert await cached.get() == 7
        assert len(reads) == 1

    async def test_what_was_being_read_when_it_was_spoilt_is_read_again(self) -> None:
        reads: list[asyncio.Future[int]] = []

        async def read() -> int:
            reads.append(asyncio.get_running_loop().create_future())
            return await reads[-1]

        cached = Cached(read, fresh=60)
        first = asyncio.ensure_future(cached.get())
        await eventually(lambda: reads)
        cached.spoil()
        second = asyncio.ensure_future(cached.get())
        await eventually(lambda: len(reads) == 2)
        reads[0].set_result(1)
        assert await first == 1
        reads[1].set_result(2)
        assert await second == 2
        assert await cached.get() == 2

    async def test_what_was_read_before_it_was_spoilt_does_not_replace_what_is_newer(self) -> None:
        reads: list[asyncio.Future[int]] = []

        async def read() -> int:
            reads.append(asyncio.get_running_loop().create_future())
            return await reads[-1]

        cached = Cached(read, fresh=60)
        first = asyncio.ensure_future(cached.get())
        await eventually(lambda: reads)
        cached.spoil()
        second = asyncio.ensure_future(cached.get())
        await eventually(lambda: len(reads) == 2)
        reads[1].set_result(2)
        assert await second == 2
        reads[0].set_result(1)  # the old one takes longer
        assert await first == 1
        assert (await cached.get(), cached.last) == (2, 2)

    async def test_who_wants_it_anew_shares_the_next_reading(self) -> None:
        reads: list[asyncio.Future[int]] = []

        async def read() -> int:
            reads.append(asyncio.get_running_loop().create_future())
            return await reads[-1]

        cached = Cached(read, fresh=60)
        first = asyncio.ensure_future(cached.get())
        await eventually(lambda: reads)
        anew = [asyncio.ensure_future(cached.anew()) for _ in range(5)]
        await asyncio.sleep(0)
        reads[0].set_result(1)  # it began before they asked
        await eventually(lambda: len(reads) == 2)
        reads[1].set_result(2)
        assert await first == 1
        assert await asyncio.gather(*anew) == [2] * 5
        assert len(reads) == 2

    async def test_an_error_is_for_all_who_wait_and_not_kept(self) -> None:
        errors = [ltq.BrokerError("away")]

        async def read() -> int:
            if errors:
                raise errors.pop()
            return 7

        cached = Cached(read, fresh=60)
        answers = await asyncio.gather(cached.get(), cached.get(), return_exceptions=True)
        assert all(isinstance(one, ltq.BrokerError) for one in answers)
        assert await cached.get() == 7

    async def test_an_error_that_nobody_waits_for_is_in_the_log(
        self, told: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        again = ThrottledLogger(get_logger("web"))  # another test may have had its warning
        monkeypatch.setattr("ltq.web._source.cached._throttled", again)

        async def read() -> int:
            raise ltq.BrokerError("no permission")

        cached = Cached(read, fresh=60)
        assert await cached.soon(1.0) is None
        await eventually(lambda: "BrokerError: no permission" in told.text)

    async def test_the_last_value_is_used_while_a_slow_one_is_read(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ltq.web._source.cached._LONG", -1.0)  # everything takes long
        numbers = iter(range(10))

        async def read() -> int:
            return next(numbers)

        cached = Cached(read, fresh=0.0, usable=60.0)
        assert [await cached.get(), await cached.get()] == [0, 0]
        assert cached.last == 0  # only a moment later: who asks has more to read
        await eventually(lambda: cached.last != 0)
        assert await cached.renewed() >= 2

    @pytest.mark.parametrize(("takes", "until"), [(0.3, 1.0), (3.0, 6.0)])
    async def test_it_is_fresh_from_when_its_reading_began(
        self, monkeypatch: pytest.MonkeyPatch, takes: float, until: float
    ) -> None:
        """Who asks each second gets a new one; but half of the time nothing is read."""
        now, reads = 0.0, 0
        monkeypatch.setattr("ltq.web._source.cached.time", SimpleNamespace(monotonic=lambda: now))

        async def read() -> int:
            nonlocal now, reads
            now, reads = now + takes, reads + 1
            return reads

        cached = Cached(read, fresh=1.0)
        assert await cached.get() == 1
        now = until - 0.01
        assert await cached.get() == 1
        now = until
        assert await cached.get() == 2


class TestSite:
    def test_keys_are_short_and_differ(self) -> None:
        urls = (
            *("sqlite:////a/jobs.db", "sqlite:////b/jobs.db", "redis://localhost:6379/0"),
            *("memory://static", "memory://a.b:c?history=0"),
        )
        site = make_site([Broker.from_url(url) for url in urls], read_only=False, redact=None)
        keys = list(site.boards)
        assert keys[:4] == ["jobs", "jobs-2", "redis", "broker-static"]
        assert all(key.replace("-", "").isalnum() for key in keys)

    def test_a_name_is_the_key(self) -> None:
        broker = Broker.from_url("memory://x")
        site = make_site([Named(broker, "orders")], read_only=False, redact=None)
        assert list(site.boards) == ["orders"]

    def test_workers_of_one_broker_are_one_place(self) -> None:
        workers: list[ltq.Worker[Any]] = [
            ltq.Worker(name, broker_url="memory://same") for name in "ab"
        ]
        site = make_site(workers, read_only=False, redact=None)
        (board,) = site.boards.values()
        assert list(board.workers) == workers


class TestTexts:
    @pytest.mark.parametrize(
        ("error", "fault"),
        [
            (None, ""),
            ("ValueError: order 17 of 3.5", "ValueError: order … of …"),
            ("KeyError: 'deadbeef01'\nmore", "KeyError: '…'"),
            ("at 0x7f01 of 550e8400-e29b-41d4-a716-446655440000", "at … of …"),
            ("x" * 200, "x" * 120 + "…"),
        ],
    )
    def test_errors_that_are_alike_have_one_fault(self, error: str | None, fault: str) -> None:
        assert fault_of(error) == fault

    def test_times_and_numbers(self) -> None:
        assert ">12 s ago</time>" in ago(100.0, 112.5)
        assert ">in 5 min</time>" in ago(400.0, 100.0)
        assert 'title="1970-01-01 00:01:40 UTC"' in ago(100.0, 112.0)
        assert ago(None, 1.0) == ""
        assert "1e+300" in ago(1e300, 0.0)
        assert count(1203221) == "1\u202f203\u202f221"
        assert (rate(0), rate(2.25), rate(1234.5)) == ("0", "2.2", "1\u202f234")
        assert query({"a": "x y", "b": "", "c": None}) == "?a=x+y"

    @pytest.mark.parametrize(
        ("progress", "share", "text"),
        [
            (Progress(3), None, "3"),
            (Progress(3, 0), None, "3"),
            (Progress(3, math.inf), None, "3"),
            (Progress(3, 4), 75, "3 of 4"),
            (Progress(9, 4), 100, "9 of 4"),
        ],
    )
    def test_a_bar_has_a_share_only_of_a_total(
        self, progress: Progress, share: int | None, text: str
    ) -> None:
        assert bar(progress) == Bar(share, text)

    def test_a_sparkline_says_in_words_what_it_shows(self) -> None:
        quiet = [Minute(time=60.0 * n) for n in range(3)]
        assert "quiet" in spark(quiet)
        busy = [*quiet, Minute(time=180.0, completed=3, failed=1, run=Durations())]
        assert "4 tasks ended in the last 4 minutes, 1 of them failed" in spark(busy)


class TestFields:
    @pytest.mark.parametrize(
        ("value", "kind", "shown"), [("a", "text", "a"), (None, "json", "null"), (7, "json", "7")]
    )
    def test_what_is_no_text_is_not_sent_back_as_one(
        self, shop: ltq.Worker[Any], value: object, kind: str, shown: str
    ) -> None:
        task = DeclaredTask.of(shop.tasks["shop:note"])
        field = fields_of(task, Call([value], {}))[0]
        assert (field.kind, field.value) == (kind, shown)
        assert read_fields(task, {"arg-text": "a"})[1]["text"] == "a"


class TestValues:
    @pytest.mark.parametrize("serializer", ["json", "msgpack"])
    def test_a_call_is_read_in_both_forms(self, serializer: str) -> None:
        import msgspec

        encode = msgspec.json.encode if serializer == "json" else msgspec.msgpack.encode
        shown = Viewer(None).call("t", Encoded(encode([[1, "a"], {"b": None}]), serializer))
        assert shown.text == '1\n"a"\nb=null'
        assert shown.call == Call([1, "a"], {"b": None})

    @pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff", b"[" * 5000, b"7"])
    def test_what_is_no_call_is_shown_as_bytes(self, data: bytes) -> None:
        shown = Viewer(None).call("t", Encoded(data, "json"))
        assert shown.text.startswith(f"{len(data)} bytes of serializer json: b'")
        assert shown.call is None

    @pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 5000])
    def test_so_is_what_is_no_result(self, data: bytes) -> None:
        shown = Viewer(None).result("t", Encoded(data, "json"))
        assert shown.text.startswith(f"{len(data)} bytes of serializer json: b'")

    def test_what_only_the_code_can_read_is_read_by_its_task(self) -> None:
        task = SimpleNamespace(
            codec=SimpleNamespace(
                decode_call=lambda data, _: ([datetime(2030, 1, 1), {1: object}], {"a": data}),
                result_as_json=lambda data, _: json.dumps(data.decode()).encode(),
            )
        )
        data = Encoded(b"x", "own")
        call = Viewer(None).call("t", data, cast("Any", task)).call
        assert call == Call(["2030-01-01T00:00:00", {"1": repr(object)}], {"a": "eA=="})
        assert Viewer(None).result("t", data, cast("Any", task)).text == '"x"'
        assert Viewer(None).result("t", data).text == "1 bytes of serializer own: b'x'"

    def test_what_redact_makes_of_a_call_may_be_anything(self) -> None:
        def redacted(left: object, _: str, __: object) -> object:
            return left

        body = Encoded(b'[[1], {"a": 2}]')
        for left, text in (("gone", '"gone"'), ({"args": 5}, "5"), ({}, "{}")):
            shown = Viewer(partial(redacted, left)).call("t", body)
            assert text in shown.text
            assert shown.is_redacted

    def test_a_long_value_is_cut(self) -> None:
        body = json.dumps([["x" * 100_000], {}]).encode()
        shown = Viewer(None).call("t", Encoded(body))
        assert len(shown.text) < 21_000
        assert "characters" in shown.text

    def test_a_command_is_quoted_for_a_shell(self) -> None:
        state: TaskState[bytes] = TaskState(
            id="1", task_name="shop:note", queue="shop:note", status=Status.FAILED,
            priority=Priority.HIGH, tags=("a",),
        )  # fmt: skip
        text = send_command(state, Call(["$(rm)"], {}), "redis://localhost:6379")
        assert text == (
            """ltq send MODULE:WORKER.note --args '["$(rm)"]' --priority high --tag a """
            "--broker-url redis://localhost:6379"
        )
