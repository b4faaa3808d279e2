"""A worker tells of tasks in its namespace that nobody runs."""

import asyncio

import pytest

from ltq import Worker
from ltq.broker import Broker
from ltq.testing.conformance._support.eventually import PATIENCE, eventually
from ltq.testing.conformance._support.factories import publish, publish_many

TEXT = "wait in queue"


class TestLookout:
    @pytest.fixture(autouse=True)
    def looks_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ltq._worker.lookout.FIRST_LOOKS", (0.01, 0.01, 0.01))
        monkeypatch.setattr("ltq._worker.lookout.PATIENCE", 0.0)

    async def test_it_tells_once_what_it_does_not_serve(
        self, worker: Worker, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        @worker.task(aliases=("former",))
        async def known() -> None: ...

        await publish_many(broker, 3, queue="shop:renamed")
        await publish_many(broker, 2, queue="shop:removed", task_name="shop:removed")
        await publish(broker, queue="elsewhere:old")
        await publish(broker, queue="shop:later", delay=60.0)
        later = known.with_options(delay=60)
        await later.send()
        async with worker:
            await eventually(lambda: caplog.text.count(TEXT) >= 2)
            handle = await known.send()
            await handle.wait(timeout=PATIENCE)
        told = [record.getMessage() for record in caplog.records if TEXT in record.getMessage()]
        assert sorted(text.partition(",")[0] for text in told) == [
            "2 tasks wait in queue shop:removed",
            "3 tasks wait in queue shop:renamed",
        ]

    async def test_what_another_worker_runs_is_well(
        self, worker: Worker, broker: Broker, caplog: pytest.LogCaptureFixture
    ) -> None:
        other, started, over = Worker("shop", broker=broker, concurrency=1), [], asyncio.Event()

        @other.task
        async def busy() -> None:
            started.append(1)
            await over.wait()

        looked = asyncio.Event()
        inspect = broker.stats

        async def looking(queues: list[str]) -> object:
            answer = await inspect(queues)
            looked.set()
            return answer

        @worker.task
        async def known() -> None: ...

        await busy.send_many([busy.message() for _ in range(3)])
        async with other:
            await eventually(lambda: started)
            broker.stats = looking  # type: ignore[assignment, method-assign]  # a test's own
            async with worker:
                await asyncio.wait_for(looked.wait(), PATIENCE)
            over.set()
        assert TEXT not in caplog.text
