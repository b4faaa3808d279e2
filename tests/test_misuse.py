"""Everything LTQ raises is an `LtqError`: misuse is refused where it is made."""

import asyncio
import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from math import inf, nan
from typing import Any

import pytest

import ltq
import ltq.testing
from ltq import App, Broker, ConfigurationError, InvalidArgumentsError, LtqError, Scheduler, Worker
from ltq.message import Lease
from ltq.middleware import MaxTries, OpenTelemetry, Prometheus, Sentry
from ltq.state import Status
from ltq.testing import Clock, FlakyBroker

URL = "memory://misuse"
worker = Worker("shop", broker_url=URL)
broker = Broker.from_url(URL)
lease = Lease("a1", "shop:pay", 1)


@worker.task
async def pay(order: int = 1) -> int:
    return order


@worker.task
async def ship(order: int = 1) -> int:
    return order


handle = pay.handle("a1")
JUNK: tuple[Any, ...] = (None, 5, "junk", b"junk", object(), ["junk"], {"junk": 1}, Worker)
NO_NUMBER: tuple[Any, ...] = ("1", None, b"1", object(), [1], nan)
"""In place of a number of seconds."""


class NoDumps:
    def loads(self, data: bytes) -> object: ...


class BadDumps:
    dumps = loads = 5


def one_of(call: Callable[[Any], object], *values: Any) -> list[Callable[[], object]]:
    """A call for each of these values."""
    return [partial(call, value) for value in values]


def option_of(
    call: Callable[..., object], **options: tuple[Any, ...]
) -> list[Callable[[], object]]:
    """A call for each value of each option."""
    return [partial(call, **{name: value}) for name, values in options.items() for value in values]


def make_worker(**options: Any) -> object:
    return Worker("shop", **{"broker_url": URL, **options})


def make_task(**options: Any) -> object:
    def work() -> None: ...

    return Worker("shop", broker_url=URL).task(**options)(work)


def make_schedule(**options: Any) -> None:
    given: dict[str, Any] = {"expr": "@daily", "message": pay.message(), **options}
    Scheduler(URL).cron(**given)


def make_own_schedule(**options: Any) -> object:
    return worker.cron(**{"expr": "@daily", **options})(ship)


def any_of(call: Any) -> Any:
    """A call whose arguments no type checker looks at."""
    return call


NO_SECONDS = (*NO_NUMBER, -1, inf, True, timedelta(days=-1), 10**12)
NO_COUNT = (0, -1, 1.5, "1", None, True)
NO_NAME = (5, b"x", "", "a b", "ä", "x" * 300, ["x"])
CONFIGURATION: dict[str, list[Callable[[], object]]] = {
    "Worker(name)": one_of(lambda v: Worker(v, broker_url=URL), *NO_NAME, None, "a:b"),
    "Worker(broker_url)": one_of(any_of(Worker), *[5])
    + option_of(
        make_worker, broker_url=(5, b"redis://", "", "junk", "http://x", "redis://h:99999")
    ),
    "Worker(...)": option_of(
        make_worker,
        concurrency=NO_COUNT,
        lease=(*NO_SECONDS, 0),
        shutdown_timeout=NO_SECONDS,
        result_ttl=NO_SECONDS,
        middlewares=([MaxTries], MaxTries, MaxTries(), 5, "junk", [None], [object()]),
        lifespan=(5, "junk", []),
        serializer=(None, 5, "yaml", object(), NoDumps(), BadDumps()),
        max_payload=NO_COUNT,
        middleware=([],),
    ),
    "Worker(broker)": one_of(
        lambda v: Worker("shop", broker=v), 5, "redis://x", Broker, object(), worker
    ),
    "worker.task(fn)": one_of(any_of(worker.task), None, 5, "junk", object(), pay),
    "worker.task(...)": option_of(
        make_task,
        name=(*NO_NAME, None),
        queue=NO_NAME,
        aliases=("junk", 5, [5], ["a", "a"]),
        max_tries=NO_COUNT,
        backoff=(*NO_SECONDS, [1, 2], lambda: 1, lambda n: None, lambda n: -n, lambda n: n[0]),
        retry_on=(5, "junk", [ValueError], int, (ValueError, 5), ()),
        max_age=(*NO_SECONDS, 0),
        max_rate=(5, "junk", "0/s", "-1/s", None, "5/d"),
        timeout=(*NO_SECONDS, 0),
        result_ttl=NO_SECONDS,
        priority=(5, "urgent", None, ["high"]),
        max_running=NO_COUNT,
        max_pending=NO_COUNT,
        max_deliveries=NO_COUNT,
        on_full=("junk", 5, None, []),
        full_timeout=NO_SECONDS,
        unique_for=(*NO_SECONDS, 0),
        max_retries=(1,),
    ),
    "task.with_options(...)": option_of(
        any_of(pay.with_options),
        id=(*NO_NAME, None),
        delay=NO_SECONDS,
        eta=(5, "junk", None, datetime(2030, 1, 1)),
        priority=(5, "urgent", None, []),
        timeout=(*NO_SECONDS, 0),
        max_tries=NO_COUNT,
        result_ttl=NO_SECONDS,
        on_full=("junk", None, []),
        full_timeout=NO_SECONDS,
        unique_for=(*NO_SECONDS, 0),
        countdown=(1,),
    ),
    "task.handle(id)": one_of(any_of(pay.handle), None, 5, b"x", handle, ["x"])
    + one_of(any_of(pay.handle_sync), None, 5, b"x", handle),
    "handle.result(timeout)": one_of(handle.result, *NO_NUMBER[:1], *NO_NUMBER[2:], timedelta(1)),
    "handle.wait(timeout)": one_of(handle.wait, "1", b"1", [1], nan, True, timedelta(1)),
    "handle.watch(timeout)": one_of(handle.watch, "1", b"1", [1], nan, timedelta(1)),
    "gather(timeout)": one_of(lambda v: ltq.gather(handle, timeout=v), "1", [1], nan, timedelta(1)),
    "as_completed(timeout)": one_of(
        lambda v: ltq.as_completed([handle], timeout=v), "1", [1], nan, timedelta(1)
    ),
    "register_middleware(mw)": one_of(any_of(worker.register_middleware), *JUNK, MaxTries)
    + one_of(any_of(App().register_middleware), *JUNK, MaxTries),
    "register_middleware(pos)": one_of(
        lambda v: worker.register_middleware(MaxTries(), v), "0", None, 1.5, True
    )
    + one_of(lambda v: App().register_middleware(MaxTries(), v), "0", None, 1.5, True),
    "App(middlewares)": one_of(any_of(App), 5, "junk", MaxTries(), [MaxTries], [None]),
    "App.register_worker": one_of(any_of(App().register_worker), *JUNK, App()),
    "App.run": [lambda: App().run()],
    "Scheduler(...)": option_of(
        any_of(Scheduler),
        broker_url=(5, b"memory://", "", "junk"),
        broker=(5, "redis://x", Broker, object()),
        tz=(5, "junk", b"UTC", object(), ""),
        timezone=("UTC",),
    ),
    "Scheduler.register_worker": one_of(any_of(Scheduler(URL).register_worker), *JUNK, App()),
    "Scheduler.cron(...)": option_of(
        make_schedule,
        expr=(*NO_NAME, None, "* * *", "61 * * * *", "@never"),
        message=(*JUNK, pay, handle, pay.message, pay.with_options(id="x").message()),
        name=NO_NAME,
        tz=(5, "junk", b"UTC"),
        misfire=("junk", None, 5, []),
    ),
    "worker.cron(...)": option_of(
        make_own_schedule,
        expr=(*NO_NAME, None, "* * *"),
        name=NO_NAME,
        tz=(5, "junk", b"UTC"),
        misfire=("junk", None, 5, []),
    ),
    "worker.cron()(task)": one_of(
        any_of(worker.cron("@daily")),
        *JUNK,
        pay.fn,
        pay.with_options(id="x"),
        pay.with_options(eta=datetime(2030, 1, 1, tzinfo=UTC)),
    ),
    "worker.subscribe": one_of(any_of(worker.subscribe), None, 5, "junk"),
    "worker.events": one_of(worker.events, *NO_COUNT),
    "worker.resource": [lambda: worker.resource],
    "worker.run": [lambda: Worker("empty", broker_url=URL).run()],
    "current": [ltq.current],
    "setup_logging": one_of(any_of(ltq.setup_logging), "LOUD", None, [], -1, True),
    "get_logger": one_of(any_of(ltq.get_logger), None, 5, []),
    "Broker.from_url": one_of(
        any_of(Broker.from_url), None, 5, b"redis://", "", "junk", "http://x"
    ),
    "broker.consumer(lease)": one_of(lambda v: broker.consumer(["q"], lease=v), *NO_SECONDS, 0),
    "broker.claim(timeout)": one_of(
        lambda v: broker.claim(broker.consumer(["q"]), timeout=v), "1", nan
    ),
    "broker.requeue": one_of(lambda v: broker.requeue(lease, delay=v), *NO_SECONDS)
    + one_of(lambda v: broker.requeue(lease, timeout=v), "1", -1, 0, nan),
    "broker.release": option_of(
        lambda **options: broker.release(lease, **options),
        status=("completed", 5, None, Status.PENDING),
        result=("text", 5, None),
        result_ttl=NO_SECONDS,
    ),
    "testing.use": one_of(any_of(ltq.testing.use), *JUNK, pay)
    + option_of(
        lambda **options: ltq.testing.use(worker, **options),
        clock=("junk", 5),
        start=("junk", [], datetime(2030, 1, 1)),
        patience=("junk", -1, []),
    ),
    "testing.drain": one_of(any_of(ltq.testing.drain), *JUNK, pay, worker),
    "testing.sent": one_of(any_of(ltq.testing.sent), *JUNK, pay),
    "testing.assert_sent": one_of(any_of(ltq.testing.assert_sent), *JUNK, pay),
    "testing.Clock": one_of(any_of(Clock), "junk", [], nan, True)
    + one_of(lambda v: Clock().advance(v), "junk", -1, [], nan)
    + one_of(lambda v: Clock().advance_to(v), "junk", -1, [], nan),
    "testing.FlakyBroker": one_of(any_of(FlakyBroker), *JUNK),
    "Prometheus": one_of(any_of(Prometheus), 5, "junk", Prometheus),
    "OpenTelemetry": one_of(any_of(OpenTelemetry), 5, "junk", OpenTelemetry),
    "Sentry": one_of(any_of(Sentry), 5, "junk", ["junk"]) + option_of(Sentry, junk=(1,)),
    "Prometheus.watch_queues": one_of(
        lambda v: Prometheus().watch_queues(worker, every=v).__aenter__(), *NO_SECONDS, 0
    ),
}
ARGUMENTS: dict[str, list[Callable[[], object]]] = {
    "send": [lambda: any_of(pay.send)("x"), lambda: any_of(pay.send)(1, 2)],
    "message": [lambda: any_of(pay.message)("x"), lambda: any_of(pay.message)(junk=1)],
    "send_many": one_of(any_of(pay.send_many), *JUNK, [None], [pay], [ship.message()], [handle])
    + one_of(any_of(pay.send_many), pay.message()),
    "gather": one_of(any_of(ltq.gather), *JUNK, pay, pay.handle_sync("x")),
    "as_completed": one_of(any_of(ltq.as_completed), None, 5, [None], "junk", handle, [pay]),
    "display": one_of(any_of(ltq.display), *JUNK),
}


async def misuse(call: Callable[[], object]) -> LtqError | None:
    """The error that a call raises, itself or when it is awaited; None if it raises none."""
    try:
        given = call()
        if inspect.isawaitable(given):
            async with asyncio.timeout(5):
                await given
    except LtqError as error:
        return error
    return None


@pytest.mark.parametrize("what", CONFIGURATION)
async def test_it_is_an_error_of_configuration(what: str) -> None:
    for number, call in enumerate(CONFIGURATION[what]):
        error = await misuse(call)
        assert isinstance(error, ConfigurationError), (what, number, error)
        assert isinstance(error, ValueError)
        assert str(error)


@pytest.mark.parametrize("what", ARGUMENTS)
async def test_it_is_an_error_of_arguments(what: str) -> None:
    for number, call in enumerate(ARGUMENTS[what]):
        error = await misuse(call)
        assert isinstance(error, InvalidArgumentsError), (what, number, error)
        assert isinstance(error, TypeError)


def test_without_an_event_loop_it_is_the_same() -> None:
    for wrong in (None, 5, ["junk"], [ship.message()]):
        with pytest.raises(InvalidArgumentsError):
            any_of(pay.send_many_sync)(wrong)
    with pytest.raises(ConfigurationError):
        any_of(pay.handle_sync("a1").result)("1")
    ltq.close_sync()


async def test_middleware_that_was_put_into_the_list_is_looked_at_when_it_runs() -> None:
    mine = Worker("mine", broker_url=URL)
    mine.task(pay.fn)
    any_of(mine.middlewares).append(MaxTries)
    with pytest.raises(ConfigurationError, match="MaxTries is a class"):
        await mine.run(burst=True)
