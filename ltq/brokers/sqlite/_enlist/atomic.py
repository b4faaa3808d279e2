"""One step on a connection of the user's: all or nothing, without an end to their transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ltq.brokers.sqlite._enlist.lent import Lent


@contextmanager
def plain_rows(driver: Any) -> Iterator[None]:
    """Let rows be tuples with texts for the block, whatever the user has them be."""
    row_factory, text_factory = driver.row_factory, driver.text_factory
    driver.row_factory, driver.text_factory = None, str
    try:
        yield
    finally:
        driver.row_factory, driver.text_factory = row_factory, text_factory


@dataclass(slots=True)
class Part:
    """A part of the user's transaction."""

    is_committed: bool
    """Whether it is in the file once it has ended."""
    is_idle: bool = False
    """Whether it has changed nothing that anybody asked for."""


@contextmanager
def atomic(lent: Lent) -> Iterator[Part]:
    """Let the block be a part of the user's transaction: if it raises, that is as before.

    If none is open, one begins. The user ends it; but with autocommit it ends with the block, and
    so it does if the block was idle, so that it does not hold the lock for nothing.
    """
    is_own = False
    if lent.driver.in_transaction:
        begin, keep, end = "SAVEPOINT ltq_step", "RELEASE ltq_step", "RELEASE ltq_step"
        undo = ["ROLLBACK TO ltq_step", keep]
    else:  # IMMEDIATE: who reads first and then writes may find that others were quicker
        begin, end, undo = "BEGIN IMMEDIATE", "ROLLBACK", ["ROLLBACK"]
        is_own = _commits_itself(lent.driver)
        keep = "COMMIT" if is_own else ""
    lent.connection.execute(begin)
    part = Part(is_own)
    try:
        yield part
        if last := end if part.is_idle else keep:
            lent.connection.execute(last)
    except BaseException:
        if lent.driver.in_transaction:  # after some errors SQLite itself has undone all
            for statement in undo:
                lent.connection.execute(statement)
        raise


def _commits_itself(driver: Any) -> bool:
    """Whether each statement of a driver's connection is a transaction of its own."""
    autocommit = getattr(driver, "autocommit", None)  # since Python 3.12
    if isinstance(autocommit, bool):
        return autocommit
    is_manual: bool = driver.isolation_level is None
    return is_manual
