"""The types of the public surface, as two type checkers see them.

`typing/accepted.py` holds calls that must pass, `typing/refused.py` calls of which each must fail.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = ROOT / "tests" / "typing"
ACCEPTED, REFUSED = FILES / "accepted.py", FILES / "refused.py"

PROJECT = """
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import ltq

worker = ltq.Worker("shop", broker_url="redis://localhost:6379", concurency=5)  # E: call-arg


@worker.task(max_tries=3)
async def pay(order: int, *, currency: str = "EUR") -> float:
    return order * 1.5


@worker.task
def invoice(order: int) -> str:
    return f"invoice {order}"


@worker.task(max_trys=3)  # E: call-overload untyped-decorator
async def misspelt() -> None: ...


class Trace(ltq.Middleware):
    @asynccontextmanager
    async def __call__(self, message: ltq.Message, task: ltq.Task) -> AsyncIterator[None]:
        message.ctx["trace"] = task.name
        yield


async def main() -> None:
    handle = await pay.send(12, currency="USD")
    await pay.send("12")  # E: arg-type
    await pay.send(12, curency="USD")  # E: call-arg
    await pay.send()  # E: call-arg
    await pay.with_options(delay="1h").send(12)  # E: arg-type
    await pay.with_options(dealy=5).send(12)  # E: call-arg
    await pay.send_many([invoice.message(1)])  # E: list-item
    amount: str = await handle.result()  # E: assignment
    reveal_type(await handle.result())  # N: float
    reveal_type(await ltq.gather(handle, invoice.handle("a")))  # N: tuple[float, str]
    async for state in handle.watch():
        state.status = ltq.Status.FAILED  # E: misc
        reveal_type(state.result)  # N: float | None
        print(state.result.hex())  # E: union-attr
    print(amount)
"""
"""A user's module. `E:` names the codes of the errors of its line, `N:` what is revealed there."""


def need(module: str) -> None:
    """Skip without a type checker; in CI that is a failure."""
    if importlib.util.find_spec(module) is None:
        reason = f"{module} is not installed"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


def mypy(*arguments: str | Path, cwd: Path, cache: Path) -> "subprocess.CompletedProcess[str]":
    """Run it with nothing but `--strict`, whatever a configuration file says."""
    need("mypy")
    options = ["--strict", "--config-file=", "--no-error-summary", f"--cache-dir={cache}"]
    return subprocess.run(
        [sys.executable, "-m", "mypy", *options, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def pyright(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, str]]:
    """The errors that pyright's strict mode finds, blind to ignores: by file and line.

    What it says of expressions and coroutines that are of no use is not about our types; nor does
    it know that middleware of ltq 0.4.0 is annotated in a way that typeshed deprecated.
    """
    need("basedpyright")
    silent = "Deprecated", "UnusedCoroutine", "UnusedExpression", "UnknownMemberType"
    config = {
        "include": [str(ACCEPTED), str(REFUSED)],
        "extraPaths": [str(ROOT)],
        "typeCheckingMode": "strict",
        "enableTypeIgnoreComments": False,
        **{f"report{rule}": "none" for rule in silent},
    }
    directory = tmp_path_factory.mktemp("pyright")
    (directory / "pyrightconfig.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--project", str(directory)]
    done = subprocess.run(
        [*command, "--pythonpath", sys.executable], capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 2, done.stdout
    errors: dict[str, dict[int, str]] = {}
    for one in report["generalDiagnostics"]:
        if one["severity"] == "error":
            line = one["range"]["start"]["line"] + 1
            errors.setdefault(Path(one["file"]).name, {})[line] = one["message"]
    return errors


def marked(text: str, mark: str) -> dict[int, str]:
    """What follows a mark, by the number of its line."""
    found = ((n, re.search(mark, line)) for n, line in enumerate(text.splitlines(), start=1))
    return {number: match[1] for number, match in found if match}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `mypy --strict` says in somebody's project, where ltq is installed."""
    project, environment = tmp_path_factory.mktemp("shop"), tmp_path_factory.mktemp("env")
    venv.create(environment, symlinks=True)
    variables = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=variables))
    packages.joinpath("ltq").symlink_to(ROOT / "ltq")
    packages.joinpath("others.pth").write_text(sysconfig.get_path("purelib"))
    project.joinpath("shop.py").write_text(PROJECT)
    python, cache = environment / "bin" / "python", project / "cache"
    return mypy("--python-executable", python, "shop.py", cwd=project, cache=cache).stdout


class TestMypy:
    def test_it_accepts_and_refuses_what_it_must(self, tmp_path: Path) -> None:
        done = mypy("--follow-imports=silent", ACCEPTED, REFUSED, cwd=ROOT, cache=tmp_path)
        assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


class TestPyright:
    def test_it_accepts_what_it_must(self, pyright: dict[str, dict[int, str]]) -> None:
        assert pyright.get(ACCEPTED.name, {}) == {}

    def test_it_refuses_the_same_lines_as_mypy(self, pyright: dict[str, dict[int, str]]) -> None:
        expected = marked(REFUSED.read_text("utf-8"), r"# type: ignore\[(.+?)\]")
        assert set(pyright[REFUSED.name]) == set(expected), pyright[REFUSED.name]


class TestProject:
    def test_wrong_calls_are_errors_where_they_are(self, output: str) -> None:
        found: dict[int, list[str]] = {}
        for line, code in re.findall(r":(\d+): error: .*\[([a-z-]+)\]\n", output):
            found.setdefault(int(line), []).append(code)
        expected = marked(PROJECT, "# E: (.*)")
        assert {line: " ".join(codes) for line, codes in found.items()} == expected, output

    def test_nothing_is_said_of_ltq_itself(self, output: str) -> None:
        assert {line.partition(":")[0] for line in output.splitlines()} == {"shop.py"}

    def test_results_keep_their_types(self, output: str) -> None:
        revealed = re.findall(r':(\d+): note: Revealed type is "(.*)"\n', output)
        assert {int(line): text for line, text in revealed} == marked(PROJECT, "# N: (.*)")
