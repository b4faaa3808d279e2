"""Compares what the tests do not reach with the list that says why: `tests/gaps.toml`.

    pytest -n 4 --cov && python -m devtools.gaps

fails where a branch or a line of `ltq` was not reached and is not on the list. With `--write` it
adds what is missing, for a reason to be filled in, and drops what no longer exists.
"""

import argparse
import ast
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from devtools.source import ROOT

LIST = ROOT / "tests" / "gaps.toml"
OPEN = "not looked at yet"
"""The reason of what nobody has given a reason for."""

HEAD = """\
# What the tests do not reach, and why: a function of ltq, and the line that never runs, or from
# which a branch is never taken. `python -m devtools.gaps` compares it with what was measured.
"""

Gaps = dict[str, dict[str, str]]
"""By file: the place of each gap, and its reason."""


@dataclass(frozen=True)
class Source:
    """A file of ltq."""

    text: str

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def functions(self) -> list[tuple[int, int, str]]:
        """First and last line of each function, and its name within the file."""
        return list(_functions(ast.parse(self.text).body, ""))

    def place(self, line: int) -> str:
        """The function a line is in, and what stands there: stays as it is when lines move."""
        inside = [name for first, last, name in self.functions if first <= line <= last]
        return f"{inside[-1] if inside else '(module)'}: {self.lines[line - 1].strip()}"


def _functions(body: list[ast.stmt], around: str) -> Iterator[tuple[int, int, str]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{around}{node.name}"
            assert node.end_lineno is not None
            yield node.lineno, node.end_lineno, name
            yield from _functions(node.body, f"{name}.")


def places(source: Source, measured: Mapping[str, Any]) -> set[str]:
    """Where a file's branches and lines are that were not reached.

    A line that is entered by a branch which is on the list already is not told again.
    """
    branches = [(begin, end) for begin, end in measured["missing_branches"]]
    entered = {end for _, end in branches}
    found = {source.place(begin) for begin, _ in branches}
    missing = sorted(measured["missing_lines"])
    for line in missing:
        is_first = line - 1 not in missing and line not in entered
        if is_first and not _is_below(line, entered, missing):
            found.add(source.place(line))
    return found


def _is_below(line: int, entered: set[int], missing: list[int]) -> bool:
    """Whether it follows, in one block of missing lines, a line that a missing branch enters."""
    while line - 1 in missing:
        line -= 1
    return line in entered


def measured() -> Gaps:
    """The gaps of the last run with coverage."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [sys.executable, "-m", "coverage", "json", "-q", "-o", report.name]
        subprocess.run(command, cwd=ROOT, check=True)
        files = json.loads(Path(report.name).read_text())["files"]
    found: Gaps = {}
    for name, file in sorted(files.items()):
        source = Source((ROOT / name).read_text("utf-8"))
        own = dict.fromkeys(sorted(places(source, file)), OPEN)
        if own:
            found[name] = own
    return found


def listed() -> Gaps:
    """The gaps that are known."""
    return tomllib.loads(LIST.read_text("utf-8")) if LIST.exists() else {}


def unknown(found: Gaps, known: Gaps) -> list[str]:
    """The gaps that are not on the list."""
    return [
        f"{name}: {place}"
        for name, places in found.items()
        for place in places
        if place not in known.get(name, {})
    ]


def gone(known: Gaps) -> list[str]:
    """What is on the list, and no longer in the code."""
    return [
        f"{name}: {place}"
        for name, places in known.items()
        for place in places
        if place not in _all_places(name)
    ]


def _all_places(name: str) -> set[str]:
    path = ROOT / name
    if not path.exists():
        return set()
    source = Source(path.read_text("utf-8"))
    return {source.place(number) for number in range(1, len(source.lines) + 1)}


def write(found: Gaps, known: Gaps) -> None:
    """The list: what was found, with the reasons that are known."""
    lines = [HEAD]
    for name, places in found.items():
        lines.append(f"[{json.dumps(name)}]")
        for place in places:
            reason = known.get(name, {}).get(place, OPEN)
            quoted = (json.dumps(one, ensure_ascii=False) for one in (place, reason))
            lines.append(" = ".join(quoted))
        lines.append("")
    LIST.write_text("\n".join(lines), "utf-8")


def main() -> int:
    """Compare, or write; 1 where the list is not right."""
    parser = argparse.ArgumentParser("python -m devtools.gaps", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the list right")
    found, known = measured(), listed()
    if parser.parse_args().write:
        write(found, known)
        return 0
    wrong = [f"not reached, and not on the list: {one}" for one in unknown(found, known)]
    wrong += [f"on the list, and not in the code: {one}" for one in gone(known)]
    for line in wrong:
        sys.stdout.write(line + "\n")
    sys.stdout.write(f"{sum(map(len, found.values()))} gaps, {len(wrong)} of them wrong\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
