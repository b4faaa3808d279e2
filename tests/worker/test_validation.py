"""What could not run is found before the first message is claimed."""

from typing import Any

import pytest

import ltq
from ltq._worker.validation import check_tasks
from ltq.middleware import MaxTries


def make_worker() -> ltq.Worker:
    return ltq.Worker("shop", broker_url="memory://validation")


def check(worker: ltq.Worker, *middlewares: ltq.Middleware) -> None:
    check_tasks(worker.name, worker._tasks, middlewares)


def test_a_worker_needs_a_task() -> None:
    with pytest.raises(ltq.ConfigurationError, match="'shop' has no tasks"):
        check(make_worker())


@pytest.mark.parametrize("options", [{"max_tries": 3}, {"backoff": 1.0}, {"max_rate": "1/s"}])
def test_an_option_needs_its_middleware(options: dict[str, Any]) -> None:
    worker = make_worker()
    worker.task(**options)(print_nothing)
    with pytest.raises(ltq.ConfigurationError, match=f"declares {next(iter(options))}"):
        check(worker)


def test_with_its_middleware_it_is_fine() -> None:
    worker = make_worker()
    worker.task(max_tries=3)(print_nothing)
    check(worker, MaxTries())


def test_a_limit_holds_up_no_other_task_of_its_queue() -> None:
    worker = make_worker()
    worker.task(name="limited", max_running=1)(print_nothing)
    worker.task(name="guest", queue="shop:limited")(print_nothing)
    with pytest.raises(ltq.ConfigurationError, match="give one of them another queue"):
        check(worker)


def print_nothing() -> None:
    """A task."""
