"""What `ltq run` says to a module that is not there, not right, or not its own fault."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ltq.app import App
from ltq.cli import main
from ltq.cli._target import load_runnable
from ltq.worker import Worker
from tests.cli import jobs

Try = Callable[[str, str], Result]


@pytest.fixture
def try_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Try:
    """Runs `ltq run TARGET` beside a module `mine` with this source."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)

    def run(target: str, source: str) -> Result:
        (tmp_path / "mine.py").write_text(source)
        importlib.invalidate_caches()
        return CliRunner().invoke(main, ["run", target])

    return run


def test_a_worker_is_loaded() -> None:
    assert load_runnable("tests.cli.jobs:worker") is jobs.worker


def test_an_attribute_of_an_attribute_may_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "nested", raising=False)
    (tmp_path / "nested.py").write_text("from tests.cli import jobs\n")
    assert load_runnable("nested:jobs.worker") is jobs.worker


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("not_there:worker", "there is no module 'not_there'"),
        ("mine.sub:worker", "there is no module 'mine.sub'"),
        ("mine", "'mine' is not of the form MODULE:NAME"),
        ("mine:", "'mine:' is not of the form MODULE:NAME"),
        ("mine.py:worker", "'mine.py' is a file, not a module: try mine:worker"),
        ("./pkg/mine.py:worker", "try pkg.mine:worker"),
        ("mine:wroker", "there is no 'wroker' in module mine: did you mean mine:worker?"),
        ("mine:number", "mine:number is not an ltq.Worker or ltq.App: it is of type int"),
        ("mine:task", "mine:task is not an ltq.Worker or ltq.App: it is of type Task"),
    ],
)
def test_a_wrong_target_is_one_line_and_exit_code_2(try_run: Try, target: str, told: str) -> None:
    source = (
        "import ltq\nnumber = 1\nworker = ltq.Worker('mine', broker_url='memory://mine')\n"
        "@worker.task\ndef task() -> None: ...\n"
    )
    result = try_run(target, source)
    assert result.exit_code == 2
    assert result.stderr.startswith("ltq: ")
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> App:
    """An App of one worker, at `tests.cli.jobs:app`."""
    worker: Worker = Worker("one", broker_url="memory://here")

    @worker.task
    async def add() -> None: ...

    app = App()
    app.register_worker(worker)
    monkeypatch.setattr(jobs, "app", app, raising=False)
    return app


@pytest.mark.parametrize(
    "arguments",
    [
        ["tests.cli.jobs:app"],
        ["--app", "tests.cli.jobs:app"],
        ["tests.cli.jobs:app", "--app"],
    ],
)
def test_an_app_is_run_like_a_worker(app: App, arguments: list[str]) -> None:
    result = CliRunner().invoke(main, ["run", *arguments, "--burst", "--concurrency", "3"])
    assert result.exit_code == 0
    assert "worker one: 1 task (one:add), concurrency 3, broker memory://here" in result.stderr
    assert "worker one has stopped" in result.stderr
    assert [worker.concurrency for worker in app.workers] == [3]


def test_an_option_overrides_the_brokers_of_all_workers(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTQ_BROKER_URL", "memory://unused")
    url = "memory://there"
    result = CliRunner().invoke(main, ["run", "tests.cli.jobs:app", "--burst", "--broker-url", url])
    assert result.exit_code == 0
    assert [worker.broker.url for worker in app.workers] == [url]


def test_a_worker_is_no_app() -> None:
    result = CliRunner().invoke(main, ["run", "--app", "tests.cli.jobs:worker"])
    assert result.exit_code == 2
    assert "tests.cli.jobs:worker is not an ltq.App: it is of type Worker" in result.stderr


@pytest.mark.parametrize(
    ("source", "cause", "line"),
    [
        ("import not_there_either", "ModuleNotFoundError: No module named 'not_there_either'", 1),
        ("\nimport mine.sub", "ModuleNotFoundError: No module named 'mine.sub'", 2),
        ("from ltq import nothing", "ImportError: cannot import name 'nothing'", 1),
        ("def f():\n    1 / 0\n\nf()", "ZeroDivisionError: division by zero", 2),
        ("x = 1\ndef f(:\n", "SyntaxError: invalid syntax", 2),
        ("import sys\nsys.exit('enough')", "SystemExit: enough", 2),
        ("import json\njson.loads('[')", "JSONDecodeError: Expecting value", 2),
    ],
)
def test_an_error_inside_the_module_is_told_with_its_line(
    try_run: Try, source: str, cause: str, line: int
) -> None:
    result = try_run("mine:worker", source)
    assert result.exit_code == 1
    *trace, last = result.stderr.splitlines()
    assert last.startswith(f"ltq: mine cannot be imported: {cause}")
    assert last.endswith(f"(mine.py, line {line})")
    assert any(f'mine.py", line {line}' in row for row in trace)
    assert not any("importlib" in row or "_target.py" in row for row in trace)


def test_control_characters_of_an_error_are_escaped(try_run: Try) -> None:
    result = try_run("mine:worker", r"raise RuntimeError('\x1b[31m\nltq: all is well')")
    assert result.exit_code == 1
    assert "\x1b" not in result.stderr
    assert result.stderr.splitlines()[-1].startswith("ltq: mine cannot be imported")


def test_a_wrong_option_in_the_module_is_one_line_with_its_place(try_run: Try) -> None:
    source = "import ltq\nworker = ltq.Worker('mine')\n@worker.task(max_tires=3)\ndef f(): ...\n"
    result = try_run("mine:worker", source)
    assert result.exit_code == 2
    assert result.stderr.startswith("ltq: unknown task option 'max_tires'")
    assert result.stderr.endswith("(mine.py, line 3)\n")
    assert len(result.stderr.splitlines()) == 1
