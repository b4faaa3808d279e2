"""The end of a process in which threads of tasks do not end.

A plain `def` cannot be stopped: when its worker has requeued it and gone, Python would still wait
for its thread, for as long as it takes.
"""

import asyncio
import atexit
import logging
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from ltq.logger import get_logger

logger = get_logger("cli")

_PREFIX = "ltq-"
"""Begins the names of the threads that run tasks."""

_PATIENCE = 1.0


def set_thread_pool() -> ThreadPoolExecutor:
    """Give the running loop a pool for `asyncio.to_thread` whose threads are known by name."""
    pool = ThreadPoolExecutor(thread_name_prefix=f"{_PREFIX}to-thread")
    asyncio.get_running_loop().set_default_executor(pool)
    return pool


def leave_stuck_threads(pool: ThreadPoolExecutor) -> None:
    """End the process here and now, with exit code 0, if there are tasks' threads that go on."""
    pool.shutdown(wait=False, cancel_futures=True)
    deadline = time.monotonic() + _PATIENCE
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(_PREFIX)]
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    stuck = sum(thread.is_alive() and not thread.daemon for thread in threads)
    if stuck:
        logger.warning("leaving without waiting for %d threads of requeued tasks", stuck)
        atexit._run_exitfuncs()  # noqa: SLF001  os._exit leaves them out
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
