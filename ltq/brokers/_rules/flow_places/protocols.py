"""What a store keeps of workflows, as the rules need it. The docstrings are the contract."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from ltq.broker.flows import ArrivalCount


class Endings(Protocol):
    """How tasks of workflows ended, by the key of the ending: see `ltq.broker.flows.packed`."""

    def put(self, key: str, packed: bytes) -> None:
        """Keep an ending until it is removed."""
        ...

    def values(self, limit: int, most_bytes: int) -> Sequence[bytes]:
        """Up to `limit` of them, in any order. None follows those that have `most_bytes` in all."""
        ...

    def remove(self, keys: Collection[str]) -> None:
        """Forget these, as far as they are there."""
        ...


class Arrivals(Protocol):
    """What has arrived at tasks that wait for others, by their ids and the numbers of slots."""

    def read(self, task_id: str, slots: Collection[int]) -> Mapping[int, bytes]:
        """What is in these slots. Empty ones are left out."""
        ...

    def count(self, task_id: str) -> ArrivalCount | None:
        """How many slots there are and what is in them, as it was written last."""
        ...

    def write(
        self, task_id: str, values: Mapping[int, bytes], count: ArrivalCount | None, expires: float
    ) -> None:
        """Put values in slots, and write the count if it is given. After `expires` all may go."""
        ...

    def remove(self, task_id: str, slots: Collection[int] | None = None) -> None:
        """Forget these slots; with None all of them, and the count."""
        ...

    def keep_until(self, task_id: str, expires: float) -> None:
        """Keep all that has arrived until a time."""
        ...
