"""Keys of the terminal: read one by one, without Enter, and named."""

import asyncio
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_NAMES = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b[H": "home",
    "\x1b[F": "end",
    "\x1bOH": "home",
    "\x1bOF": "end",
    "\x1b[1~": "home",
    "\x1b[4~": "end",
    "\x1b[Z": "back tab",
    "\t": "tab",
    "\r": "enter",
    "\n": "enter",
    "\x1b": "escape",
    "\x7f": "backspace",
    "\b": "backspace",
}

_KEY = re.compile(r"\x1b(?:\[[0-9;]*[ -/]*[@-~]|O[A-Za-z])?|.", re.DOTALL)


def keys_in(typed: str) -> list[str]:
    """The keys of what was typed: characters, and names of others. Unknown ones are left out."""
    keys = [_NAMES.get(match, match) for match in _KEY.findall(typed)]
    return [key for key in keys if not key.startswith("\x1b")]


@contextmanager
def keyboard(on_key: Callable[[str], object]) -> Iterator[None]:
    """Call `on_key` for each key that is pressed. At the end the terminal is as before.

    Does nothing where stdin is no terminal. Ctrl-C stays a signal; Ctrl-Z does nothing, as it would
    leave the terminal as it is now.
    """
    try:
        import termios
        import tty
    except ImportError:  # on Windows
        yield
        return
    if sys.stdin is None or not sys.stdin.isatty():
        yield
        return
    fd, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before: list[Any] = termios.tcgetattr(fd)

    def read() -> None:
        data = os.read(fd, 1024)
        if not data:  # the terminal is gone
            loop.remove_reader(fd)
        for key in keys_in(data.decode(errors="ignore")):
            on_key(key)

    try:
        tty.setcbreak(fd)
        quiet: list[Any] = termios.tcgetattr(fd)
        quiet[6][termios.VSUSP] = b"\x00"
        termios.tcsetattr(fd, termios.TCSANOW, quiet)
        loop.add_reader(fd, read)
        yield
    finally:
        loop.remove_reader(fd)
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)
