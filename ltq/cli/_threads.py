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
from typing import NoReturn

_PREFIX = "ltq-"
"""Begins the names of the threads that run tasks."""

_PATIENCE = 1.0


def set_thread_pool() -> ThreadPoolExecutor:
    """Give the running loop a pool for `asyncio.to_thread` whose threads are known by name."""
    pool = ThreadPoolExecutor(thread_name_prefix=f"{_PREFIX}to-thread")
    asyncio.get_running_loop().set_default_executor(pool)
    return pool


def count_stuck(pool: ThreadPoolExecutor) -> int:
    """Close the pool; how many threads of tasks go on although their workers have gone."""
    pool.shutdown(wait=False, cancel_futures=True)
    deadline = time.monotonic() + _PATIENCE
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(_PREFIX)]
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return sum(thread.is_alive() and not thread.daemon for thread in threads)


def leave(exit_code: int) -> NoReturn:
    """End the process here and now, whatever its threads do."""
    atexit._run_exitfuncs()  # noqa: SLF001  os._exit leaves them out
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)
