"""Wraps the prose of Markdown pages at a readable width: `python docs/_wrap.py docs/limits.md ...`

Code, tables, headings, comments and HTML stay as they are. Code spans and links are never broken.
"""

import re
import sys
from pathlib import Path

WIDTH = 100

_FENCE = re.compile(r"^ *(```|~~~)")
_ITEM = re.compile(r"^(\s*)([-*+]|\d+\.)(\s+)")
_AS_IT_IS = re.compile(r"^\s*(\||#|<|:::|!\[|---|\[[^\]]+\]: )")
_TOKEN = re.compile(r"(?:`[^`]*`|\[(?:`[^`]*`|[^\]`])*\](?:\([^)]*\)|\[[^\]]*\])?|\S)+")
_STARTS_A_BLOCK = re.compile(r"^([-+*>]|#+|\d+[.)])$")


def wrapped(text: str, first: str = "", rest: str = "") -> str:
    """One paragraph in lines of at most `WIDTH` characters, with these indents."""
    words: list[str] = []
    for word in _TOKEN.findall(" ".join(text.split())):
        if words and _STARTS_A_BLOCK.match(word):  # at the start of a line it would mean a list
            words[-1] += f" {word}"
        else:
            words.append(word)
    lines, line = [], first
    for word in words:
        if line.strip() and len(line) + len(word) + (line != first) > WIDTH:
            lines.append(line)
            line = rest
        line += word if line in (first, rest) else f" {word}"
    return "\n".join([*lines, line])


def page(text: str) -> str:
    """A whole page, wrapped."""
    done: list[str] = []
    paragraph: list[str] = []
    is_code = False

    def end() -> None:
        if paragraph:
            line = paragraph[0]
            item = _ITEM.match(line)
            first = item[0] if item else line[: len(line) - len(line.lstrip())]
            body = " ".join([line[len(first) :], *paragraph[1:]])
            done.append(wrapped(body, first, " " * len(first)))
            paragraph.clear()

    for line in text.splitlines():
        fence = _FENCE.match(line) is not None
        is_indented_code = line.startswith("    ") and not paragraph
        if fence or is_code or is_indented_code or not line.strip() or _AS_IT_IS.match(line):
            end()
            done.append(line)
            is_code ^= fence
            continue
        if _ITEM.match(line):
            end()
        paragraph.append(line)
    end()
    return "\n".join(done) + "\n"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(page(path.read_text("utf-8")), "utf-8")
