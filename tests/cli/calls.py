"""The command called in this process: quicker than a process of its own, with the same output.

What a process does with signals and terminals needs a real one: see `processes`.
"""

import asyncio
import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path

from click.testing import CliRunner

from ltq.cli import main
from tests.cli.processes import ROOT, Done

_ENVIRONMENT = {"LTQ_BROKER_URL": None, "NO_COLOR": None, "FORCE_COLOR": None, "COLUMNS": None}


async def call_ltq(*arguments: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> Done:
    """Call `ltq` with these arguments, in a thread. The modules it imports below `cwd` are dropped.

    An error that a user would see as a traceback is raised.
    """
    with _directory(cwd):
        result = await asyncio.to_thread(
            CliRunner().invoke,
            main,
            arguments,
            prog_name="ltq",
            env={**_ENVIRONMENT, **(env or {})},
        )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


@contextmanager
def _directory(folder: Path) -> Iterator[None]:
    """Be in a directory, and let what is imported there be a module of its own."""
    path, modules = list(sys.path), set(sys.modules)
    importlib.invalidate_caches()
    try:
        with chdir(folder):
            yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None)
            if folder != ROOT and file and Path(file).is_relative_to(folder):
                del sys.modules[name]
