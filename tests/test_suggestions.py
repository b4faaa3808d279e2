"""Unknown options: what they may mean, by their spelling or in the words of other libraries."""

from typing import Any

import pytest

import ltq
from ltq._display.suggestions import near_names


@pytest.fixture
def worker() -> ltq.Worker:
    return ltq.Worker("shop", broker_url="memory://suggestions")


def refused_task(worker: ltq.Worker, option: str) -> str:
    options: Any = {option: 1}

    def tick() -> None: ...

    with pytest.raises(ltq.ConfigurationError) as caught:
        worker.task(**options)(tick)
    return str(caught.value)


def refused_send(worker: ltq.Worker, option: str) -> str:
    options: Any = {option: 1}

    @worker.task
    async def pay() -> None: ...

    with pytest.raises(ltq.ConfigurationError) as caught:
        pay.with_options(**options)
    return str(caught.value)


class TestTasks:
    @pytest.mark.parametrize(
        ("option", "meant"),
        [
            ("max_trys", "max_tries"),
            ("maxTries", "max_tries"),
            ("TIMEOUT", "timeout"),
            ("tiemout", "timeout"),
            ("max_retries", "max_tries"),
            ("max_retrys", "max_tries"),
            ("retries", "max_tries"),
            ("expires", "max_age"),
            ("rate_limit", "max_rate"),
            ("soft_time_limit", "timeout"),
            ("retry_backoff", "backoff"),
            ("autoretry_for", "retry_on"),
            ("keep_result", "result_ttl"),
        ],
    )
    def test_what_is_meant_is_named(self, worker: ltq.Worker, option: str, meant: str) -> None:
        text = refused_task(worker, option)
        assert text.startswith(f"unknown task option '{option}': did you mean '{meant}'? allowed")

    @pytest.mark.parametrize(
        ("option", "meant"), [("delay", "delay"), ("countdown", "delay"), ("run_at", "eta")]
    )
    def test_an_option_of_sends_is_sent_there(
        self, worker: ltq.Worker, option: str, meant: str
    ) -> None:
        assert f"'{meant}' belongs to with_options(...). allowed" in refused_task(worker, option)

    def test_what_is_always_so_is_told(self, worker: ltq.Worker) -> None:
        assert "'acks_late': tasks are acknowledged late. all" in refused_task(worker, "acks_late")

    @pytest.mark.parametrize("option", ["zzz", "self", "fn", "args"])
    def test_nothing_is_guessed_without_a_reason(self, worker: ltq.Worker, option: str) -> None:
        text = refused_task(worker, option)
        assert text.startswith(f"unknown task option '{option}': allowed are ")


class TestSends:
    @pytest.mark.parametrize(
        ("option", "meant"),
        [("dealy", "delay"), ("countdown", "delay"), ("task_id", "id"), ("retries", "max_tries")],
    )
    def test_what_is_meant_is_named(self, worker: ltq.Worker, option: str, meant: str) -> None:
        text = refused_send(worker, option)
        assert text.startswith(f"unknown send option '{option}': did you mean '{meant}'? allowed")

    @pytest.mark.parametrize(
        ("option", "meant"), [("queue", "queue"), ("expires", "max_age"), ("name", "name")]
    )
    def test_an_option_of_tasks_is_sent_there(
        self, worker: ltq.Worker, option: str, meant: str
    ) -> None:
        assert f"'{meant}' belongs to @worker.task(...). allowed" in refused_send(worker, option)

    def test_self_is_an_unknown_option_like_others(self, worker: ltq.Worker) -> None:
        assert refused_send(worker, "self").startswith("unknown send option 'self': allowed are")


class TestWorkers:
    @pytest.mark.parametrize(
        ("option", "meant"),
        [
            ("concurency", "concurrency"),
            ("url", "broker_url"),
            ("max_jobs", "concurrency"),
            ("middleware", "middlewares"),
            ("visibility_timeout", "lease"),
        ],
    )
    def test_what_is_meant_is_named(self, option: str, meant: str) -> None:
        options: Any = {option: 1}
        with pytest.raises(ltq.ConfigurationError) as caught:
            ltq.Worker("shop", **options)
        text = f"unknown option '{option}': did you mean '{meant}'? allowed are name, broker_url"
        assert str(caught.value).startswith(text)

    def test_nothing_is_guessed_without_a_reason(self) -> None:
        options: Any = {"zzz": 1}
        with pytest.raises(ltq.ConfigurationError, match="unknown option 'zzz': allowed are name"):
            ltq.Worker("shop", **options)

    def test_a_missing_name_is_a_type_error(self) -> None:
        make: Any = ltq.Worker
        with pytest.raises(TypeError, match="name"):
            make()


class TestNearNames:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("github:fech", ["github:fetch", "github:fetch_all"]),
            ("GitHub:Fetch", ["github:fetch", "github:fetch_all"]),
            ("fetch", ["github:fetch"]),
            ("github", ["github:fetch", "github:fetch_all", "github:store"]),
            ("mial", ["Mail"]),
            ("hub", ["github:fetch", "github:fetch_all", "github:store"]),
            ("hu", []),
            ("nope", []),
            ("other:worker", ["other:thing"]),
            ("jobs:worker", []),
        ],
    )
    def test_those_that_come_near(self, name: str, expected: list[str]) -> None:
        known = ["Mail", "github:fetch", "github:fetch_all", "github:store", "other:thing"]
        assert near_names(name, known) == expected
