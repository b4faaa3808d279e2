"""The tree of errors: as it is drawn, as it is built, and what each error says."""

import copy
import inspect
import pickle
import re
from collections.abc import Iterator
from typing import Any

import pytest

from ltq import errors
from ltq.errors import (
    BrokerError,
    ConfigurationError,
    DecodeError,
    ExhaustedError,
    InvalidArgumentsError,
    LifespanError,
    LtqError,
    QueueFullError,
    RejectError,
    RerunError,
    ResultError,
    ResultTimeoutError,
    RetryError,
    RunOverError,
    ScheduleNotFoundError,
    SignalError,
    TaskCancelledError,
    TaskError,
    TaskFailedError,
    TaskNotFoundError,
    TaskRejectedError,
)
from ltq.state import Status, TaskState


def make_state(status: Status = Status.FAILED, **fields: Any) -> TaskState[Any]:
    return TaskState(id="a1", task_name="shop:pay", queue="shop:pay", status=status, **fields)


FAILED = make_state(error="ValueError: no: such card", error_type="ValueError", traceback="Trace…")
EXAMPLES: list[LtqError] = [
    LtqError("text"),
    ConfigurationError("max_tries=0 is not allowed: a whole number, 1 or more"),
    InvalidArgumentsError("shop:pay: missing a required argument: 'order'"),
    QueueFullError("shop:pay", 120, 100),
    LifespanError("text"),
    DecodeError("shop:pay: argument 'order': Expected `int`, got `str`"),
    ResultError("shop:pay: result: `float` would arrive as None"),
    BrokerError("Redis at localhost:6379 refused the call: NOAUTH"),
    RunOverError("the run of shop:pay a1 is over"),
    TaskNotFoundError("a1"),
    RerunError({"a1": "it has not ended: working"}),
    ScheduleNotFoundError("nightli", ["nightly"]),
    ResultTimeoutError("a1", 2.5),
    TaskError(FAILED),
    TaskFailedError(FAILED),
    TaskRejectedError(make_state(Status.REJECTED, error="too old", error_type="RejectError")),
    TaskCancelledError(make_state(Status.CANCELLED)),
    SignalError("text"),
    RetryError(1.5, "later"),
    RejectError("a duplicate"),
    ExhaustedError(),
]
LINE = re.compile(
    r"(?P<indent>[│ ]*)(?:├── |└── )?(?P<name>\w+Error)(?: \((?P<mixin>\w+)\))?( {2,}|$)"
)


def drawn() -> Iterator[tuple[str, str | None, str | None]]:
    """Each class of the drawing, with the class it hangs on, and its other base."""
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines()[2:]:
        match = LINE.match(line)
        assert match is not None, f"not a line of the drawing: {line!r}"
        depth = 0 if line[0] == "L" else len(match["indent"]) // 4 + 1
        del above[depth:]
        yield match["name"], above[-1] if above else None, match["mixin"]
        above.append(match["name"])


def built() -> dict[str, type[LtqError]]:
    """Every error class of the module, in the order of the source."""
    members = vars(errors).items()
    return {
        name: value
        for name, value in members
        if inspect.isclass(value) and issubclass(value, LtqError)
    }


class TestTree:
    def test_the_drawing_has_every_class_once(self) -> None:
        assert sorted(name for name, _, _ in drawn()) == sorted(built())

    def test_each_class_hangs_where_it_is_drawn(self) -> None:
        for name, parent, mixin in drawn():
            bases = [base.__name__ for base in built()[name].__bases__]
            assert bases == [base for base in (parent or "Exception", mixin) if base]

    def test_every_class_is_an_example_here(self) -> None:
        assert {type(error).__name__ for error in EXAMPLES} == set(built())

    def test_every_class_says_what_it_is(self) -> None:
        assert [name for name, error in built().items() if not vars(error).get("__doc__")] == []


class TestAnyError:
    @pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
    def test_it_can_be_copied(self, error: LtqError, duplicate: Any) -> None:
        self.check(duplicate(error), error)

    @pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    def test_it_can_go_to_another_process(self, error: LtqError, protocol: int) -> None:
        self.check(pickle.loads(pickle.dumps(error, protocol)), error)

    @staticmethod
    def check(other: LtqError, error: LtqError) -> None:
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert other.args == error.args
        assert vars(other) == vars(error)


class TestTexts:
    def test_a_full_queue_is_named_with_its_limit(self) -> None:
        error = QueueFullError("shop:pay", 120, 100)
        assert str(error) == "queue 'shop:pay' is full: 120 tasks wait, max_pending=100"
        assert (error.queue, error.depth, error.limit) == ("shop:pay", 120, 100)

    def test_a_task_that_is_not_found_is_named(self) -> None:
        error = TaskNotFoundError("a1")
        assert str(error) == "no task with id 'a1': unknown, or its result has expired"
        assert error.task_id == "a1"

    def test_a_timeout_says_how_long_was_waited(self) -> None:
        error = ResultTimeoutError("a1", 2.5)
        assert str(error) == "task 'a1' did not end within 2.5 s"
        assert (error.task_id, error.timeout) == ("a1", 2.5)

    def test_a_retry_has_a_delay_and_a_message_or_none(self) -> None:
        assert (RetryError().delay, str(RetryError())) == (0.0, "")
        error = RetryError(delay=1.5, message="later")
        assert (error.delay, str(error)) == (1.5, "later")

    def test_a_rejection_has_a_reason(self) -> None:
        assert str(RejectError("a duplicate")) == "a duplicate"


class TestTaskError:
    def test_type_and_message_of_the_tasks_error_stand_in_its_text(self) -> None:
        error = TaskFailedError(FAILED)
        assert str(error) == "task 'shop:pay' failed: ValueError: no: such card"

    def test_it_carries_the_state_and_what_was_raised(self) -> None:
        error = TaskFailedError(FAILED)
        assert error.state is FAILED
        assert (error.type, error.message) == ("ValueError", "no: such card")
        assert error.traceback == "Trace…"

    def test_the_reason_of_a_rejection_stands_in_its_text(self) -> None:
        state = make_state(Status.REJECTED, error="a duplicate", error_type="RejectError")
        error = TaskRejectedError(state)
        assert str(error) == "task 'shop:pay' rejected: a duplicate"
        assert (error.message, error.traceback) == ("a duplicate", None)

    def test_a_cancelled_task_has_no_reason(self) -> None:
        error = TaskCancelledError(make_state(Status.CANCELLED))
        assert str(error) == "task 'shop:pay' cancelled: no reason"
        assert (error.type, error.message, error.traceback) == ("", "", None)

    def test_an_error_without_a_text_is_its_type(self) -> None:
        error = TaskFailedError(make_state(error="KeyError", error_type="KeyError"))
        assert str(error) == "task 'shop:pay' failed: KeyError"
        assert error.type == "KeyError"
        assert error.message == ""

    def test_a_text_that_begins_like_a_type_is_kept(self) -> None:
        state = make_state(error="ValueError: ValueError: twice", error_type="ValueError")
        assert TaskFailedError(state).message == "ValueError: twice"
