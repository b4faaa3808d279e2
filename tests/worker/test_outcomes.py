"""What becomes of a delivery, decided from how its run ended."""

import json
import logging
from typing import Any, ClassVar

import msgspec
import pytest
from msgspec.structs import replace

import ltq
from ltq._worker import outcomes
from ltq.broker.flows import flow_in, with_flow
from ltq.errors import ExhaustedError, RejectError, RetryError
from ltq.message import MAX_CTX, Delivery, Failure, Finish, Message, Requeue
from ltq.options import DEFAULT_RESULT_TTL
from ltq.state import Status
from tests.worker.doubles import make_delivery

worker = ltq.Worker("mail", "memory://outcomes", result_ttl=60)


@worker.task
async def send() -> None: ...


def message(ctx: dict[str, Any] | None = None) -> Message[Any]:
    return Message((), {}, "mail:send", ctx or {}, "1")


def raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


class TestCtxOfWorkflow:
    FLOW: ClassVar = {
        "ltq.flow": b'{"queue":"mail:send","end":"x","to":[["mail:add","x",0,1]]}',
        "ltq.nodes": b'[["x","mail:add",[]]]',
    }

    def in_flow(self, own: bytes) -> Delivery:
        return replace(make_delivery(), ctx=with_flow(own, self.FLOW))

    def test_middleware_does_not_see_it(self) -> None:
        assert outcomes.decode_ctx(self.in_flow(b'{"a":1}')) == {"a": 1}
        assert outcomes.decode_ctx(self.in_flow(b"")) == {}

    @pytest.mark.parametrize(
        "own", [{}, {"b": 2}, {"ltq.flow": 7, "ltq.nodes": 8}, {"b": "x" * MAX_CTX}]
    )
    def test_whatever_that_writes_it_stays(self, own: dict[str, Any]) -> None:
        delivery = self.in_flow(b'{"a":1}')
        outcome = outcomes.put_back(delivery, message(own))
        assert flow_in(outcome.ctx or b"") == self.FLOW
        kept = json.loads(outcome.ctx or b"")
        for key in self.FLOW:
            del kept[key]
        assert kept == ({"b": 2} if own == {"b": 2} else {})

    def test_what_is_as_it_was_is_not_written(self) -> None:
        for own in ({"a": 1}, {}):
            delivery = self.in_flow(json.dumps(own, separators=(",", ":")).encode())
            assert outcomes.put_back(delivery, message(own)).ctx is None


class TestCompleted:
    def test_the_tasks_ttl_counts_unless_the_message_has_one(self) -> None:
        own = msgspec.structs.replace(make_delivery(), result_ttl=5.0)
        assert outcomes.completed(send, make_delivery(), b"1").result_ttl == 60
        assert outcomes.completed(send, own, b"1") == Finish(
            own.lease, Status.COMPLETED, result=b"1", result_ttl=5.0
        )


class TestFailed:
    def test_a_retry_goes_back_with_its_pause_and_the_cause(self) -> None:
        error = RetryError(delay=2.5)
        error.__cause__ = ValueError("no")
        outcome = outcomes.failed(send, make_delivery(), message({"a": 1}), error)
        assert isinstance(outcome, Requeue)
        assert (outcome.delay, outcome.failed, outcome.front) == (2.5, True, False)
        assert json.loads(outcome.ctx or b"") == {"a": 1}
        assert outcome.failure is not None
        assert outcome.failure.text == "ValueError: no"

    @pytest.mark.parametrize("error", [RetryError(), RejectError("no"), ValueError("no")])
    def test_log_handlers_that_raise_change_nothing(
        self, error: Exception, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: object) -> None:
            raise KeyboardInterrupt

        expected = outcomes.failed(send, make_delivery(), message(), error)
        monkeypatch.setattr(outcomes.logger, "handle", fail)
        monkeypatch.setattr(outcomes.logger, "level", logging.DEBUG)
        assert outcomes.failed(send, make_delivery(), message(), error) == expected

    def test_the_name_of_a_class_is_its_own_whatever_its_class_says(self) -> None:
        class Nameless(type):
            @property
            def __name__(cls) -> str:  # type: ignore[override]  # on purpose
                raise KeyboardInterrupt

        class OddError(Exception, metaclass=Nameless):
            pass

        outcome = outcomes.failed(send, make_delivery(), message(), OddError("no"))
        assert outcome.failure is not None
        assert outcome.failure.text == "OddError: no"

    def test_a_rejection_is_final_and_dead(self) -> None:
        outcome = outcomes.failed(send, make_delivery(), message(), RejectError("not now"))
        assert isinstance(outcome, Finish)
        assert (outcome.status, outcome.dead) == (Status.REJECTED, True)
        assert outcome.failure == Failure("RejectError", "not now")

    def test_any_other_error_is_the_end(self, caplog: pytest.LogCaptureFixture) -> None:
        outcome = outcomes.failed(send, make_delivery(), message(), raised(ValueError("no")))
        assert isinstance(outcome, Finish)
        assert (outcome.status, outcome.dead, outcome.result_ttl) == (Status.FAILED, True, 60)
        assert outcome.failure is not None
        assert (outcome.failure.type, outcome.failure.text) == ("ValueError", "ValueError: no")
        assert "in raised" in (outcome.failure.traceback or "")
        assert "mail:send 1 failed" in caplog.text

    def test_of_tries_used_up_the_last_error_is_told(self) -> None:
        error = ExhaustedError("3 tries")
        error.__cause__ = ValueError("no")
        outcome = outcomes.failed(send, make_delivery(), message(), error)
        assert outcome.failure is not None
        assert outcome.failure.type == "ValueError"

    def test_an_error_without_a_text_of_its_own_is_told_without(self) -> None:
        class MuteError(Exception):
            def __str__(self) -> str:
                raise RuntimeError("mute")

        outcome = outcomes.failed(send, make_delivery(), message(), raised(MuteError()))
        assert outcome.failure is not None
        assert outcome.failure.text == "MuteError: (its text cannot be shown)"

    def test_lone_surrogates_are_escaped(self, caplog: pytest.LogCaptureFixture) -> None:
        # Test runners of several processes cannot pass such a log line on.
        caplog.set_level(logging.CRITICAL, "ltq.worker")
        outcome = outcomes.failed(send, make_delivery(), message(), ValueError("\udcff"))
        assert outcome.failure is not None
        assert outcome.failure.text == "ValueError: \\udcff"


class TestBroken:
    def test_it_is_failed_also_where_the_task_is_not_known(self) -> None:
        outcome = outcomes.broken(None, make_delivery(), ValueError("no"))
        assert isinstance(outcome, Finish)
        assert (outcome.status, outcome.result_ttl) == (Status.FAILED, DEFAULT_RESULT_TTL)
        delivery = replace(make_delivery(), result_ttl=5.0)
        kept = outcomes.broken(None, delivery, ValueError("no"))
        assert isinstance(kept, Finish)
        assert kept.result_ttl == 5.0


class TestUnknown:
    def test_it_is_put_back_for_a_while(self) -> None:
        outcome = outcomes.unknown(make_delivery(task_name="mail:other"))
        assert isinstance(outcome, Requeue)
        assert (outcome.delay, outcome.failed, outcome.ctx) == (60.0, False, None)
        assert outcome.is_void

    @pytest.mark.parametrize("name", ["", "a/b", "a b", "n" * 201, "\x1b[2J"])
    def test_a_name_that_no_task_can_have_is_rejected(self, name: str) -> None:
        outcome = outcomes.unknown(make_delivery(task_name=name))
        assert isinstance(outcome, Finish)
        assert (outcome.status, outcome.dead) == (Status.REJECTED, True)
        assert outcome.failure is not None
        assert outcome.failure.text.isprintable()


class TestLongTexts:
    @pytest.mark.parametrize("error", [ValueError("x" * 10**6), ltq.RetryError(0, "x" * 10**6)])
    def test_an_error_is_cut_and_its_frames_are_kept(
        self, error: Exception, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.CRITICAL, "ltq.worker")
        failure = outcomes.failed(send, make_delivery(), message(), raised(error)).failure
        assert failure is not None
        assert failure.text.startswith(f"{type(error).__name__}: xxx")
        assert len(failure.text) <= 16384
        assert failure.traceback is not None
        assert len(failure.traceback) <= 16384
        assert "in raised" in failure.traceback

    def test_a_reason_is_cut(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.CRITICAL, "ltq.worker")
        error = RejectError("x" * 10**6)
        failure = outcomes.failed(send, make_delivery(), message(), error).failure
        assert failure is not None
        assert len(failure.text) <= 16384

    def test_a_type_with_a_long_name_is_cut(self) -> None:
        kind = type("E" * 10**6, (Exception,), {})
        failure = outcomes.broken(None, make_delivery(), kind("no")).failure
        assert failure is not None
        assert len(failure.type) <= 16384
