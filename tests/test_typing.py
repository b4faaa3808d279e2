"""The types of the public surface, as four type checkers see them.

In `typing/` each line marked as an error must be refused by all of them, and no other: see
`checkers.py` for how they are run. What is installed is complete, and needs nothing of ours.
"""

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import pytest

import ltq
from devtools.checkers import CHECKERS, ROOT, Errors, Place, need
from devtools.typing_table import PAGE, REVEALED, TABLE, table
from ltq import testing
from ltq.broker import Consumer

pytestmark = pytest.mark.slow

FILES = ROOT / "tests" / "typing"
MARK = re.compile(r"# error(?: \(not (.+)\))?$")
"""A line that must be refused. The checkers named cannot do it, and may learn it."""

INTERNAL = {
    "Box": {"begin", "pause", "check", "has_threads", "task", "events", "may_send_to"},
    "Broker": {"feed", "fire", "open_consumer"},
    "Consumer": {"wait", "freed", "aclose"},
    "Context": {"close"},
    "Fault": {"take"},
    "Message": {"options"},
    "Stream": {"take_one"},
    "Schedule": {"due", "iterate", "key", "next", "search_due", "spec", "task_id"},
}
"""What passes between the parts of LTQ: not for users, and so not in the table."""

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


class Installed(NamedTuple):
    """An environment in which the built wheel is installed, beside what it depends on."""

    python: Path
    packages: Path
    names: list[str]
    """What the wheel holds."""

    def run(self, module: str, *arguments: object, cwd: Path) -> str:
        """What a program of the tests' environment says when this one is the active one."""
        path = f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        return subprocess.run(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "PATH": path, "VIRTUAL_ENV": str(self.python.parent.parent)},
            capture_output=True,
            text=True,
            check=False,
        ).stdout


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    need("pip")
    need("hatchling")
    wheels, environment = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("env")
    offline = "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"
    pip([], "wheel", "--no-build-isolation", *offline, "--wheel-dir", wheels, ROOT)
    (wheel,) = wheels.glob("*.whl")
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    pip(["--python", python], "install", *offline, wheel)
    variables = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", "venv", vars=variables))
    packages.joinpath("others.pth").write_text(sysconfig.get_path("purelib"))
    with ZipFile(wheel) as archive:
        return Installed(python, packages, archive.namelist())


def pip(options: list[object], *arguments: object) -> None:
    command = [sys.executable, "-m", "pip", *options, *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def errors(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Errors]:
    """What a checker finds in all the files: each is run once."""

    @cache
    def found(checker: str) -> Errors:
        need(checker)
        return CHECKERS[checker](FILES, tmp_path_factory.mktemp(checker))

    return found


def marked() -> Iterator[tuple[Place, set[str]]]:
    """The lines to be refused, and the checkers that cannot."""
    for file in FILES.glob("*.py"):
        for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
            if match := MARK.search(line):
                yield Place(file.name, number), set((match[1] or "").split(", "))


@pytest.mark.parametrize("checker", CHECKERS)
class TestCheckers:
    def test_it_refuses_the_marked_lines_and_no_others(
        self, checker: str, errors: Callable[[str], Errors]
    ) -> None:
        found, marks = errors(checker), dict(marked())
        expected = {place for place, unable in marks.items() if checker not in unable}
        assert {place: found[place] for place in found.keys() - marks.keys()} == {}
        assert expected - found.keys() == set()


class TestMarks:
    def test_few_lines_are_beyond_a_checker(self) -> None:
        exceptions = [place for place, unable in marked() if unable != {""}]
        assert len(exceptions) <= 3

    def test_there_are_many(self) -> None:
        assert len(dict(marked())) > 200


def members(owner: object) -> set[str]:
    """The public members of a class: methods, properties, fields."""
    slots = getattr(owner, "__slots__", ())
    return {name for name in (*vars(owner), *slots) if not name.startswith("_")}


def class_of(annotation: ast.expr | None) -> str:
    """The name of a class, without its module and parameters."""
    return re.sub(r"\[.*|.*\.", "", ast.unparse(annotation)) if annotation else ""


def revealed() -> set[tuple[str, str]]:
    """What the table shows: the class, or the module, and the name of its member."""
    seen: set[tuple[str, str]] = set()
    for function in ast.parse(REVEALED.read_text("utf-8")).body:
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            kinds = {one.arg: class_of(one.annotation) for one in function.args.args}
            kinds |= {"ltq": "ltq", "testing": "testing", "worker": "Worker"}
            for node in ast.walk(function):
                match node:
                    case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                        task = name if name[0].isupper() else "Task"
                        seen.add((kinds.get(name, task), attribute))
                    case ast.Name(id=name):
                        seen.add(("ltq", kinds.get(name, name)))
    return seen


class TestTable:
    def test_it_is_in_the_documentation_as_it_is_here(self) -> None:
        written = TABLE.search(PAGE.read_text("utf-8"))
        assert written is not None
        assert written[0] == table(), "run: python -m devtools.typing_table"

    def test_it_has_every_public_function_and_class(self) -> None:
        names = {("ltq", name) for name in ltq.__all__ if not name.endswith("Error")}
        names |= {("testing", name) for name in testing.__all__}
        assert names - revealed() == set()

    @pytest.mark.parametrize(
        "owner",
        [
            *(getattr(ltq, name) for name in ltq.__all__ if not name.endswith("Error")),
            *(getattr(testing, name) for name in testing.__all__),
            Consumer,
        ],
        ids=lambda owner: str(owner.__name__),
    )
    def test_it_has_every_public_member(self, owner: object) -> None:
        if not isinstance(owner, type) or issubclass(owner, str | dict):
            return
        classes = {one.__name__ for one in owner.__mro__}
        shown = {attribute for kind, attribute in revealed() if kind in classes}
        internal = set[str]().union(*(INTERNAL.get(one, set()) for one in classes))
        assert members(owner) - shown - internal == set()


@pytest.fixture(scope="session")
def output(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `mypy --strict` says in somebody's project, where ltq is installed."""
    need("mypy")
    project = tmp_path_factory.mktemp("shop")
    project.joinpath("shop.py").write_text(PROJECT)
    options = ["--strict", "--config-file=", "--no-error-summary", f"--cache-dir={project}/cache"]
    python = ["--python-executable", installed.python]
    return installed.run("mypy", *options, *python, "shop.py", cwd=project)


class TestProject:
    def test_wrong_calls_are_errors_where_they_are(self, output: str) -> None:
        found: dict[int, list[str]] = {}
        for line, code in re.findall(r":(\d+): error: .*\[([a-z-]+)\]\n", output):
            found.setdefault(int(line), []).append(code)
        expected = commented("# E: (.*)")
        assert {line: " ".join(codes) for line, codes in found.items()} == expected, output

    def test_nothing_is_said_of_ltq_itself(self, output: str) -> None:
        assert {line.partition(":")[0] for line in output.splitlines()} == {"shop.py"}

    def test_results_keep_their_types(self, output: str) -> None:
        found = re.findall(r':(\d+): note: Revealed type is "(.*)"\n', output)
        assert {int(line): text for line, text in found} == commented("# N: (.*)")


def commented(mark: str) -> dict[int, str]:
    """What follows a mark in the project, by the number of its line."""
    found = ((n, re.search(mark, line)) for n, line in enumerate(PROJECT.splitlines(), start=1))
    return {number: match[1] for number, match in found if match}


class TestWheel:
    @pytest.mark.parametrize("name", ["ltq/py.typed", "ltq/testing/plugin.py"])
    def test_it_has_what_makes_it_typed_and_its_plugin(
        self, installed: Installed, name: str
    ) -> None:
        assert name in installed.names
        assert (installed.packages / name).is_file()

    def test_every_public_type_is_known(self, installed: Installed, tmp_path: Path) -> None:
        need("basedpyright")
        options = ["--verifytypes", "ltq", "--ignoreexternal", "--outputjson"]
        found = json.loads(installed.run("basedpyright", *options, cwd=tmp_path))
        complete = found["typeCompleteness"]
        assert Path(complete["pyTypedPath"]) == installed.packages / "ltq" / "py.typed"
        missing = [
            f"{symbol['name']}: {one['message']}"
            for symbol in complete["symbols"]
            for one in symbol["diagnostics"]
            if "partially unknown" not in one["message"]  # by the fault of another that is here
            and (symbol["isTypeAmbiguous"] or not symbol["isTypeKnown"])
        ]
        assert missing == [], "\n".join(missing)
        assert complete["completenessScore"] == 1
        assert complete["exportedSymbolCounts"]["withKnownType"] > 500
