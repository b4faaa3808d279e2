"""Ending a process although threads of tasks still run.

A plain `def` cannot be stopped. Its worker may have requeued the task and stopped, but Python would
wait for the thread, however long that takes.
"""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

_PREFIX = "ltq-"
"""The beginning of the names of threads that run tasks."""

_JOIN_TIMEOUT = 1.0
"""Seconds that threads get to end by themselves."""


def set_thread_pool() -> ThreadPoolExecutor:
    """Give the running loop a pool for `asyncio.to_thread` whose threads have a known name."""
    pool = ThreadPoolExecutor(thread_name_prefix=f"{_PREFIX}to-thread")
    asyncio.get_running_loop().set_default_executor(pool)
    return pool


def count_stuck_threads(pool: ThreadPoolExecutor) -> int:
    """Close the pool, and return how many threads of tasks still run after workers have stopped."""
    pool.shutdown(wait=False, cancel_futures=True)
    deadline = time.monotonic() + _JOIN_TIMEOUT
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(_PREFIX)]
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return sum(thread.is_alive() and not thread.daemon for thread in threads)
