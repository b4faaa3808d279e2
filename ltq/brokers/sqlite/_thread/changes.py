"""Telling listeners what happened in a file: those of this process at once, others soon.

Each commit leaves its notices in the table `news`. While somebody listens here, the thread of the
file looks, when another process sends a hint and from time to time, whether anybody else has
written, and reads what is new.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from ltq.brokers.sqlite._file.database import Database, Notice

POLL = 0.1
"""Seconds between looks for what others have written, in case a hint was lost, or none is sent."""

POLL_ALONE = 0.02
"""The same where no hints arrive."""

MOST_NEWS = 1024
"""Of how many commits the notices are kept. Who missed more is told that all may have changed."""

TRIM_EVERY = 64
"""After how many commits older ones are removed."""

Hear = Callable[[str], None]
"""Called in the thread of the file with the detail of a notice. It must return at once."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Notice]).decode


class Changes:
    """The listeners of one file in this process. `listen` and `unlisten` are for any thread.

    A garbage collection may run at any place, and end a coroutine that unlistens. So `unlisten`
    waits for no lock, and takes out its own only: a topic that it leaves empty goes later.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        """Held while topics come and go."""
        self._listeners: dict[str, dict[Hear, None]] = {}
        self._left: deque[str] = deque()
        """Topics to which perhaps nobody listens any more."""
        self._missed: dict[Callable[[], None], None] = {}
        self._last: int | None = None
        """The number of the last news in the file when a transaction looked; None before."""
        self._edition = 0
        """The edition of the file at that time."""

    def listen(self, topic: str, hear: Hear) -> None:
        """Call `hear` with the detail of each notice of a topic."""
        with self._lock:
            self._listeners.setdefault(topic, {})[hear] = None

    def unlisten(self, topic: str, hear: Hear) -> None:
        """Undo `listen`. Safe to call twice."""
        self._listeners.get(topic, {}).pop(hear, None)
        self._left.append(topic)

    def on_missed(self, missed: Callable[[], None]) -> None:
        """Call `missed` when notices were lost, so that anything may have changed."""
        self._missed[missed] = None

    def off_missed(self, missed: Callable[[], None]) -> None:
        """Undo `on_missed`. Safe to call twice."""
        self._missed.pop(missed, None)

    # In the thread of the file

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens."""
        while self._left:
            topic = self._left.popleft()
            with self._lock:
                if not self._listeners.get(topic, True):
                    del self._listeners[topic]
        return bool(self._listeners)

    def tell(self, number: int, notices: Iterable[Notice]) -> None:
        """Tell the listeners of this process what is in the file now, under this number."""
        if self._last == number - 1:
            self._last = number  # so that it is not read from the table as well
        self._tell(notices)

    def catch_up(self, database: Database, has_news: bool) -> None:
        """Tell the listeners of this process what other processes have left, in a transaction."""
        if self._last is not None and not has_news:
            return
        # Also if nobody listens: whoever begins to, and reads in this transaction, is told of what
        # comes after it.
        latest = database.number("SELECT max(number) FROM ltq_news")
        last, self._last = self._last, latest
        edition, self._edition = self._edition, database.edition
        if last is None or (last, edition) == (latest, database.edition) or not self.is_heard:
            return
        query = "SELECT topics FROM ltq_news WHERE number > ? ORDER BY number"
        rows = database.run(query, last).fetchall()
        if edition != database.edition or len(rows) != latest - last:
            self._tell_missed()
            return
        for (topics,) in rows:
            self._tell(_decode(topics))

    def lose(self) -> None:
        """The file is another one, or closed: tell all listeners that notices may be lost."""
        self._last = None
        self._tell_missed()

    def _tell(self, notices: Iterable[Notice]) -> None:
        for topic, detail in notices:
            if hearing := self._listeners.get(topic):  # to most nobody listens
                for hear in list(hearing):
                    hear(detail)

    def _tell_missed(self) -> None:
        for missed in list(self._missed):
            missed()


def leave_news(database: Database, notices: Iterable[Notice]) -> int:
    """Leave notices to whoever listens, in the present transaction. Returns their number."""
    blob = _encode([*notices])
    number = database.run("INSERT INTO ltq_news (topics) VALUES (?)", blob).lastrowid or 0
    if number % TRIM_EVERY == 0:
        database.run("DELETE FROM ltq_news WHERE number <= ?", number - MOST_NEWS)
    return number
