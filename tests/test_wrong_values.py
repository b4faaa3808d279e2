"""What is no broker, URL, middleware, lifespan, worker or task is refused where it is given."""

from collections.abc import Callable
from typing import Any

import pytest

import ltq
from ltq.middleware import MaxTries


def make(**options: Any) -> object:
    given: dict[str, Any] = {"broker_url": "memory://wrong", **options}
    return ltq.Worker("shop", **given)


@pytest.fixture
def worker() -> ltq.Worker:
    return ltq.Worker("shop", broker_url="memory://wrong")


class TestWorkers:
    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"middlewares": [MaxTries]}, r"MaxTries is a class: give an object, MaxTries\(...\)"),
            ({"middlewares": [object()]}, "is not allowed: an object of a class that derives"),
            ({"middlewares": ["MaxTries"]}, "middleware 'MaxTries' is not allowed"),
            ({"middlewares": MaxTries()}, "is not allowed: a list of middleware"),
            ({"middlewares": 5}, "middlewares=5 is not allowed: a list of middleware"),
            ({"lifespan": 5}, "lifespan=5 is not allowed: a function with @asynccontextmanager"),
            ({"lifespan": ""}, "lifespan='' is not allowed"),
            ({"broker_url": 5}, "broker URL 5 is not allowed: a text such as redis://"),
            ({"broker_url": b"memory://"}, "broker URL b'memory://' is not allowed"),
            ({"broker_url": None, "broker": 5}, "broker=5 is not allowed: an object that Broker."),
            ({"broker_url": None, "broker": ltq.Worker}, "is not allowed: an object that Broker."),
        ],
    )
    def test_a_wrong_value_is_named(self, options: dict[str, Any], text: str) -> None:
        with pytest.raises(ltq.ConfigurationError, match=text):
            make(**options)

    @pytest.mark.parametrize("cls", [ltq.Worker, ltq.Scheduler])
    def test_a_url_in_place_of_a_broker_is_not_shown(self, cls: Any) -> None:
        args = ("shop",) if cls is ltq.Worker else ()
        with pytest.raises(ltq.ConfigurationError, match="a URL is given as broker_url") as caught:
            cls(*args, broker="redis://:secret@localhost")
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("name", ["shop:mail", ":", "a:b:c"])
    def test_a_workers_name_has_no_colon(self, name: str) -> None:
        with pytest.raises(ltq.ConfigurationError, match="a colon separates the names"):
            ltq.Worker(name, broker_url="memory://wrong")

    @pytest.mark.parametrize("wrong", [MaxTries, object(), None])
    def test_what_is_no_middleware_is_not_registered(self, worker: ltq.Worker, wrong: Any) -> None:
        app = ltq.App()
        app.register_worker(worker)
        for register in (worker.register_middleware, app.register_middleware):
            before = list(worker.middlewares)
            with pytest.raises(ltq.ConfigurationError, match="middleware"):
                register(wrong)
            assert worker.middlewares == before

    def test_the_name_of_a_worker_is_no_part_of_an_alias(self, worker: ltq.Worker) -> None:
        def pay() -> None: ...

        with pytest.raises(ltq.ConfigurationError, match="within the worker, such as 'old'"):
            worker.task(aliases=("shop:old",))(pay)
        assert worker.task(aliases=("other:old",))(pay).config.aliases == ("other:old",)

    def test_a_task_is_not_made_a_task_again(self, worker: ltq.Worker) -> None:
        @worker.task
        def pay() -> None: ...

        other = ltq.Worker("bank", broker_url="memory://wrong")
        with pytest.raises(ltq.ConfigurationError, match="<Task shop:pay> is a task already"):
            other.task(pay)
        assert other.task(pay.fn).name == "bank:pay"


class TestApps:
    @pytest.mark.parametrize("wrong", ["shop", ["shop"], MaxTries(), ltq.Worker, None])
    def test_a_worker_is_registered(self, wrong: Any) -> None:
        for owner in (ltq.App(), ltq.Scheduler("memory://wrong")):
            with pytest.raises(
                ltq.ConfigurationError, match=r"is not a worker: give an ltq\.Worker"
            ):
                owner.register_worker(wrong)

    @pytest.mark.parametrize("wrong", ["shop", [MaxTries], MaxTries()])
    def test_its_middleware_is_checked(self, wrong: Any) -> None:
        with pytest.raises(ltq.ConfigurationError, match="middleware"):
            ltq.App(wrong)


def of_an_app(**options: Any) -> object:
    return ltq.App(**options)


def of_a_scheduler(**options: Any) -> object:
    return ltq.Scheduler(**options)


def of_a_workers_schedule(**options: Any) -> object:
    return ltq.Worker("shop", broker_url="memory://wrong").cron("@daily", **options)


def of_a_schedule(**options: Any) -> object:
    message: Any = None
    ltq.Scheduler("memory://wrong").cron("@daily", message, **options)
    return None


class TestUnknownOptions:
    @pytest.mark.parametrize(
        ("call", "option", "text"),
        [
            (of_an_app, "middleware", "did you mean 'middlewares'?"),
            (of_an_app, "zzz", "allowed are middlewares"),
            (of_a_scheduler, "timezone", "did you mean 'tz'?"),
            (of_a_scheduler, "url", "did you mean 'broker_url'?"),
            (of_a_workers_schedule, "crontab", "did you mean 'expr'?"),
            (of_a_workers_schedule, "timezone", "did you mean 'tz'?"),
            (of_a_schedule, "coalesce", "did you mean 'misfire'?"),
        ],
    )
    def test_it_is_told_what_may_be_meant(
        self, call: Callable[..., object], option: str, text: str
    ) -> None:
        with pytest.raises(ltq.ConfigurationError) as caught:
            call(**{option: "UTC"})
        assert f"unknown option '{option}': {text}" in str(caught.value)
