"""How states, results and times are shown."""

import json

import pytest

from ltq._display.durations import brief_text, measured_text
from ltq._display.encoded import call_text, result_text
from ltq.cli._format import clock_text, progress_text, since_text, state_fields, state_json
from ltq.state import Progress, Status, TaskState


def make_state(**fields: object) -> TaskState[bytes]:
    known = {"id": "1", "task_name": "mail:send", "queue": "mail:send", "status": Status.COMPLETED}
    return TaskState(**{**known, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("age", "told"),
    [
        (3.24, "3.2 s ago"),
        (-3.24, "in 3.2 s"),
        (63, "1 min 3 s ago"),
        (3 * 3600 + 65, "3 h 1 min ago"),
        (2 * 86400 + 3600, "2 d 1 h ago"),
    ],
)
def test_a_moment_is_told_with_its_age(age: float, told: str) -> None:
    shown = dict(state_fields(make_state(enqueue_time=1_000_000_000.0), 1_000_000_000.0 + age))
    assert str(shown["enqueued"]).startswith("2001-09-")
    assert str(shown["enqueued"]).endswith(f"({told})")


@pytest.mark.parametrize(
    ("seconds", "brief", "measured"),
    [
        (0.0, "0 s", "0 ms"),
        (0.00031, "0 s", "0.31 ms"),
        (0.25, "0 s", "250 ms"),
        (4.56, "4 s", "4.6 s"),
        (192.0, "3 min", "3.2 min"),
        (7.1 * 3600, "7 h", "7.1 h"),
        (2.5 * 86400, "2 d", "2.5 d"),
    ],
)
def test_a_duration_in_one_unit(seconds: float, brief: str, measured: str) -> None:
    assert brief_text(seconds) == brief
    assert measured_text(seconds) == measured


def test_a_moment_beyond_the_calendar_is_a_number() -> None:
    assert ("enqueued", "1e+300") in state_fields(make_state(enqueue_time=1e300), 0.0)


def test_the_queue_is_shown_where_it_is_not_the_tasks_own() -> None:
    assert ("queue", "bulk") in state_fields(make_state(queue="bulk"), 0.0)
    assert "queue" not in dict(state_fields(make_state(), 0.0))


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (None, ""),
        (Progress(2.5), "2.5"),
        (Progress(3, 0), "3/0"),
        (Progress(1, 3, "a note"), "1/3 (33 %) a note"),
        (Progress(1234567, 12345678), "1234567/12345678 (10 %)"),
    ],
)
def test_progress_in_words(progress: Progress | None, text: str) -> None:
    assert progress_text(progress) == text


@pytest.mark.parametrize(
    ("result", "value"),
    [
        (None, None),
        (b"null", None),
        (b'{"a": [1, 2.5]}', {"a": [1, 2.5]}),
        (b"\x81\xa1a\x01", "\\x81\\xa1a\x01"),
        (b"NaN", "NaN"),
        (b"1e999", "1e999"),
        (b"[" * 100_000, "[" * 100_000),
        (b"9" * 5000, "9" * 5000),
    ],
)
def test_a_result_in_json_is_a_value_or_else_its_text(result: bytes | None, value: object) -> None:
    assert json.loads(state_json(make_state(result=result)))["result"] == value


def test_numbers_that_json_does_not_know_are_null() -> None:
    assert json.loads(state_json(make_state(enqueue_time=float("inf"))))["enqueue_time"] is None


def test_a_long_result_is_cut() -> None:
    assert result_text(b"x" * 10, limit=3) == "xxx… (10 characters)"
    assert result_text(b"x" * 10) == "x" * 10


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"[[],{}]", "none"),
        (b"[[1],{}]", "1"),
        (b'[[],{"a":null}]', "a=null"),
        ('[["\u00e9"],{"b":{"c":[true]}}]'.encode(), '"\u00e9", b={"c": [true]}'),
        (b"\x92\x92\x01\xa1x\x81\xa1k\xc4\x01\x00", '1, "x", k="b\'\\\\x00\'"'),
        (b"{}", "{}"),
        (b"[[1]]", "[[1]]"),
        (b"\xff\x00own", "\\xff\x00own"),
        (b"", ""),
    ],
)
def test_a_call_is_shown_as_it_was_made(body: bytes, text: str) -> None:
    assert call_text(body) == text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"status": Status.PENDING, "enqueue_time": 990.0}, "waiting 10.0 s"),
        (
            {"status": Status.PENDING, "enqueue_time": 10.0, "last_requeue_time": 995.0},
            "waiting 5.0 s",
        ),
        ({"status": Status.PENDING, "enqueue_time": 1001.0}, "waiting 0.0 s"),
        ({"status": Status.PENDING}, ""),
        ({"status": Status.DELAYED, "enqueue_time": 1.0, "due_time": 1070.0}, "due in 1 min 10 s"),
        ({"status": Status.DELAYED, "enqueue_time": 1.0, "due_time": 999.0}, "due in 0.0 s"),
        ({"status": Status.DELAYED, "enqueue_time": 997.0}, "waiting 3.0 s"),
        ({"status": Status.WORKING, "last_dequeue_time": 997.5}, "running 2.5 s"),
        ({"status": Status.WORKING}, ""),
        (
            {"status": Status.COMPLETED, "last_dequeue_time": 10.0, "release_time": 75.0},
            "ran 1 min 5 s",
        ),
        ({"status": Status.CANCELLED, "release_time": 75.0}, ""),
        ({"status": Status.FAILED}, ""),
    ],
)
def test_it_is_told_how_long_a_task_has_been_where_it_is(
    fields: dict[str, object], text: str
) -> None:
    assert since_text(make_state(**fields), 1000.0) == text


def test_a_time_beyond_the_calendar_is_a_number() -> None:
    assert clock_text(1e30) == "1e+30"
