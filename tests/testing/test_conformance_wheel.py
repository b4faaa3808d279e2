"""A broker written elsewhere passes the whole suite, with LTQ from its wheel."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conformance import tiny_package

ROOT = Path(__file__).parent.parent.parent

STRANGERS = ("fakeredis", "hypothesis", "tests", "examples")
"""What is here, but not where only the wheel is."""


def run(*command: str, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_tiny_broker_passes_the_suite_from_the_wheel(tmp_path: Path) -> None:
    project, wheels, site = tmp_path / "project", tmp_path / "wheels", tmp_path / "site"
    tiny_package.write(project)
    for source in (ROOT, project):
        run("build", "--wheel", "--no-isolation", "--outdir", str(wheels), ".", cwd=source)
    install = ("pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site))
    run(*install, *map(str, wheels.glob("*.whl")), cwd=tmp_path)
    hide = "".join(f"sys.modules[{name!r}] = None\n" for name in STRANGERS)
    (project / "conftest.py").write_text(f"import sys\n{hide}", "utf-8")
    (project / "tiny_broker").rename(project / "sources")  # the installed one is what is imported
    plugins = ("-p", "pytest_asyncio.plugin", "-p", "ltq.testing.plugin", "-p", "no:cacheprovider")
    at_once = ("-p", "xdist.plugin", "-n", "2")
    command = ("pytest", "-q", "-W", "error", *plugins, *at_once, "test_tiny_broker.py")
    apart = {
        "PYTHONPATH": str(site),
        "PYTEST_ADDOPTS": "",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    assert " passed" in run(*command, cwd=project, env=apart)
    script = ("-c", "import ltq.testing.conformance as c; print(c.__file__)")
    done = subprocess.run(
        [sys.executable, *script],
        cwd=project,
        env={**os.environ, **apart},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(site))
