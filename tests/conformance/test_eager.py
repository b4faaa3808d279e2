"""Workers, schedulers and handles do the same where tasks are eager, as Python 3.12 allows."""

import asyncio
import sys

import pytest
import pytest_asyncio

if sys.version_info >= (3, 12):
    from ltq.testing.conformance.workers import *

    class OwnTask(asyncio.Task[object]):
        """A class of tasks of one's own."""

    FACTORIES = {
        "memory": asyncio.eager_task_factory,
        "redis": asyncio.create_eager_task_factory(OwnTask),
    }

    @pytest_asyncio.fixture(autouse=True, loop_scope="function")
    async def eager(request: pytest.FixtureRequest) -> None:
        """Let tasks run their first step at once."""
        call = getattr(request.node, "callspec", None)
        store = "memory" if call is None else call.params["make_broker"]
        asyncio.get_running_loop().set_task_factory(FACTORIES[store])
