"""Virtual environments, made once and kept: one for each compared queue."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

INSTALL_TIMEOUT = 600.0

NODE = 20
"""The oldest Node that is good enough."""

_READY = ".ready"
"""The file that says that an environment is complete."""


class SetupError(Exception):
    """An environment cannot be made."""

    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(f"{reason}: {details}" if details else reason)
        self.reason = reason
        """In few words, that are the same on every machine."""


def default_folder() -> Path:
    """Where environments are kept if nobody says otherwise: in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "ltq-benchmarks"


def find_python(version: str | None) -> str:
    """A Python of this version: the running one, one on the PATH, or one of pyenv's.

    Raises `SetupError` where there is none.
    """
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    if version is None or version == running:
        return sys.executable
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = shutil.which(f"python{version}")
    candidates = [found] if found else []
    candidates += [str(path) for path in sorted(versions.glob(f"{version}.*/bin/python"))]
    for candidate in candidates:  # one that starts: pyenv's shims may stand for nothing
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    raise SetupError(f"there is no Python {version} here")


def environment(
    folder: Path, name: str, requirements: Sequence[str], python: str, say: Callable[[str], None]
) -> str:
    """The interpreter of an environment with these packages, made if it is not there yet.

    Raises `SetupError`.
    """
    digest = hashlib.sha256("\n".join([python, *requirements]).encode()).hexdigest()[:8]
    place = folder / f"{name}-{digest}"
    executable = str(place / "bin" / "python")
    if (place / _READY).exists():
        return executable
    shutil.rmtree(place, ignore_errors=True)
    say(f"{name}: installing {' '.join(requirements)}")
    place.parent.mkdir(parents=True, exist_ok=True)
    _run([python, "-m", "venv", str(place)], "its environment could not be made")
    install = [executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*install, *requirements], "it could not be installed")
    (place / _READY).touch()
    return executable


def find_node() -> str:
    """A Node that is new enough. Raises `SetupError` where there is none, or no npm beside it."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise SetupError("there is no Node here")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    if int(version.stdout.strip().removeprefix("v").partition(".")[0] or 0) < NODE:
        raise SetupError(f"there is no Node {NODE} here")
    return node


def node_environment(folder: Path, source: Path, say: Callable[[str], None]) -> str:
    """The program `main.mjs` of a folder, copied beside the packages of its lock file.

    These are installed if they are not there yet. Raises `SetupError`.
    """
    lock = source / "package-lock.json"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:8]
    place = folder / f"{source.name}-{digest}"
    if not (place / _READY).exists():
        shutil.rmtree(place, ignore_errors=True)
        say(f"{source.name}: installing {lock.name}")
        place.mkdir(parents=True)
        for name in (lock.name, "package.json"):
            shutil.copy(source / name, place)
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        _run([*install, "--prefix", str(place)], "it could not be installed")
        (place / _READY).touch()
    return str(shutil.copy(source / "main.mjs", place / "main.mjs"))


def _run(command: Sequence[str], failure: str) -> None:
    try:
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=INSTALL_TIMEOUT)
    except subprocess.CalledProcessError as error:
        lines = [line for line in error.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        raise SetupError(failure, (errors or ["no reason given"])[-1]) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SetupError(failure, str(error)) from error
