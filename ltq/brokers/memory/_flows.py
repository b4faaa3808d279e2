"""What a namespace keeps of workflows."""

from collections.abc import Collection, Mapping
from itertools import islice

from ltq.broker.flows import ArrivalCount


class MemoryEndings:
    """How tasks of workflows ended: `Endings`."""

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}

    def put(self, key: str, packed: bytes) -> None:
        """See `Endings`."""
        self._packed[key] = packed

    def values(self, limit: int, most_bytes: int) -> list[bytes]:
        """See `Endings`. What is in memory already may have any size."""
        return [*islice(self._packed.values(), limit)]

    def remove(self, keys: Collection[str]) -> None:
        """See `Endings`."""
        for key in keys:
            self._packed.pop(key, None)


class MemoryArrivals:
    """What has arrived at tasks that wait for others: `Arrivals`.

    A cancelled task keeps its slots until it is forgotten: `forget`.
    """

    def __init__(self) -> None:
        self._values: dict[str, dict[int, bytes]] = {}
        self._counts: dict[str, ArrivalCount] = {}

    def read(self, task_id: str, slots: Collection[int]) -> dict[int, bytes]:
        """See `Arrivals`."""
        values = self._values.get(task_id, {})
        return {slot: values[slot] for slot in slots if slot in values}

    def count(self, task_id: str) -> ArrivalCount | None:
        """See `Arrivals`."""
        return self._counts.get(task_id)

    def write(
        self, task_id: str, values: Mapping[int, bytes], count: ArrivalCount | None, expires: float
    ) -> None:
        """See `Arrivals`."""
        self._values.setdefault(task_id, {}).update(values)
        if count is not None:
            self._counts[task_id] = count

    def remove(self, task_id: str, slots: Collection[int] | None = None) -> None:
        """See `Arrivals`."""
        if slots is None:
            self._values.pop(task_id, None)
            self._counts.pop(task_id, None)
            return
        for slot in slots:
            self._values.get(task_id, {}).pop(slot, None)

    def keep_until(self, task_id: str, expires: float) -> None:
        """Do nothing: see the class."""
