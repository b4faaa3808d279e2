"""Errors to Sentry, by the real SDK: what its transport would send."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from ltq.errors import ConfigurationError, ExhaustedError, RejectError, RetryError
from ltq.message import Message
from ltq.middleware import MaxTries, Sentry
from ltq.worker import Worker

ROOT = Path(__file__).parents[2]
DSN = "https://key@127.0.0.1/1"


class Recorder(Transport):
    """Keeps events instead of sending them."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        event = envelope.get_event()
        if event is not None:
            self.events.append(event)

    @property
    def reports(self) -> list[tuple[str, dict[str, str]]]:
        """The last error's type and the tags of each event."""
        return [(event["exception"]["values"][-1]["type"], event["tags"]) for event in self.events]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    yield Recorder()
    sentry_sdk.get_client().close()
    sentry_sdk.Scope.get_global_scope().set_client(None)


@pytest.fixture
def sentry(recorder: Recorder) -> Sentry:
    """The middleware; without integrations, which would stay in this process for good."""
    return Sentry(
        DSN, transport=recorder, default_integrations=False, auto_enabling_integrations=False
    )


def make_worker(sentry: Sentry) -> Worker:
    return Worker("shop", broker_url="memory://sentry", middlewares=[sentry, MaxTries()])


async def fail(sentry: Sentry, error: BaseException, tries: int = 0) -> None:
    """A run that raises `error`."""
    worker = make_worker(sentry)

    @worker.task
    async def pay() -> None: ...

    message: Message[Any] = Message((), {}, pay.name, id="a1", tries=tries)
    async with sentry(message, pay):
        raise error


def caused(cause: Exception) -> ExhaustedError:
    error = ExhaustedError()
    error.__cause__ = cause
    return error


class TestPackage:
    def test_without_it_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "sentry_sdk", None)
        with pytest.raises(ConfigurationError) as caught:
            Sentry(DSN)
        assert (
            str(caught.value) == "the Sentry middleware needs sentry-sdk: pip install 'ltq[sentry]'"
        )

    def test_sentrys_own_options_go_to_sentry(self, recorder: Recorder) -> None:
        Sentry(DSN, transport=recorder, default_integrations=False, environment="test")
        options = sentry_sdk.get_client().options
        assert (options["dsn"], options["environment"]) == (DSN, "test")

    @pytest.mark.parametrize("late", [False, True])
    async def test_what_the_program_sets_up_is_used(self, recorder: Recorder, late: bool) -> None:
        def set_up() -> None:
            sentry_sdk.init(DSN, transport=recorder, default_integrations=False)

        if not late:
            set_up()
        sentry = Sentry(
            "https://other@127.0.0.1/2", default_integrations=False, transport=Recorder()
        )
        if late:
            set_up()
        assert sentry_sdk.get_client().options["dsn"] == DSN
        with pytest.raises(ValueError, match="again"):
            await fail(sentry, ValueError("again"))
        assert [kind for kind, _ in recorder.reports] == ["ValueError"]

    async def test_without_a_dsn_it_reports_to_the_programs_own(self, recorder: Recorder) -> None:
        sentry_sdk.init(DSN, transport=recorder, default_integrations=False)
        with pytest.raises(ValueError, match="again"):
            await fail(Sentry(), ValueError("again"))
        assert [kind for kind, _ in recorder.reports] == ["ValueError"]

    @pytest.mark.parametrize("dsn", ["nonsense", 5, "https://127.0.0.1/1", "ftp://secret@host/1"])
    def test_a_wrong_dsn_is_refused_where_it_is_given(self, dsn: Any) -> None:
        with pytest.raises(
            ConfigurationError, match="Sentry cannot be set up with these options"
        ) as caught:
            Sentry(dsn)
        assert "secret" not in str(caught.value)

    def test_so_is_an_unknown_option(self) -> None:
        with pytest.raises(ConfigurationError, match="Unknown option 'enviroment'"):
            Sentry(DSN, enviroment="test")

    @pytest.fixture(autouse=True)
    def closed(self) -> Iterator[None]:
        yield
        sentry_sdk.get_client().close()
        sentry_sdk.Scope.get_global_scope().set_client(None)


class TestReports:
    async def test_an_error_is_reported_with_its_task_and_raised_on(
        self, sentry: Sentry, recorder: Recorder
    ) -> None:
        error = ValueError("no such card")
        with pytest.raises(ValueError, match="no such card") as caught:
            await fail(sentry, error, tries=2)
        assert caught.value is error
        tags = {"ltq.task": "shop:pay", "ltq.id": "a1", "ltq.attempt": "3"}
        assert recorder.reports == [("ValueError", tags)]

    @pytest.mark.parametrize(
        "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr
    )
    async def test_what_would_end_other_programs_is_one_like_any_other(
        self, sentry: Sentry, recorder: Recorder, error: BaseException
    ) -> None:
        with pytest.raises(type(error)):
            await fail(sentry, error)
        ((kind, _),) = recorder.reports
        assert kind == type(error).__name__

    @pytest.mark.parametrize("error", [RetryError(), RejectError("a duplicate")], ids=repr)
    async def test_a_signal_is_not(
        self, sentry: Sentry, recorder: Recorder, error: BaseException
    ) -> None:
        with pytest.raises(type(error)):
            await fail(sentry, error)
        assert recorder.events == []

    async def test_a_cancellation_is_not(self, sentry: Sentry, recorder: Recorder) -> None:
        run = asyncio.create_task(fail(sentry, asyncio.CancelledError()))
        run.cancel()
        await asyncio.wait([run])
        assert run.cancelled()
        assert recorder.events == []

    @pytest.mark.parametrize(
        ("error", "kind"),
        [(caused(OSError("away")), "OSError"), (ExhaustedError(), "ExhaustedError")],
        ids=["cause", "none"],
    )
    async def test_of_an_exhausted_one_its_cause_is(
        self, sentry: Sentry, recorder: Recorder, error: ExhaustedError, kind: str
    ) -> None:
        with pytest.raises(ExhaustedError):
            await fail(sentry, error)
        assert [reported for reported, _ in recorder.reports] == [kind]

    async def test_of_several_tries_the_last_is(self, sentry: Sentry, recorder: Recorder) -> None:
        worker = make_worker(sentry)

        @worker.task(max_tries=3, backoff=lambda _: 0.0)
        async def pay() -> None:
            raise OSError("away")

        handle = await pay.send()
        await worker.run(burst=True)
        tags = {"ltq.task": "shop:pay", "ltq.id": handle.id, "ltq.attempt": "3"}
        assert recorder.reports == [("OSError", tags)]

    async def test_a_run_that_returns_reports_nothing(
        self, sentry: Sentry, recorder: Recorder
    ) -> None:
        worker = make_worker(sentry)

        @worker.task
        async def pay() -> None: ...

        await pay.send()
        await worker.run(burst=True)
        assert recorder.events == []


class TestScopes:
    @pytest.mark.parametrize("capture", ["raise", "capture"])
    async def test_two_at_once_do_not_mix(
        self, sentry: Sentry, recorder: Recorder, capture: str
    ) -> None:
        worker, both = make_worker(sentry), asyncio.Barrier(2)

        @worker.task
        async def pay(name: str) -> None:
            await both.wait()
            sentry_sdk.set_tag("name", name)
            await both.wait()
            if capture == "raise":
                raise ValueError(name)
            sentry_sdk.capture_exception(ValueError(name))

        handles = {name: await pay.send(name) for name in ("a", "b")}
        await worker.run(burst=True)
        assert {tags["name"]: tags["ltq.id"] for _, tags in recorder.reports} == {
            name: handle.id for name, handle in handles.items()
        }
        assert len(recorder.events) == 2

    async def test_what_a_thread_reports_has_the_tags_too(
        self, sentry: Sentry, recorder: Recorder
    ) -> None:
        worker = make_worker(sentry)

        @worker.task
        def pay() -> None:
            sentry_sdk.capture_exception(ValueError())

        handle = await pay.send()
        await worker.run(burst=True)
        ((_, tags),) = recorder.reports
        assert tags == {"ltq.task": "shop:pay", "ltq.id": handle.id, "ltq.attempt": "1"}

    async def test_nothing_is_left_behind(self, sentry: Sentry, recorder: Recorder) -> None:
        with pytest.raises(ValueError, match="first"):
            await fail(sentry, ValueError("first"))
        sentry_sdk.capture_exception(ValueError("outside"))
        assert recorder.events[-1].get("tags", {}) == {}


PROGRAM = """
import asyncio, json
from tests.middleware.test_sentry import DSN, Recorder
from ltq import ExhaustedError, Worker
from ltq.middleware import MaxTries, Sentry

recorder = Recorder()
sentry = Sentry(DSN, transport=recorder)
worker = Worker("shop", broker_url="memory://sentry", middlewares=[sentry, MaxTries()])

@worker.task
async def once() -> None:
    raise ValueError("once")

@worker.task(max_tries=2, backoff=lambda _: 0.0)
def twice() -> None:
    raise OSError("again")

@worker.task
async def exhausted() -> None:
    raise ExhaustedError from KeyError("cause")

async def main() -> None:
    for task in (once, twice, exhausted):
        await task.send()
        await worker.run(burst=True)

asyncio.run(main())
print(json.dumps(recorder.reports))
"""


@pytest.mark.slow
def test_with_its_usual_integrations_each_failure_is_reported_once() -> None:
    # The worker logs a failure with its error, and Sentry's logging integration reports that too.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reports = json.loads(done.stdout)
    assert [(kind, tags["ltq.task"]) for kind, tags in reports] == [
        ("ValueError", "shop:once"),
        ("OSError", "shop:twice"),
        ("KeyError", "shop:exhausted"),
    ]
