"""Logging as it was before a test."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def logging_restored() -> Iterator[logging.Logger]:
    """The logger `ltq`. What is set up meanwhile, there or at the root logger, is undone."""
    logger, root = logging.getLogger("ltq"), logging.getLogger()
    before = list(logger.handlers), logger.level, logger.propagate
    root_before = list(root.handlers), root.level
    try:
        yield logger
    finally:
        root.handlers[:] = root_before[0]
        root.setLevel(root_before[1])
        logger.handlers[:], logger.level, logger.propagate = before
        logger.setLevel(before[1])  # it forgets what it has cached
