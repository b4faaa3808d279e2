"""What was sent, and what a failing assertion says."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

import ltq
import ltq.testing
from ltq._sender.prepared import PreparedMessage
from ltq.message import Envelope
from ltq.testing import Box, assert_not_sent, assert_sent, assert_sent_once, sent

Pay = ltq.Task[..., Any]


@pytest.fixture
def pay(worker: ltq.Worker) -> Pay:
    @worker.task(priority="low")
    async def pay(order: int, *, currency: str = "EUR") -> float:
        return 1.5 * order

    return pay


class TestSent:
    async def test_it_gives_the_messages_in_order(self, box: Box, pay: Pay) -> None:
        eta = datetime(2031, 1, 1, tzinfo=UTC)
        assert sent(pay) == []
        handle = await pay.send(1)
        await pay.with_options(eta=eta, id="two").send(2, currency="USD")
        await pay.send_many([pay.message(3), pay.message(4)])
        first, second, *_ = sent(pay)
        assert (first.args, first.kwargs, first.id) == ((1,), {}, handle.id)
        assert (second.args, second.kwargs) == ((2,), {"currency": "USD"})
        assert (second.options.id, second.options.eta) == ("two", eta.timestamp())
        assert [message.args[0] for message in sent(pay)] == [1, 2, 3, 4]
        assert isinstance(first, PreparedMessage)
        assert first.task is pay

    async def test_what_follows_a_run_is_sent_when_that_has_completed(
        self, worker: ltq.Worker, pay: Pay
    ) -> None:
        @worker.task(max_tries=2, backoff=60)
        async def order(number: int) -> None:
            await ltq.current().send_after(pay.message(number))
            assert_not_sent(pay, number)
            if ltq.current().attempt == 1:
                raise ConnectionError

        async with ltq.testing.use(worker) as box:
            await order.send(7)
            await box.drain()
            assert_not_sent(pay, 7)
            await box.clock.advance(seconds=90)
            sent_one = assert_sent_once(pay, 7)
            assert (await pay.handle(sent_one.id).state()).status is ltq.Status.COMPLETED

    async def test_what_is_sent_over_a_connection_is_there_at_once(
        self, box: Box, pay: Pay
    ) -> None:
        """A box has no database: whatever stands for the connection will do."""
        handle = await pay.with_options(connection=object(), unique_for=60).send(1)
        assert await pay.with_options(connection=object(), unique_for=60).send(1) == handle
        await pay.with_options(connection=object()).send_many([pay.message(2)])
        await asyncio.to_thread(pay.with_options(connection=object()).send_sync, 3)
        assert [message.args for message in sent(pay)] == [(1,), (2,), (3,)]

    async def test_over_a_connection_the_broker_is_asked_as_well(
        self, box: Box, worker: ltq.Worker
    ) -> None:
        @worker.task(max_pending=1, aliases=("charge",))
        async def bill(order: int) -> None: ...

        charge = ltq.Worker("shop", broker=worker.broker).task(name="charge", queue=bill.queue)(
            bill.fn
        )
        await charge.with_options(id="b").send(1)
        mine = bill.with_options(connection=object())
        assert (await mine.with_options(id="b").send(1)).id == "b"
        with pytest.raises(ltq.QueueFullError, match="1"):
            await mine.send(2)

    async def test_only_what_the_broker_took(self, box: Box, pay: Pay) -> None:
        await pay.with_options(id="one").send(1)
        await pay.with_options(id="one").send(1)
        with pytest.raises(ltq.BrokerError), box.broker.fail(on="send"):
            await pay.send(2)
        with pytest.raises(ltq.BrokerError), box.broker.fail(on="send", lost=True):
            await pay.send(3)
        assert [message.args for message in sent(pay)] == [(1,), (3,)]

    async def test_what_a_hook_wrote_is_there(self, worker: ltq.Worker, box: Box, pay: Pay) -> None:
        class Stamp(ltq.MaxAge):
            def on_send(self, message: ltq.Message[Any], task: ltq.Task[..., Any]) -> None:
                message.ctx["trace"] = 5

        worker.register_middleware(Stamp())
        await pay.send(1)
        assert sent(pay)[0].ctx == {"trace": 5}

    async def test_a_task_that_is_not_under_test_is_refused(self, pay: Pay) -> None:
        with pytest.raises(ltq.ConfigurationError, match="'shop:pay' is not under test"):
            sent(pay)

    def test_send_sync_counts(self, box_of_sync: Box, pay: Pay) -> None:
        pay.send_sync(5)
        assert_sent_once(pay, 5)

    @pytest.fixture
    def box_of_sync(self, worker: ltq.Worker) -> Any:
        with ltq.testing.use(worker) as box:
            yield box


class TestAssertions:
    async def test_a_call_is_the_same_however_it_is_spelled(self, box: Box, pay: Pay) -> None:
        await pay.send(order=12, currency="EUR")
        (message,) = assert_sent(pay, 12)
        assert assert_sent_once(pay, 12, currency="EUR") == message
        assert_not_sent(pay, 13)
        assert_not_sent(pay, 12, currency="USD")

    async def test_options_count_if_they_are_named(self, box: Box, pay: Pay) -> None:
        await pay.with_options(delay=60, max_tries=3, id="twelve").send(12)
        for options in ({}, {"delay": 60}, {"max_tries": 3}, {"id": "twelve"}, {"priority": "low"}):
            assert_sent(pay.with_options(**options), 12)
        for options in ({"delay": 61}, {"max_tries": 2}, {"id": "x"}, {"priority": "high"}):
            assert_not_sent(pay.with_options(**options), 12)

    @pytest.mark.parametrize(
        ("option", "value", "other"),
        [
            ("id", "twelve", "x"),
            ("delay", 60, 0),
            ("delay", 0, 60),
            ("eta", datetime(2031, 1, 1, tzinfo=UTC), datetime(2032, 1, 1, tzinfo=UTC)),
            ("eta", datetime(2031, 1, 1, tzinfo=UTC), None),
            ("priority", "high", "normal"),
            ("timeout", 5, 6),
            ("max_tries", 3, 4),
            ("result_ttl", 0, 3600),
            ("on_full", "wait", "raise"),
            ("on_full", "raise", "wait"),
            ("full_timeout", 5, 30),
            ("unique_for", 5, 6),
            ("tags", ("a", "b"), ("a", "c")),
        ],
    )
    async def test_each_option_counts(
        self, box: Box, pay: Pay, option: Any, value: Any, other: Any
    ) -> None:
        chosen = pay.with_options(**{option: value})
        await chosen.send(12)
        assert_sent_once(chosen, 12)
        wrong: dict[str, Any] = {"delay": 0} if other is None else {option: other}
        assert_not_sent(pay.with_options(**wrong), 12)

    async def test_what_the_task_declares_is_what_held(
        self, worker: ltq.Worker, box: Box, pay: Pay
    ) -> None:
        declared: dict[str, Any] = {
            "timeout": 5,
            "max_tries": 3,
            "result_ttl": 60,
            "on_full": "wait",
            "full_timeout": 9,
            "unique_for": 7,
            "tags": ("a", "b"),
        }

        @worker.task(max_pending=3, **declared)
        async def ship(order: int) -> None: ...

        await ship.send(1)
        for option, value in declared.items():
            named: Any = {option: value}
            assert_sent_once(ship.with_options(**named), 1)
        assert_sent_once(ship.with_options(delay=0, priority="normal"), 1)

    async def test_a_failure_names_each_option_that_was_given(self, box: Box, pay: Pay) -> None:
        await pay.with_options(delay=5, on_full="wait").send(12)
        with pytest.raises(AssertionError) as failure:
            assert_sent(pay.with_options(delay=0, priority="normal"), 12)
        assert str(failure.value).splitlines() == [
            "shop:pay was not sent with (12) delay=0.0 priority=normal",
            "sent was:",
            "  shop:pay(12) delay=5.0 priority=low on_full=wait",
        ]

    async def test_wrong_arguments_are_refused(self, box: Box, pay: Pay) -> None:
        with pytest.raises(ltq.InvalidArgumentsError, match="order"):
            assert_not_sent(pay)

    async def test_a_failure_says_what_was_sent_instead(
        self, worker: ltq.Worker, box: Box, pay: Pay
    ) -> None:
        @worker.task
        async def mail(to: str) -> None: ...

        with pytest.raises(AssertionError) as failure:
            assert_sent(pay, 12)
        assert str(failure.value) == "shop:pay was not sent with (12)\nnothing was sent"
        await pay.with_options(delay=60).send(12, currency="USD")
        await mail.with_options(id="mail-1").send("ann@example.org")
        with pytest.raises(AssertionError) as failure:
            assert_sent(pay.with_options(priority="high"), 13)
        assert str(failure.value).splitlines() == [
            "shop:pay was not sent with (13) priority=high",
            "sent was:",
            "  shop:pay(12, currency='USD') delay=60.0 priority=low",
            "  shop:mail('ann@example.org') id=mail-1",
        ]

    async def test_or_how_often(self, box: Box, pay: Pay) -> None:
        for _ in range(25):
            await pay.send(12)
        with pytest.raises(AssertionError, match=r"was sent 25 times with \(12\)") as failure:
            assert_sent_once(pay, 12)
        assert "  ... 5 earlier ones" in str(failure.value)
        with pytest.raises(AssertionError, match=r"shop:pay was sent with \(12\)"):
            assert_not_sent(pay, 12)
        with pytest.raises(AssertionError, match="was not sent"):
            assert_sent_once(pay, 13)

    async def test_what_it_cannot_read_is_shown_as_it_was_sent(
        self, worker: ltq.Worker, box: Box, pay: Pay
    ) -> None:
        """A program may publish an envelope of its own, for a task of another one, say."""
        for name, body in (("shop:pay", b"no call"), ("other:task", b"[[1],{}]")):
            await worker.broker.publish(
                [Envelope(id=name, queue="shop:pay", task_name=name, body=body)]
            )
        with pytest.raises(AssertionError) as failure:
            assert_sent_once(pay.with_options(id="12"), 12)
        assert str(failure.value).splitlines()[2:] == [
            "  shop:pay b'no call'",
            "  other:task b'[[1],{}]'",
        ]
