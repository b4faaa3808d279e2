"""Telling other processes to look at a database file."""

import logging
import threading
import weakref
from collections.abc import Collection
from pathlib import Path

from ltq.brokers.sqlite._wake.folder import folder_of, have_sockets
from ltq.brokers.sqlite._wake.forked import forget_in_child
from ltq.brokers.sqlite._wake.peers import Peers

logger = logging.getLogger("ltq.broker")


class Sender:
    """Sends hints of one database file. What it has open is closed with it, or by `hang_up`."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        """Held while `_peers` is used."""
        self._peers: Peers | None = None
        if have_sockets():
            self._peers = Peers(folder_of(path))
            weakref.finalize(self, self._peers.close).atexit = False
        forget_in_child(self)

    def tell(self, topics: Collection[str], own: Collection[str] = ()) -> None:
        """Let who waits for these topics look: call this after each commit, from any thread.

        `own` are the names of receivers that need no hint. Never raises, and waits for nobody.
        """
        if self._peers is None:
            return
        with self._lock:
            try:
                self._peers.send(topics, own)
            except OSError as error:
                self._peers.close()
                logger.debug("no hints to other processes: %s", error)
            except Exception:
                # The change is committed, and the caller must not take it for one that failed.
                logger.exception("hints of changes failed; other processes notice them later")

    def hang_up(self) -> None:
        """Close what `tell` has opened; the next one opens it again. From any thread."""
        if self._peers is not None:
            with self._lock:
                self._peers.close()

    def forget(self) -> None:
        """See `Forgetful`."""
        self._lock = threading.Lock()
        self.hang_up()
