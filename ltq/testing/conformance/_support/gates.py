"""Gates at which the threads of plain `def` tasks wait."""

import threading
from collections.abc import Iterator

import pytest

from ltq.testing.conformance._support.eventually import PATIENCE


class Gates:
    """Lets threads go on, one by one or all."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.most: int = 0
        self._inside = 0
        self._opened: dict[str, threading.Event] = {}
        self._all = False
        self._lock = threading.Lock()

    def wait(self, name: str) -> None:
        """Called in the threads."""
        with self._lock:
            self.entered.append(name)
            self._inside += 1
            self.most = max(self.most, self._inside)
            gate = self._opened.setdefault(name, threading.Event())
            if self._all:
                gate.set()
        try:
            assert gate.wait(PATIENCE), f"the gate {name} was not opened"
        finally:
            with self._lock:
                self._inside -= 1

    def open(self, name: str) -> None:
        """Let the threads at a gate go on."""
        with self._lock:
            self._opened.setdefault(name, threading.Event()).set()

    def shut(self, name: str) -> None:
        """Close a gate for the next threads."""
        with self._lock:
            self._opened.pop(name)

    def open_all(self) -> None:
        """Let all threads go on, at the end of a test."""
        with self._lock:
            self._all = True
            for gate in self._opened.values():
                gate.set()


class HasGates:
    """Tests with gates that are all opened at the end."""

    @pytest.fixture
    def gates(self) -> Iterator[Gates]:
        gates = Gates()
        yield gates
        gates.open_all()
