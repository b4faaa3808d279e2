"""Envelopes: made of calls and of messages, with the options of the task and of the send."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from ltq import ConfigurationError, InvalidArgumentsError, LtqError
from ltq._codec.call import CallCodec
from ltq._codec.codec import Codec
from ltq._sender.envelopes import EnvelopeMaker, Hook, SendHooks
from ltq._sender.prepared import EncodedCall, PreparedMessage
from ltq.message import Message
from ltq.options import Priority, SendConfig, TaskConfig, parse_send_options, parse_task_options


class Idle:
    """Middleware without an `on_send` of its own."""

    options: frozenset[str] = frozenset()

    def on_send(self, message: Message[Any], task: str) -> None:
        raise AssertionError("never called")


class Retries(Idle):
    options = frozenset({"max_tries"})


class Recorder(Idle):
    def __init__(self, **ctx: Any) -> None:
        self.ctx = ctx
        self.seen: list[tuple[Message[Any], str]] = []

    def on_send(self, message: Message[Any], task: str) -> None:
        self.seen.append((message, task))
        message.ctx.update(self.ctx)


class Failing(Recorder):
    def __init__(self, error: Exception) -> None:
        super().__init__(half="done")
        self.error = error

    def on_send(self, message: Message[Any], task: str) -> None:
        super().on_send(message, task)
        raise self.error


class Source:
    def __init__(self, *middlewares: Hook[str]) -> None:
        self.middlewares: list[Hook[str]] = list(middlewares)


def pay(order: int, *, currency: str = "EUR") -> None: ...


CODEC = CallCodec(pay, Codec(), task_name="shop:pay")


def make(
    *middlewares: Hook[str],
    config: TaskConfig = TaskConfig(),  # noqa: B008  it is frozen
    **options: Any,
) -> EnvelopeMaker[str]:
    hooks = SendHooks(Source(*middlewares), Idle.on_send)
    return EnvelopeMaker("shop:pay", config, CODEC, hooks, parse_send_options(options))


def prepare(body: bytes) -> PreparedMessage[None]:
    args: tuple[int, ...] = (1,)
    kwargs: dict[str, int] = {}
    encoded = EncodedCall(args, kwargs, body)
    return PreparedMessage(args, kwargs, "shop:pay", id="one", encoded=encoded, task=object())


class TestCall:
    def test_it_is_encoded_and_gets_an_id_of_its_own(self) -> None:
        one, other = (make().of_call((7,), {"currency": "USD"}, "task") for _ in range(2))
        assert one.body == b'[[7],{"currency":"USD"}]'
        assert (one.queue, one.lane, one.task_name) == ("shop:pay", "shop:pay", "shop:pay")
        assert one.has_new_id
        assert one.id != other.id

    def test_an_id_that_was_given_is_kept(self) -> None:
        envelope = make(id="a1").of_call((7,), {}, "task")
        assert (envelope.id, envelope.has_new_id) == ("a1", False)

    def test_options_of_the_send_go_before_those_of_the_task(self) -> None:
        config = parse_task_options({"priority": "low", "max_pending": 3})
        own = make(config=config).of_call((7,), {}, "task")
        assert (own.priority, own.max_pending) == (Priority.LOW, 3)
        sent = make(config=config, priority="high").of_call((7,), {}, "task")
        assert (sent.priority, sent.max_pending) == (Priority.HIGH, 3)

    def test_of_how_it_runs_only_what_the_send_says_travels(self) -> None:
        names = ("timeout", "max_tries", "result_ttl", "max_deliveries")
        config = parse_task_options(dict.fromkeys(names, 5))
        own = make(config=config).of_call((7,), {}, "task")
        assert [getattr(own, name) for name in names] == [None] * 4
        said: dict[str, Any] = {"timeout": 1, "max_tries": 2, "result_ttl": 3}
        sent = make(Retries(), config=config, **said).of_call((7,), {}, "task")
        assert [getattr(sent, name) for name in names] == [1.0, 2, 3.0, None]

    def test_a_limited_task_in_a_shared_queue_has_a_lane_of_its_own(self) -> None:
        config = parse_task_options({"queue": "mail", "max_rate": "1/s"})
        envelope = make(config=config).of_call((7,), {}, "task")
        assert (envelope.queue, envelope.lane) == ("mail", "mail/shop:pay")

    def test_only_a_unique_one_has_a_fingerprint(self) -> None:
        assert make().of_call((7,), {}, "task").fingerprint == ""
        unique = make(unique_for=60)
        first = unique.of_call((7,), {}, "task")
        assert first.fingerprint == unique.of_call((), {"order": 7}, "task").fingerprint != ""

    def test_wrong_arguments_are_refused_before_a_hook_is_called(self) -> None:
        hook = Recorder()
        with pytest.raises(InvalidArgumentsError):
            make(hook).of_call(("x",), {}, "task")
        assert hook.seen == []

    def test_tries_need_a_middleware_that_counts_them(self) -> None:
        with pytest.raises(ConfigurationError, match="shop:pay is sent with max_tries, but no"):
            make(max_tries=3).of_call((7,), {}, "task")
        assert make(Retries(), max_tries=3).of_call((7,), {}, "task").max_tries == 3


class TestHooks:
    def test_each_sees_what_those_before_it_wrote(self) -> None:
        first, second = Recorder(trace="a"), Recorder(more=1)
        envelope = make(first, Idle(), second).of_call((7,), {}, "task")
        assert envelope.ctx == b'{"trace":"a","more":1}'
        ((message, task),) = second.seen
        assert (message.args, message.id, task) == ((7,), envelope.id, "task")

    def test_what_a_failing_one_wrote_is_dropped(self, caplog: pytest.LogCaptureFixture) -> None:
        failing = Failing(ValueError("broken"))
        envelope = make(Recorder(trace="a"), failing).of_call((7,), {}, "task")
        assert envelope.ctx == b'{"trace":"a"}'
        assert f"shop:pay {envelope.id}: on_send of" in caplog.text

    def test_an_error_of_ltq_prevents_the_send(self) -> None:
        with pytest.raises(LtqError, match="not now"):
            make(Failing(LtqError("not now"))).of_call((7,), {}, "task")

    def test_middleware_may_come_and_go(self) -> None:
        source, hook = Source(), Recorder(trace="a")
        maker = EnvelopeMaker(
            "shop:pay", TaskConfig(), CODEC, SendHooks(source, Idle.on_send), SendConfig()
        )
        assert maker.of_call((7,), {}, "task").ctx == b""
        source.middlewares.append(hook)
        assert maker.of_call((7,), {}, "task").ctx == b'{"trace":"a"}'
        source.middlewares.remove(hook)
        assert maker.of_call((7,), {}, "task").ctx == b""


class TestMessages:
    def test_each_keeps_its_id_its_ctx_and_its_options(self) -> None:
        urgent = parse_send_options({"priority": "high"})
        messages = [
            Message[None]((1,), {}, "shop:pay", {"trace": "a"}, "one"),
            Message[None]((2,), {}, "shop:pay", {}, "two", urgent),
            Message[None]((3,), {}, "shop:pay", {}, "three"),
        ]
        envelopes = make().of_messages(messages, "task")
        assert [(one.id, one.body) for one in envelopes] == [
            ("one", b"[[1],{}]"),
            ("two", b"[[2],{}]"),
            ("three", b"[[3],{}]"),
        ]
        assert [one.ctx for one in envelopes] == [b'{"trace":"a"}', b"", b""]
        levels = [one.priority for one in envelopes]
        assert levels == [Priority.NORMAL, Priority.HIGH, Priority.NORMAL]

    def test_one_that_is_prepared_is_not_encoded_again(self) -> None:
        message = prepare(b"encoded")
        assert make().of_message(message, "task").body == b"encoded"
        assert make().of_message(replace(message, id="two"), "task").body == b"encoded"

    def test_a_copy_with_other_arguments_is_encoded_again(self) -> None:
        message = prepare(b"encoded")
        assert make().of_message(replace(message, args=(2,)), "task").body == b"[[2],{}]"
        named = replace(message, args=(), kwargs={"order": 3})
        assert make().of_message(named, "task").body == b'[[],{"order":3}]'
        with pytest.raises(InvalidArgumentsError, match="argument 'order': Expected `int`"):
            make().of_message(replace(message, args=("x",)), "task")

    def test_one_of_another_task_is_refused_and_no_hook_is_called(self) -> None:
        hook = Recorder()
        messages = [Message[None]((1,), {}, "shop:pay"), Message[None]((), {}, "shop:ship")]
        with pytest.raises(InvalidArgumentsError, match="a message of 'shop:ship' cannot be sent"):
            make(hook).of_messages(messages, "task")
        assert hook.seen == []

    def test_each_waits_for_room_as_it_says_itself(self) -> None:
        config = parse_task_options({"max_pending": 1, "on_full": "wait", "full_timeout": 5})
        options: list[dict[str, object]] = [{}, {"full_timeout": 9}, {"on_full": "raise"}]
        messages = [
            Message[None]((1,), {}, "shop:pay", options=parse_send_options(one)) for one in options
        ]
        envelopes = make(config=config).of_messages(messages, "task")
        assert [one.on_full for one in envelopes] == ["wait", "wait", "raise"]
        assert [one.full_timeout for one in envelopes] == [5.0, 9.0, 5.0]

    def test_options_of_the_maker_hold_for_what_a_message_does_not_say(self) -> None:
        hook = Recorder()
        messages = [
            Message[None]((1,), {}, "shop:pay", {}, "one"),
            Message[None]((2,), {}, "shop:pay", {}, "two", parse_send_options({"delay": 0})),
            Message[None]((3,), {}, "shop:pay", {}, "three", parse_send_options({"timeout": 1})),
        ]
        envelopes = make(hook, delay=60, timeout=5).of_messages(messages, "task")
        assert [(one.delay, one.timeout) for one in envelopes] == [(60, 5), (0, 5), (60, 1)]
        assert [(one.options.delay, one.options.timeout) for one, _ in hook.seen] == [
            (60, 5),
            (0, 5),
            (60, 1),
        ]

    def test_a_time_of_a_message_replaces_the_time_of_the_maker(self) -> None:
        eta = {"eta": datetime(2030, 1, 1, tzinfo=UTC)}
        (envelope,) = make(delay=60).of_messages(
            [Message[None]((1,), {}, "shop:pay", options=parse_send_options(eta))], "task"
        )
        assert (envelope.delay, envelope.eta) == (0.0, 1893456000.0)

    def test_an_id_of_the_maker_is_for_one_message(self) -> None:
        one, other = (Message[None]((i,), {}, "shop:pay") for i in (1, 2))
        assert make(id="a1").of_message(one, "task").id == "a1"
        with pytest.raises(ConfigurationError, match="id='a1' is not allowed for 2 messages"):
            make(id="a1").of_messages([one, other], "task")
        own = replace(other, id="b2", options=parse_send_options({"id": "b2"}))
        ids = [envelope.id for envelope in make(id="a1").of_messages([one, own], "task")]
        assert ids == ["a1", "b2"]
