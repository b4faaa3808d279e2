"""What a shell completes, through the protocol that its script speaks with `ltq`."""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ltq.broker import Broker
from ltq.cli._completion import queues
from ltq.cli._completion.bash import joined
from ltq.cli._completion.source import read_source
from tests.cli.calls import call_ltq
from tests.cli.processes import PATIENCE, ROOT, run_ltq
from tests.conformance.factories import publish

QUEUES = ("billing:charge", "billing:refund", "mail:send")

Complete = Callable[..., Awaitable[list[str]]]

APP = """
import ltq as queue
from ltq import App, Scheduler as Plan, Worker

worker = Worker("shop")
typed: queue.Worker[None] = queue.Worker[None]("typed")
app = App(worker)
plan = Plan()
if True:
    other = queue.worker.Worker("no") if False else None
try:
    tried = Worker("tried")
except OSError:
    pass
with suppress(OSError):
    within = Worker("within")
app.inner = queue.Worker("inner")
mine = make_worker()
not_one = queue.make.Worker("x")
raise SystemExit("it was imported")

@worker.task
async def fetch() -> None: ...

@worker.task(name="parse-it", max_tries=3)
def parse() -> None: ...

class Inner:
    hidden = Worker("hidden")
"""

JOBS = """
from shop.app import worker as shop_worker
from .app import nothing, typed

@shop_worker.task()
async def ship() -> None: ...

@typed.task
async def pack() -> None: ...

@typed.cron("@daily")
@nothing.task
@typed.task(priority="low")
@staticmethod
async def sort() -> None: ...

local = make_worker(1)

@local.task
async def own() -> None: ...
"""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine of a test may be busy."""
    monkeypatch.setattr(queues, "_BROKER_PATIENCE", PATIENCE)
    monkeypatch.setattr("ltq.cli._completion.targets._READ_PATIENCE", PATIENCE)


@pytest.fixture
async def complete(broker: Broker, redis_url: str) -> Complete:
    """Completes the last word in bash, beside a broker with some queues."""
    for queue in QUEUES:
        await publish(broker, queue=queue)

    async def ask(*words: str, url: str = redis_url, cwd: Path = ROOT) -> list[str]:
        return await in_shell("bash", *words, url=url, cwd=cwd)

    return ask


async def in_shell(shell: str, *words: str, url: str = "", cwd: Path = ROOT) -> list[str]:
    """What a shell is offered for the last word; bash may have split the words at colons."""
    env = {
        "COMP_WORDS": "\n".join(["ltq", *words]),
        "COMP_CWORD": words[-1] if shell == "fish" else str(len(words)),
        "_LTQ_COMPLETE": f"{shell}_complete",
        "LTQ_BROKER_URL": url,
    }
    done = await call_ltq(cwd=cwd, env=env)
    assert (done.code, done.err) == (0, "")
    return done.out.split()


def plain(*values: str) -> list[str]:
    return [f"plain,{value}" for value in values]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Files of a user, none of which may be imported."""
    (tmp_path / "shop" / "deep").mkdir(parents=True)
    (tmp_path / "shop" / "__init__.py").write_text(
        "from ltq import Worker\nroot = Worker('root')\n"
    )
    (tmp_path / "shop" / "app.py").write_text(APP)
    (tmp_path / "shop" / "jobs.py").write_text(JOBS)
    (tmp_path / "shop" / "broken.py").write_text("import ltq\nworker = ltq.Worker(")
    (tmp_path / "shop" / "deep" / "plans.py").write_text("import ltq\nplan = ltq.Scheduler()\n")
    (tmp_path / "__init__.py").write_text("import ltq\nworker = ltq.Worker('nameless')\n")
    (tmp_path / "shop" / "notes.txt").write_text("import ltq\nworker = ltq.Worker('x')\n")
    (tmp_path / "shop" / "plain.py").write_text("worker = 5\n")
    (deep := tmp_path.joinpath(*"abcdefg")).mkdir(parents=True)
    (deep / "found.py").write_text("import ltq\nworker = ltq.Worker('deep')\n")
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "pyvenv.cfg").touch()
    for folder in ("env", ".hidden", "not-a-module"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "found.py").write_text("import ltq\nworker = ltq.Worker('x')\n")
    return tmp_path


class TestQueues:
    @pytest.mark.parametrize(
        "words",
        [
            ("size", "bill"),
            ("pause", "mail:send", "bill"),
            ("resume", "bill"),
            ("clear", "bill"),
            ("clear", "--yes", "bill"),
            ("dead", "list", "bill"),
            ("tasks", "bill"),
            ("history", "bill"),
            ("dead", "retry", "--all", "bill"),
            ("dead", "purge", "--all", "bill"),
            ("state", "--queue", "bill"),
            ("dead", "show", "--queue", "bill"),
            ("state", "--queue", "=", "bill"),
            ("state", "--queue=bill"),
        ],
    )
    async def test_commands_that_take_one(self, complete: Complete, words: list[str]) -> None:
        assert await complete(*words) == plain("billing:charge", "billing:refund")

    async def test_bash_splits_words_at_colons(self, complete: Complete) -> None:
        assert await complete("size", "billing", ":", "ch") == plain("charge")
        assert await complete("size", "billing", ":") == plain("charge", "refund")
        assert await complete("state", "--queue", "=", "mail", ":", "s") == plain("send")
        assert await complete("state", "--queue", "mail", ":", "s") == plain("send")

    async def test_or_not(self, complete: Complete) -> None:
        assert await complete("size", "billing:ch") == plain("billing:charge")
        assert await complete("state", "--queue=mail:s") == plain("mail:send")

    async def test_in_other_shells(self, complete: Complete, redis_url: str) -> None:
        found = await in_shell("zsh", "size", "billing:", url=redis_url)
        assert found == ["plain", "billing:charge", "_", "plain", "billing:refund", "_"]
        assert await in_shell("fish", "size", "mail:", url=redis_url) == plain("mail:send")

    async def test_ids_are_not_queues(self, complete: Complete) -> None:
        assert await complete("dead", "purge", "bill") == []

    async def test_the_broker_may_be_named_by_the_option(
        self, complete: Complete, redis_url: str
    ) -> None:
        words = ("size", "--broker-url", redis_url, "mail")
        assert await complete(*words, url="redis://127.0.0.1:1") == plain("mail:send")
        split = ("size", "--broker-url", "redis", ":", redis_url.partition(":")[2], "mail")
        assert await complete(*split, url="redis://127.0.0.1:1") == plain("mail:send")

    @pytest.mark.parametrize(
        "url", ["redis://127.0.0.1:1", "nonsense", "memory://mine", "redis://[", "ftp://x"]
    )
    async def test_without_an_answer_there_is_nothing_and_no_word_about_it(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(queues, "_BROKER_PATIENCE", 0.1)
        assert await in_shell("bash", "size", "bill", url=url) == []
        assert logging.root.manager.disable == 0

    async def test_a_silent_broker_is_given_up_soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(queues, "_BROKER_PATIENCE", 0.05)
        silent = "redis://10.255.255.1:6379"  # nobody answers there
        assert await in_shell("bash", "size", "bill", url=silent) == []


class TestBrokers:
    @pytest.fixture
    def named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A folder with two brokers that have names, and one more in the environment."""
        (tmp_path / "ltq.toml").write_text(
            "[brokers]\nmail.url = 'memory://mail'\norders.url = '${NOT_SET}'\n"
        )
        monkeypatch.setenv("LTQ_BROKER_URL_EU", "memory://eu")
        return tmp_path

    async def test_their_names_are_known(self, named: Path) -> None:
        words = ("stats", "--broker-url")
        every = plain("@mail", "@orders", "@eu")
        assert await in_shell("bash", *words, "", cwd=named) == every
        assert await in_shell("bash", *words, "@", cwd=named) == every
        assert await in_shell("bash", *words, "@", "m", cwd=named) == plain("@mail")
        assert await in_shell("bash", "stats", "--broker-url", "=@", "m", cwd=named) == (
            plain("@mail")
        )
        assert await in_shell("fish", *words, "@o", cwd=named) == plain("@orders")
        assert await in_shell("bash", *words, "redis", cwd=named) == []

    async def test_queues_are_those_of_the_one_that_is_named(
        self, complete: Complete, redis_url: str, tmp_path: Path
    ) -> None:
        (tmp_path / "ltq.toml").write_text(f"brokers.mail.url = '{redis_url}'")
        split = ("size", "--broker-url", "@", "mail", "bill")
        found = await complete(*split, url="redis://127.0.0.1:1", cwd=tmp_path)
        assert found == plain("billing:charge", "billing:refund")

    async def test_a_file_with_a_mistake_is_no_word_about_it(self, tmp_path: Path) -> None:
        (tmp_path / "ltq.toml").write_text("[")
        assert await in_shell("bash", "stats", "--broker-url", "", cwd=tmp_path) == []


class TestTargets:
    async def test_workers_and_apps(self, project: Path) -> None:
        found = await in_shell("bash", "run", "", cwd=project)
        assert found == plain(
            *("shop.app:app", "shop.app:tried", "shop.app:typed", "shop.app:within"),
            *("shop.app:worker", "shop:root"),
        )
        assert await in_shell("bash", "run", "shop.app", ":", "w", cwd=project) == plain(
            "within", "worker"
        )
        assert await in_shell("bash", "run", "--app", "sh", cwd=project) == plain("shop.app:app")

    async def test_schedulers(self, project: Path) -> None:
        for words in (("schedule", "shop.d"), ("schedule", "list", "shop.d")):
            assert await in_shell("bash", *words, cwd=project) == plain("shop.deep.plans:plan")
        put = ("schedule", "put", "nightly", "@daily", "shop.app:typed")
        assert await in_shell("bash", *put, cwd=project) == plain(
            "shop.app:typed.pack", "shop.app:typed.sort"
        )
        assert "plain,list" in await in_shell("bash", "schedule", "", cwd=project)
        assert await in_shell("bash", "schedule", "li", cwd=project) == plain("list")
        assert await in_shell("bash", "schedule", "shop.deep.plans:plan", "l", cwd=project) == []
        assert "plain,--help" in await in_shell("bash", "schedule", "--", cwd=project)

    async def test_tasks_also_of_a_worker_of_another_module(self, project: Path) -> None:
        assert await in_shell("bash", "send", "shop", cwd=project) == plain(
            "shop.app:typed.pack",
            "shop.app:typed.sort",
            "shop.app:worker.fetch",
            "shop.app:worker.parse-it",
            "shop.app:worker.ship",
            "shop.jobs:local.own",
        )

    async def test_what_the_dashboard_may_show(self, project: Path) -> None:
        assert await in_shell("bash", "web", "shop.app:ty", cwd=project) == plain("shop.app:typed")

    async def test_a_process_of_its_own_speaks_the_same(self, project: Path) -> None:
        env = {"COMP_WORDS": "ltq run shop:", "COMP_CWORD": "2", "_LTQ_COMPLETE": "bash_complete"}
        done = await run_ltq(cwd=project, env=env)
        assert (done.code, done.out, done.err) == (0, "plain,shop:root\n", "")

    async def test_where_nothing_is_there_is_nothing(self, tmp_path: Path) -> None:
        assert await in_shell("bash", "run", "", cwd=tmp_path) == []
        assert await in_shell("bash", "send", "none:", cwd=tmp_path) == []


@pytest.mark.parametrize(
    ("module", "is_package", "text", "origin"),
    [
        ("a.b", False, "from .c import worker", "a.c"),
        ("a.b", False, "from . import worker", "a"),
        ("a.b", True, "from .c import worker", "a.b.c"),
        ("a.b.c", False, "from ..d import worker", "a.d"),
    ],
)
def test_what_a_relative_import_means(
    module: str, is_package: bool, text: str, origin: str
) -> None:
    source = read_source(text.encode(), module, is_package=is_package)
    assert source.imported == {"worker": (origin, "worker")}


@pytest.mark.parametrize(
    ("words", "whole", "before"),
    [
        (["a", "b"], ["a", "b"], 0),
        (["a", ":", "b"], ["a:b"], 2),
        (["a", ":"], ["a:"], 2),
        (["a", "::", "b", ":", "c"], ["a::b:c"], 5),
        (["x", "--q", "=", "a", ":", "b"], ["x", "--q=a:b"], 6),
        ([":", "b"], [":b"], 1),
        (["--b", "@", "c"], ["--b", "@c"], 0),
        (["--b", "@", "c", "d"], ["--b", "@c", "d"], 0),
        (["--b", "=@", "c"], ["--b=@c"], 4),
        (["--b", "=@"], ["--b=@"], 4),
        (["redis", ":", "//u", ":", "p", "@", "h"], ["redis://u:p@h"], 11),
        ([], [], 0),
    ],
)
def test_words_are_joined_as_they_were_typed(
    words: list[str], whole: list[str], before: int
) -> None:
    assert joined(words) == (whole, before)
