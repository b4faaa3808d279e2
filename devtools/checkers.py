"""Type checkers, each run once over a directory, by their own reports: errors by file and line.

All see the same: strict, without configuration files and blind to comments that would silence
them, with ltq from this checkout and everything else from the environment that runs the tests.
"""

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent


class Place(NamedTuple):
    """A line of a file."""

    file: str
    line: int


Errors = dict[Place, str]


def need(module: str) -> None:
    """Skip without a type checker; in CI that is a failure."""
    if importlib.util.find_spec(module) is None:
        reason = f"{module} is not installed"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


def run(*command: object, cwd: Path) -> str:
    """What a program of this environment prints. It does not look at the project's settings."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy(files: Path, scratch: Path) -> Errors:
    """`mypy --strict`, and with all that it knows of overrides, unions and unreachable code."""
    options = ["--strict", "--config-file=", "--follow-imports=silent", "--output=json"]
    found = run("mypy", *options, f"--cache-dir={scratch / 'mypy'}", ".", cwd=files)
    reports = [json.loads(line) for line in found.splitlines() if line.startswith("{")]
    return _gathered(
        (one["file"], one["line"], one["message"]) for one in reports if one["severity"] == "error"
    )


def basedpyright(files: Path, scratch: Path) -> Errors:
    """Its strict mode.

    What it says of expressions and coroutines that are of no use is not about our types; nor does
    it know that middleware of ltq 0.4.0 is annotated in a way that typeshed deprecated.
    """
    silent = "Deprecated", "UnusedCoroutine", "UnusedExpression", "UnknownMemberType"
    config = {
        "include": [str(files)],
        "extraPaths": [str(ROOT), str(files)],
        "typeCheckingMode": "strict",
        "enableTypeIgnoreComments": False,
        **{f"report{rule}": "none" for rule in silent},
    }
    (scratch / "pyrightconfig.json").write_text(json.dumps(config))
    options = ["--outputjson", "--project", scratch, "--pythonpath", sys.executable]
    report = json.loads(run("basedpyright", *options, cwd=files))
    assert report["summary"]["filesAnalyzed"] == len(list(files.glob("*.py"))), report["summary"]
    return _gathered(
        (one["file"], one["range"]["start"]["line"] + 1, one["message"])
        for one in report["generalDiagnostics"]
        if one["severity"] == "error"
    )


def ty(files: Path, scratch: Path) -> Errors:
    """ty; what its rules only warn of is no error."""
    (scratch / "ty.toml").write_text("[analysis]\nrespect-type-ignore-comments = false\n")
    options = ["--config-file", scratch / "ty.toml", "--extra-search-path", ROOT]
    environment = ["--python", sys.executable, "--project", files]
    found = run("ty", "check", "--output-format=gitlab", *options, *environment, cwd=files)
    return _gathered(
        (one["location"]["path"], _line(one["location"]), one["description"])
        for one in json.loads(found)
        if one["severity"] not in ("minor", "info")
    )


def pyrefly(files: Path, scratch: Path) -> Errors:
    """pyrefly, by its strict preset; a missing `@override` is not about our types."""
    (scratch / "pyrefly.toml").write_text("enabled-ignores = []\n")
    options = ["--config", scratch / "pyrefly.toml", "--preset=strict", "--output-format=json"]
    silent = ["--ignore", "missing-override-decorator"]
    paths = ["--search-path", files, "--search-path", ROOT]
    packages = ["--site-package-path", sysconfig.get_path("purelib")]
    found = run(
        "pyrefly", "check", *options, *silent, *paths, *packages, *files.glob("*.py"), cwd=files
    )
    return _gathered(
        (one["path"], one["line"], one["description"])
        for one in json.loads(found)["errors"]
        if one["severity"] == "error"
    )


CHECKERS: dict[str, Callable[[Path, Path], Errors]] = {
    "mypy": mypy,
    "basedpyright": basedpyright,
    "ty": ty,
    "pyrefly": pyrefly,
}


def _line(location: dict[str, dict[str, dict[str, int]]]) -> int:
    return location["positions"]["begin"]["line"]


def _gathered(found: Iterable[tuple[str, int, str]]) -> Errors:
    errors: Errors = {}
    for file, line, message in found:
        place = Place(Path(file).name, line)
        errors[place] = "\n".join(filter(None, (errors.get(place), message)))
    return errors
