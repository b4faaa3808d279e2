"""Names that the broker does not know: each command says so, and names those that come near."""

from collections.abc import Awaitable, Callable

import pytest

import ltq as library
from ltq.broker import Broker
from ltq.brokers.memory import MemoryBroker
from ltq.cli._errors import CommandError
from ltq.cli._known import read_queue
from tests.cli.calls import call_ltq
from tests.cli.processes import Done
from tests.conformance.factories import publish

Ltq = Callable[..., Awaitable[Done]]

QUEUE = "github:fetch"

COMMANDS = [
    ("size",),
    ("clear", "--yes"),
    ("pause",),
    ("tasks",),
    ("history",),
    ("resume",),
    ("dead", "list"),
    ("dead", "list", "--task", QUEUE),
    ("dead", "retry", "--all"),
    ("dead", "purge", "--all", "--yes"),
    ("dead", "purge", "--all", "--task", QUEUE, "--yes"),
    ("dead", "show", "no-such-id", "--queue"),
    ("state", "no-such-id", "--queue"),
]
"""All commands that take a queue; it comes last."""


@pytest.fixture
async def ltq(broker: Broker, redis_url: str) -> Ltq:
    """Runs `ltq` on the real server, where a queue is known but empty."""
    await publish(broker, queue=QUEUE)
    await broker.clear(QUEUE)

    async def run(*arguments: str) -> Done:
        return await call_ltq(*arguments, env={"LTQ_BROKER_URL": redis_url})

    return run


class TestQueues:
    @pytest.mark.parametrize("json", [(), ("--json",)], ids=["text", "json"])
    @pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
    async def test_an_unknown_one_is_told(
        self, ltq: Ltq, command: tuple[str, ...], json: tuple[str, ...]
    ) -> None:
        done = await ltq(*json_before_last(command, json), "github:fech")
        told = "ltq: there is no queue 'github:fech': did you mean github:fetch?\n"
        assert done == Done(1, "", told)

    @pytest.mark.parametrize(
        "command", [one for one in COMMANDS if "no-such-id" not in one], ids=" ".join
    )
    async def test_an_empty_one_that_is_known_succeeds(
        self, ltq: Ltq, command: tuple[str, ...]
    ) -> None:
        done = await ltq(*command, QUEUE)
        assert (done.code, done.err) == (0, "")

    @pytest.mark.parametrize("command", [("state", "x"), ("dead", "show", "x")], ids=" ".join)
    async def test_of_a_known_one_the_id_is_told(self, ltq: Ltq, command: tuple[str, ...]) -> None:
        done = await ltq(*command, "--queue", QUEUE)
        assert done.code == 1
        assert "queue" not in done.err
        assert "x" in done.err

    async def test_one_that_only_a_running_worker_serves_is_known(
        self, ltq: Ltq, broker: Broker
    ) -> None:
        worker = library.Worker("idle", broker=broker)

        @worker.task
        async def nothing() -> None: ...

        @worker.task(queue="idle-shared")
        async def shared() -> None: ...

        await worker.run(burst=True)
        assert await ltq("size", "idle:nothing") == Done(0, "0\n", "")
        assert await ltq("clear", "idle-shared") == Done(
            0, "0 tasks removed from idle-shared\n", ""
        )
        assert "did you mean idle:nothing?" in (await ltq("size", "idle:nothign")).err

    async def test_without_any_queue_there_is_nothing_to_suggest(self, redis_url: str) -> None:
        done = await call_ltq("size", "nope", "--broker-url", redis_url)
        assert done == Done(1, "", "ltq: there is no queue 'nope': there are none yet\n")

    async def test_where_none_comes_near_it_is_told_how_to_see_them(self, ltq: Ltq) -> None:
        done = await ltq("size", "nope")
        told = "ltq: there is no queue 'nope': `ltq stats` shows those there are\n"
        assert done == Done(1, "", told)

    async def test_a_wrong_name_is_wrong_use(self, ltq: Ltq) -> None:
        assert (await ltq("size", "a b")).code == 2

    async def test_one_whose_name_was_lost_is_known_while_it_holds_tasks(self) -> None:
        class Forgetful(MemoryBroker):
            async def queues(self) -> list[str]:
                return []

        async with Forgetful("memory://forgetful") as broker:
            await publish(broker, queue=QUEUE)
            assert (await read_queue(broker, QUEUE)).pending == 1
            await broker.clear(QUEUE)
            with pytest.raises(CommandError, match="there is no queue"):
                await read_queue(broker, QUEUE)


def json_before_last(command: tuple[str, ...], json: tuple[str, ...]) -> tuple[str, ...]:
    """The command with an option before `--queue`, whose value comes last."""
    return (*command[:-1], *json, command[-1]) if command[-1] == "--queue" else (*command, *json)


class TestWorkers:
    async def test_an_unknown_one_is_told_after_the_others_were_repaired(self, ltq: Ltq) -> None:
        done = await ltq("repair", "github", "gihub")
        told = "ltq: there is no worker 'gihub': did you mean github?\n"
        assert done == Done(1, "github: nothing to repair\n", told)
        assert (await ltq("repair", "gihub", "--json")).out == "{}\n"

    async def test_the_name_of_its_module_is_none(self, ltq: Ltq) -> None:
        done = await ltq("repair", "github:worker")
        told = "ltq: there is no worker 'github:worker': did you mean github?\n"
        assert done == Done(1, "", told)

    async def test_where_none_comes_near_it_is_told_how_to_see_them(self, ltq: Ltq) -> None:
        told = (
            "ltq: there is no worker 'nope': `ltq stats` shows all queues, whose names begin with "
            "those of their workers\n"
        )
        assert await ltq("repair", "nope") == Done(1, "", told)
