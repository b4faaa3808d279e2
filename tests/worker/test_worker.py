"""A worker as users declare it and run it beside their code."""

from types import TracebackType
from typing import Any, Self

import pytest

import ltq
from ltq import ConfigurationError, Worker
from ltq.names import new_id


@pytest.fixture
def url() -> str:
    return f"memory://{new_id()}"


def working(url: str, **options: Any) -> Worker[Any]:
    worker: Worker[Any] = Worker("jobs", url, **options)

    @worker.task
    async def tidy() -> None: ...

    return worker


class Passing:
    """A lifespan that lets the error of a run through, as a `finally` does."""

    def __init__(self) -> None:
        self.seen: BaseException | None = None

    def __call__(self, worker: Worker["Passing"]) -> "Managed":
        return Managed(self)


class Managed:
    """Its manager: raises what it is given, as a generator with `finally` does."""

    def __init__(self, owner: Passing) -> None:
        self._owner = owner

    async def __aenter__(self) -> Passing:
        return self._owner

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._owner.seen = error
        if error is not None:
            raise error


class TestDeclaring:
    def test_a_name_is_declared_once(self, url: str) -> None:
        worker = working(url)
        with pytest.raises(ConfigurationError, match="'jobs:tidy' is declared twice"):

            @worker.task(name="tidy")
            async def other() -> None: ...

        assert list(worker.tasks) == ["jobs:tidy"]

    def test_a_broker_is_given_or_its_url(self, url: str) -> None:
        broker = ltq.Broker.from_url(url)
        with pytest.raises(ConfigurationError, match="broker and broker_url exclude each other"):
            Worker("jobs", url, broker=broker)


class TestEmbedded:
    async def test_it_is_entered_once_at_a_time(self, url: str) -> None:
        worker = working(url)
        async with worker:
            with pytest.raises(ConfigurationError, match="runs in an `async with` already"):
                await worker.__aenter__()
            assert len(worker.health()) == 1
        async with worker:
            assert len(worker.health()) == 1
        assert worker.health() == []

    async def test_leaving_one_that_never_began_closes_it(self, url: str) -> None:
        worker = Worker("jobs", url)
        await worker.__aexit__(None, None, None)
        assert worker.health() == []

    async def test_an_error_that_the_lifespan_lets_through_stays_as_it_is(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lifespan, error = Passing(), ltq.BrokerError("gone")
        worker = working(url, lifespan=lifespan)

        async def fail(self: Self) -> None:
            raise error

        monkeypatch.setattr("ltq._worker.run.WorkerRun.run", fail)
        with pytest.raises(ltq.BrokerError) as raised:
            await worker.run(burst=True)
        assert raised.value is lifespan.seen is error
