"""A Python that has imported LTQ already, and forks for each program it is asked to run.

`python -m devtools.fork_server NAME` listens on the abstract socket NAME until its stdin ends.
A connection brings one request: JSON of the command, and three descriptors to be stdin, stdout
and stderr. The answer is the process's id and, when it has ended, its exit code: a line each.
"""

import gc
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any

REQUEST = 1 << 20
"""Bytes that a request may have."""

PRELOADED = ("ltq.cli", "ltq.brokers", "ltq._worker", "ltq._scheduler", "ltq.middleware")
EXTRAS = ("ltq.middleware.otel", "ltq.middleware.prometheus", "ltq.middleware.sentry")

Program = Callable[[], None]


def main() -> None:
    """Serve; in a forked process: run its program, and end as Python ends."""
    program = serve(sys.argv[1])
    if program is not None:
        program()


def serve(name: str) -> Program | None:
    """Fork for each request. Returns in the new processes, and when stdin ends (None)."""
    preload()
    gc.collect()
    gc.freeze()  # so that a fork shares the memory
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0" + name)
        listener.listen(16)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
        while True:
            ready, _, _ = select.select([listener.fileno(), 0], [], [])
            if 0 in ready:
                return None
            connection, _ = listener.accept()
            request, descriptors, _, _ = socket.recv_fds(connection, REQUEST, 3)
            if os.fork() == 0:
                listener.close()
                watch_over(connection, descriptors)
                return prepared(json.loads(request))
            for descriptor in descriptors:
                os.close(descriptor)
            connection.close()


def preload() -> None:
    """Import what commands and workers need, but for what stands behind an extra."""
    for package in PRELOADED:
        module = import_module(package)
        for found in pkgutil.walk_packages(module.__path__, package + "."):
            if found.name not in EXTRAS:
                import_module(found.name)


def watch_over(connection: socket.socket, descriptors: Sequence[int]) -> None:
    """Fork once more. One process returns, to run the program; the other tells how it ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        connection.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        return
    for descriptor in (0, 1, 2, *descriptors):
        os.close(descriptor)
    connection.sendall(f"{pid}\n".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    connection.sendall(f"{code}\n".encode())
    os._exit(0)


def prepared(request: dict[str, Any]) -> Program:
    """Make this process what `python *arguments` would be in that directory and environment."""
    arguments, environment = request["arguments"], request["environment"]
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(request["cwd"])
    open_streams(bool(environment.get("PYTHONUNBUFFERED")))
    warnings.resetwarnings()
    warnings.simplefilter(environment.get("PYTHONWARNINGS") or "default")
    wanted = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    rest = [path for path in sys.path[1:] if path not in {*known, *wanted}]
    invalidate_caches()
    match arguments:
        case ["-m", module, *others]:
            sys.path[:] = [request["cwd"], *wanted, *rest]
            sys.argv[:] = [module, *others]
            return lambda: _run_module(module)
        case ["-c", code, *others]:
            sys.path[:] = ["", *wanted, *rest]
            sys.argv[:] = ["-c", *others]
            return lambda: exec(code, {"__name__": "__main__"})
        case [file, *others]:
            sys.path[:] = [str(Path(file).resolve().parent), *wanted, *rest]
            sys.argv[:] = [file, *others]
            return lambda: _run_file(file)
    raise AssertionError(f"no program: {arguments}")


def open_streams(is_unbuffered: bool) -> None:
    """Make `sys.stdin`, `sys.stdout` and `sys.stderr` anew, as Python does when it starts."""
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    out = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    out.reconfigure(line_buffering=out.isatty() or is_unbuffered)
    err = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    err.reconfigure(line_buffering=True)
    sys.stdout, sys.stderr = out, err


def _run_module(module: str) -> None:
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _run_file(file: str) -> None:
    runpy.run_path(file, run_name="__main__")


if __name__ == "__main__":
    main()
