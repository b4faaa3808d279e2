"""Workflows: a role of a broker. Its docstrings are the contract."""

from collections.abc import Sequence
from typing import Protocol

from ltq.broker.flows.values import Arrival, Arrived, Ending, Ready, WaitingTask


class Flows(Protocol):
    """Keeps what workflows need between the end of a task and the start of the next one.

    Each call is about the namespace of a queue, may be repeated, and raises `ConfigurationError`
    for what is no name of a queue, or no id.
    """

    async def endings(
        self, queue: str, *, limit: int = 500, older_than: float = 0.0
    ) -> list[Ending]:
        """Up to `limit` endings of tasks that ended `older_than` seconds ago, in any order."""
        ...

    async def carried(self, queue: str, keys: Sequence[str]) -> None:
        """Remove endings, by their keys: the workflow has gone on."""
        ...

    async def arrive(self, queue: str, arrivals: Sequence[Arrival]) -> list[Arrived]:
        """Put values in the slots of tasks that wait. The answers are in their order.

        The first value of a slot stays. One that `failed` makes the task CANCELLED, and keeps its
        body and its slots as long as its state. A value that comes after all takes its place; if it
        `revives` the task, and nothing else has failed, that waits again.
        """
        ...

    async def held(self, queue: str, task_id: str, slots: Sequence[int]) -> WaitingTask | None:
        """A task that waits, or was CANCELLED with its body kept; None for any other.

        Of its slots those that are named are read.
        """
        ...

    async def ctx(self, queue: str, task_id: str) -> bytes | None:
        """The encoded `ctx` of a task, empty if it has none; None for an unknown or expired id.

        A final task has one no more, unless that has the key `OUTLINE_KEY`.
        """
        ...

    async def go_on(self, queue: str, task_id: str, ready: Ready) -> bool:
        """Let a task go on that waits, and forget its slots. Returns False if it does not wait."""
        ...

    async def cancel_each(self, queue: str, ids: Sequence[str], result_ttl: float) -> int:
        """Cancel tasks, as `cancel` does. Returns how many were: unknown and final ones are not."""
        ...

    async def restart(self, queue: str, ids: Sequence[str], held: bool) -> int:
        """Send CANCELLED tasks again, under their ids. Returns how many were.

        If they waited for others (`held`), they do again, with what is in their slots but for a
        `NOTE`. Those whose arguments were not kept stay as they are, and so do all that are not
        CANCELLED.
        """
        ...
