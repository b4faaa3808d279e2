"""What a command shows on a terminal, as a page of HTML."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby

import pyte
from pyte.screens import Char

_COLOURS = ("black", "red", "green", "brown", "blue", "magenta", "cyan", "white")
"""As pyte calls the first eight."""

_PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<style>
:root {{ --paper: light-dark(#ffffff, #14191a); --ink: light-dark(#1b2321, #dfe7e5);
  --line: light-dark(#d5dcda, #2c3534); --dim: light-dark(#5a6664, #93a09d);
  --black: var(--dim); --red: light-dark(#a82a2a, #f29188); --green: light-dark(#2b6b2e, #7cc97f);
  --brown: light-dark(#7a5a00, #e0b84a); --blue: light-dark(#1f5fa8, #7db7f2);
  --magenta: light-dark(#8a2f76, #f07ac8); --cyan: light-dark(#0b6b60, #57c9bd);
  --white: var(--ink); }}
html {{ background: transparent; }}
body {{ margin: 0; width: max-content; background: var(--paper); color: var(--ink);
  border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }}
header {{ padding: 9px 14px; border-bottom: 1px solid var(--line); color: var(--dim);
  font: 12.5px system-ui, sans-serif; text-align: center; }}
pre {{ margin: 0; padding: 14px 18px; font: 13px/1.4 "DejaVu Sans Mono", monospace; }}
</style>
<header>{title}</header>
<pre>{text}</pre>
"""


def show(
    command: Sequence[str], *, shown: str, env: Mapping[str, str], columns: int, lines: int
) -> str:
    """Run a command to its end on a terminal of this size; what is there then, as HTML.

    `shown` is how a user types it.
    """
    screen = pyte.Screen(columns, lines)
    stream = pyte.ByteStream(screen)
    stream.feed(f"\x1b[1m$ {shown}\x1b[0m\r\n".encode())
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(
        command, env={**env, "TERM": "xterm-256color"}, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    try:
        while data := os.read(master, 65536):
            stream.feed(data)
    except OSError:  # it has ended
        pass
    finally:
        os.close(master)
        if process.wait() != 0:
            raise SystemExit(f"{shown} has ended with {process.returncode}")
    return as_html(screen, shown)


def as_html(screen: pyte.Screen, title: str) -> str:
    """A screen as a page, without the empty lines at its end."""
    rows = [
        _line([screen.buffer[y][x] for x in range(screen.columns)]) for y in range(screen.lines)
    ]
    return _PAGE.format(title=escape(title), text="\n".join(rows).rstrip())


def _line(cells: Sequence[Char]) -> str:
    parts = []
    for style, some in groupby(cells, _style):
        text = escape("".join(cell.data for cell in some))
        parts.append(f'<span style="{style}">{text}</span>' if style and text.strip() else text)
    return "".join(parts).rstrip()


def _style(cell: Char) -> str:
    colour = cell.fg.removeprefix("bright")
    parts = []
    if colour in _COLOURS:
        parts.append(f"color: var(--{colour})")
    elif colour != "default":
        parts.append(f"color: #{colour}")
    return "; ".join([*parts, "font-weight: bold"] if cell.bold else parts)
