"""What one session waits for in its event loop."""

from collections import Counter

from ltq.brokers.sqlite._thread.thread import SqliteThread


class Listening:
    """Lets other processes tell the thread of a file to look, when what is attended changes."""

    def __init__(self, thread: SqliteThread) -> None:
        self._wakes = thread.wakes
        self._receiver = self._wakes.enter()
        self._topics: Counter[str] = Counter()
        self._is_closed = False

    def attend(self, topic: str) -> None:
        """Let the thread look at once when another process tells of a topic. Undo with `leave`."""
        if not self._is_closed:
            self._topics[topic] += 1
            self._receiver.add(topic)

    def leave(self, topic: str) -> None:
        """Undo `attend`, in its event loop or after that was closed."""
        if self._topics[topic]:
            self._topics[topic] -= 1
            self._receiver.discard(topic)

    def close(self) -> None:
        """Leave all, in its event loop or after that was closed. Safe to call twice."""
        if not self._is_closed:
            self._is_closed = True
            for topic in list(self._topics.elements()):
                self.leave(topic)
            self._wakes.leave(self._receiver)
