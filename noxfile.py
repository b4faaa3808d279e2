"""The daily work on LTQ, one word for each job: `nox -s quick`, or `nox --list` for all of them.

The sessions use the environment that nox itself is installed in (`pip install -e '.[dev]'`), so
nothing is installed twice and a session starts at once. Only `pythons` makes environments of its
own. What follows `--` goes to the tool: `nox -s test -- tests/test_options.py -k priority`.
"""

import os
import sys

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "quick"]

WORKERS = ("-n", str(2 * (os.cpu_count() or 1)))
"""Two test processes a core: many tests wait most of their time."""

FAULTS = ("tests/faults", "tests/rolling")
"""Tests with real workers and servers, which are hurt and redeployed."""


def python(session: nox.Session, *arguments: str, **env: str) -> None:
    """Run a module or a script with the Python of this environment."""
    session.run(sys.executable, *arguments, env=env, external=True)


@nox.session
def quick(session: nox.Session) -> None:
    """Run the tests that take a minute: run them after each change."""
    python(session, "-m", "pytest", "-q", *WORKERS, "-m", "not slow", *session.posargs)


@nox.session
def test(session: nox.Session) -> None:
    """Run all tests except those with faults and deployments."""
    python(session, "-m", "pytest", *WORKERS, *session.posargs)


@nox.session
def versions(session: nox.Session) -> None:
    """Run what is about the server on those in wheels, behind Sentinel, and in a cluster."""
    python(session, "-m", "devtools.each_redis", *WORKERS, *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Kill, pause, cut off and redeploy real workers and servers; takes minutes."""
    python(session, "-m", "pytest", "-q", "-o", "addopts=", *FAULTS, *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """Run everything at once under random faults, then audit it: `nox -s chaos -- --seed 22`."""
    python(session, "-m", "devtools.chaos", *(session.posargs or ("--seconds", "60")))


@nox.session
def simulate(session: nox.Session) -> None:
    """Live days with a store that fails, then look at the books: `nox -s simulate -- --seed 7`."""
    python(session, "-m", "devtools.simulate", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, and the shape of the code; `nox -s lint -- --fix` fixes what it can."""
    is_fixing = "--fix" in session.posargs
    python(session, "-m", "ruff", "check", ".", *(["--fix"] if is_fixing else []))
    python(session, "-m", "ruff", "format", ".", *([] if is_fixing else ["--check"]))
    python(session, "-m", "pytest", "-q", "tests/test_architecture.py")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy; the other three checkers run in `tests/test_typing.py`."""
    python(session, "-m", "mypy", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Write the generated pages, build the site into build/site, and test every page."""
    python(session, "-m", "docs._cli")
    python(session, "-m", "docs._promises")
    python(session, "-m", "devtools.typing_table")
    python(session, "-m", "devtools.layers")
    python(session, "-m", "mkdocs", "build", "--strict", "--quiet", NO_MKDOCS_2_WARNING="1")
    python(session, "-m", "pytest", "-q", *WORKERS, "tests/docs", "tests/test_docs.py")


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure which branches the tests reach, and compare the rest with `tests/gaps.toml`."""
    python(session, "-m", "pytest", *WORKERS, "--cov=ltq", "--cov-report=", *session.posargs)
    python(session, "-m", "devtools.gaps")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure LTQ's speed; `nox -s bench -- peers` measures it beside other queues."""
    python(session, "-m", "benchmarks", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist and the wheel into dist/."""
    python(session, "-m", "build", *session.posargs)


@nox.session(venv_backend="virtualenv", python=["3.12", "3.13"])
def pythons(session: nox.Session) -> None:
    """Run the quick tests on the other Pythons, each in an environment of its own."""
    session.install("-e", ".[dev]")
    session.run("pytest", "-q", *WORKERS, "-m", "not slow", *session.posargs)
