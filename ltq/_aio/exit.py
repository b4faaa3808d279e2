"""Ending a process at once, whatever its threads do."""

import atexit
import logging
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn

_EXIT_WITHIN = 2.0
"""Most seconds that exit handlers and log handlers get."""


def exit_now(exit_code: int) -> NoReturn:
    """End the process, from any thread. Handlers that do not end by themselves are left behind."""
    limit = threading.Timer(_EXIT_WITHIN, os._exit, [exit_code])
    limit.daemon = True
    limit.start()
    atexit._run_exitfuncs()  # noqa: SLF001  os._exit skips them
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # it may be closed, or None
            stream.flush()
    os._exit(exit_code)
