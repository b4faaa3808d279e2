"""Waking a thread, also from a garbage collection."""

from contextlib import suppress
from queue import Empty, SimpleQueue


class Bell:
    """As a `threading.Event` that `wait` clears, but `ring` may come within any call of this.

    A garbage collection may run at any place, and ring. An event would then wait for its own lock.
    """

    def __init__(self) -> None:
        self._rings = SimpleQueue[None]()

    def ring(self) -> None:
        """End the present wait, or else the next one."""
        self._rings.put(None)

    def wait(self, timeout: float | None) -> None:
        """Wait until it has rung since the last wait, at most `timeout` seconds."""
        with suppress(Empty):
            self._rings.get(timeout=timeout)
            while True:
                self._rings.get_nowait()
