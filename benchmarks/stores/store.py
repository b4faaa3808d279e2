"""What a store of the benchmarks is: LTQ's own measures on it, and the peers that use it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from benchmarks.comparison import Record, Say
from benchmarks.contenders import Entrant
from benchmarks.results import Machine
from benchmarks.stand import Figures


class Store(ABC):
    """One of them. Raises `LookupError` if it is not to be had here."""

    measures: Mapping[str, Any]
    """LTQ's own, by name."""
    entrants: Mapping[str, Entrant]

    @abstractmethod
    def machine(self) -> Machine:
        """Where it runs."""

    @abstractmethod
    def own(self, scale: float) -> AbstractContextManager[Callable[[str], Figures]]:
        """What runs one of LTQ's own measures, by its name."""

    @abstractmethod
    def empty(self) -> AbstractContextManager[str]:
        """A new place where nothing is, by its URL; `curves.curve.place` gives more beside it."""

    @abstractmethod
    async def compare(
        self,
        contenders: Mapping[str, tuple[Entrant, str]],
        records: Mapping[str, Record],
        *,
        scale: float,
        say: Say,
    ) -> None:
        """One round of the comparison."""
