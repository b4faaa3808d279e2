"""The benchmarks run, whatever the times; and what they tell is written down as it should be."""

import importlib
import json
import re
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from benchmarks import __main__ as benchmarks
from benchmarks import (
    chart,
    contenders,
    cores,
    databases,
    environments,
    files,
    goals,
    machine,
    masters,
    own,
    publish,
    results,
    run,
    soak,
    tables,
)
from benchmarks.comparison import Record, compare, compare_on_files, size_for
from benchmarks.contenders import ALL, ENTRANTS, Entrant
from benchmarks.measures import MEASURES
from benchmarks.peers import __main__ as launcher
from benchmarks.peers import contender
from benchmarks.peers.ltq_now import LTQ
from benchmarks.peers.measures import MEASURES as COMPARED
from benchmarks.results import Machine, Results
from benchmarks.stores import STORES, store_class
from devtools.servers import RedisServer

TINY = 0.0001

FAKE = """
import asyncio

from benchmarks.peers.contender import Contender


class Fake(Contender):
    packages = ("nothing-of-this-name",)

    async def open(self):
        self.sent = asyncio.Queue()

    async def send(self, number):
        result = asyncio.get_running_loop().create_future()
        await self.sent.put((number, result))
        return result

    async def result(self, sent):
        return await sent

    async def work(self):
        while True:
            number, result = await self.sent.get()
            self.delivered(number)
            result.set_result(number)


CONTENDER = Fake
"""

LOSING = FAKE.replace("self.delivered(number)", "self.delivered(number or 1)")
"""One that runs a task twice, and never the one with number 0."""

UNUSED = "import os; assert not os.listdir(os.path.dirname(self.url[10:]))"
"""A line for `open`, which fails where something is in the folder already."""

BROKEN = FAKE.replace("while True:", "raise ValueError('it does not work')\n        while True:")


@pytest.fixture(scope="module")
def url(redis_executable: str) -> Iterator[str]:
    """A server that may be flushed."""
    with RedisServer(redis_executable) as server:
        yield server.url


@pytest.fixture
def found() -> Results:
    """Made-up figures."""
    ltq, saq = Record("3.11.7"), Record("3.11.7", {"saq": "0.26.4"})
    ltq.runs = {
        "drain": [{"tasks/s": rate} for rate in (20_000.0, 30_000.0, 90_000.0)],
        "bulk": [{"tasks/s": 60_000.0}],
        "latency": [{"median ms": 0.9, "p99 ms": 4.0}],
    }
    saq.runs = {"drain": [{"tasks/s": 2_500.0}], "bulk": [{"tasks/s": 20_000.0}]}
    saq.failures = {"latency": "nothing within 180 s"}
    queues = {"ltq": ltq, "saq": saq}
    alone = {"one_send": [{"ratio": 0.6}, {"ratio": 0.8}, {"ratio": 0.9}]}
    return Results(
        Machine(2, "3.11.7", "7.0.15", "Linux x86_64"),
        queues=queues,
        ltq=alone,
        missing={"ltq-0.4": "there is no Python 3.13 here"},
        speed=[{"loops/s": 1_234_000.0}],
    )


@pytest.mark.slow
class TestMeasures:
    @pytest.mark.parametrize("name", [name for name in MEASURES if name != "lateness"])
    def test_each_gives_figures(self, name: str, url: str) -> None:
        figures = own.measure(name, url, TINY)
        assert figures
        assert all(value >= 0 for value in figures.values())
        assert not figures.get("lost")

    @pytest.mark.parametrize("name", [name for name in files.MEASURES if name != "lateness"])
    def test_each_gives_figures_on_a_file(self, name: str) -> None:
        figures = own.limited(files.measure(name, TINY), TINY)
        assert figures
        assert all(value >= 0 for value in figures.values())

    @pytest.mark.parametrize(
        "name", [name for name in databases.MEASURES if name not in ("lateness", "idle")]
    )
    async def test_each_gives_figures_on_a_database(self, name: str, postgres_server: str) -> None:
        figures = await databases.measure(name, postgres_server, TINY)
        assert figures
        assert all(value >= 0 for value in figures.values())

    def test_the_statements_of_an_idle_worker_are_counted(self, postgres_folder: Path) -> None:
        with databases.counting(postgres_folder) as server:
            figures = own.limited(databases.measure("idle", server.url, TINY), TINY)
        assert figures.keys() == {"% of a core", "commands/s"}

    @pytest.mark.parametrize("broker", STORES)
    @pytest.mark.usefixtures("redis_executable", "postgres_folder")
    def test_the_command_prints_medians(
        self, broker: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["drain", "one_send", "--broker", broker, "--runs", "1", "--scale", "0.001"]
        assert benchmarks.main(words) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == ["drain", "one_send"]

    def test_an_unknown_measure_is_refused(self) -> None:
        with pytest.raises(SystemExit):
            benchmarks.main(["nothing"])


class TestSoak:
    @pytest.mark.slow
    async def test_it_sees_each_minute(self, postgres_folder: Path) -> None:
        said: list[str] = []
        minutes = await soak.run(postgres_folder, 2, 500, 2.0, said.append)
        assert [one.ended > 0 for one in minutes[1:]] == [True, True]
        assert [line.split()[1] for line in said[1:]] == ["1", "2"]
        assert {"tasks", "final", "lanes"} <= minutes[-1].sizes.keys()

    def test_a_rate_that_falls_is_named(self) -> None:
        ended = [0, 100, 170, 230, 280]
        minutes = [soak.Minute(60.0 * i, many, {"tasks": 1}) for i, many in enumerate(ended)]
        assert soak.judge(minutes) == ["minute 4: 1/s is 0.50 of the first one's"]

    def test_a_table_that_grows_is_named(self) -> None:
        few, many = 1_000 * soak.MOST_BYTES, 1_001 * soak.MOST_BYTES
        start = soak.Minute(0.0, 0, {"tasks": 0})
        assert soak.judge([start, soak.Minute(60.0, 1000, {"tasks": few})]) == []
        (text,) = soak.judge([start, soak.Minute(60.0, 1000, {"tasks": many})])
        assert text.startswith("each task that ended left 2,50")


class TestStreams:
    @pytest.mark.slow
    @pytest.mark.usefixtures("redis_executable")
    def test_it_tells_how_quickly_items_arrive(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert benchmarks.main(["streams", "--scale", "0.01"]) == 0
        first, second, late, readers, resumed = capsys.readouterr().out.splitlines()
        assert first.startswith("1 × 50/s   p50 ")
        assert second.startswith("50 × 50/s   p50 ")
        assert late.startswith("late reader   100 items in ")
        assert readers == "100 readers of one stream   1 connection(s) that wait for items"
        assert resumed.startswith("10 readers, stopped and resumed ")
        assert resumed.endswith("no gap, no double")


class TestWorkflows:
    def test_it_tells_what_maps_cost_and_how_quickly_trees_are_cancelled_and_seen(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["workflows", "--broker", "memory", "--scale", "0.01", "--rounds", "1"]
        assert benchmarks.main(words) == 0
        lines = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert [line[0] for line in lines] == ["map", "cancel", "lag"]
        with pytest.raises(SystemExit):
            benchmarks.main(["workflows", "nothing"])


class TestMasters:
    @pytest.mark.slow
    @pytest.mark.usefixtures("redis_executable")
    def test_it_tells_what_each_number_of_them_spends(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert benchmarks.main(["masters", "--tasks", "160"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[:2] for line in lines] == [["masters", one] for one in "124"]

    def test_the_busiest_says_what_all_carry(self) -> None:
        assert masters.Spent(2, whole=50.0, busiest=25.0).carries == 40_000


class TestRabbit:
    @pytest.mark.slow
    @pytest.mark.usefixtures("redis_executable", "rabbitmq_executable")
    def test_it_measures_sends_and_counts_what_outages_lose(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["sends", "latency", "away", "--count", "20", "--seconds", "0.2"]
        assert benchmarks.main(["rabbitmq", *words]) == 0
        sends, latency, away = capsys.readouterr().out.splitlines()
        assert "sent/s over sqlite" in sends
        assert "p50 ms" in latency
        assert re.search(r"failed 0 +lost 0 +doubled 0", away)

    def test_a_measure_that_is_not_there_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            benchmarks.main(["rabbitmq", "speed"])
        assert "one of sends, latency, away, kills" in capsys.readouterr().err


def entrant(name: str, path: Path, code: str) -> Entrant:
    path = path / f"{name}.py"
    path.write_text(code)
    return Entrant(name, name.title(), str(path), drain=1000, send=1000)


@pytest.mark.slow
class TestComparison:
    async def test_queues_are_measured_in_turn_and_one_that_fails_stops_no_other(
        self, redis_executable: str, tmp_path: Path
    ) -> None:
        broken, fake = entrant("broken", tmp_path, BROKEN), entrant("fake", tmp_path, FAKE)
        taking_part = {one.name: (one, sys.executable) for one in (broken, fake)}
        records = {name: Record() for name in taking_part}
        said: list[str] = []
        await compare(redis_executable, taking_part, records, scale=0.002, say=said.append)
        assert records["fake"].runs.keys() == COMPARED.keys()
        assert not records["fake"].failures
        assert records["broken"].failures.keys() == COMPARED.keys()
        assert not records["broken"].runs
        assert any("Broken     failed: " in line for line in said)

    async def test_there_is_no_rate_without_all_deliveries(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "losing.py"
        path.write_text(LOSING)
        monkeypatch.setattr(contender, "PATIENCE", 0.2)
        size = size_for(ENTRANTS["ltq"], 0.002)
        for measure in ("drain", "bulk", "loops", "one"):
            with pytest.raises(contender.UndeliveredError, match="1 tasks were not delivered"):
                await launcher.measure(launcher.load(str(path)).CONTENDER, measure, "", size)

    async def test_on_sqlite_each_measure_has_a_file_of_its_own(self, tmp_path: Path) -> None:
        fake = entrant("fake", tmp_path, FAKE.replace("self.sent =", f"{UNUSED}; self.sent ="))
        records = {"fake": Record()}
        said: list[str] = []
        taking_part = {"fake": (fake, sys.executable)}
        await compare_on_files(taking_part, records, scale=0.002, say=said.append)
        assert records["fake"].runs.keys() == COMPARED.keys()
        assert not records["fake"].failures

    @pytest.mark.parametrize("measure", COMPARED)
    def test_ltq_is_measured_like_the_others(self, measure: str, url: str) -> None:
        size = size_for(ENTRANTS["ltq"], 0.002)
        assert own.run(launcher.measure(LTQ, measure, url, size))

    def test_one_without_results_has_no_latency(self) -> None:
        assert ENTRANTS["ltq-0.4"].lacks("latency")
        assert not ENTRANTS["saq"].lacks("latency")

    def test_slow_ones_have_less_to_do(self) -> None:
        assert size_for(ENTRANTS["docket"], 1).drain < size_for(ENTRANTS["ltq"], 1).drain

    @pytest.mark.parametrize("one", ALL.values(), ids=str)
    def test_all_versions_are_pinned(self, one: Entrant) -> None:
        assert all("==" in requirement for requirement in (*one.requirements, *contenders.COMMON))
        place = contenders.ROOT / "benchmarks" / "peers"
        assert (place / (f"{one.file}/main.mjs" if one.is_node else f"{one.file}.py")).exists()

    def test_the_packages_of_node_are_locked(self) -> None:
        place = contenders.ROOT / "benchmarks" / "peers" / ENTRANTS["bullmq"].file
        wanted = json.loads((place / "package.json").read_text())["dependencies"]
        locked = json.loads((place / "package-lock.json").read_text())["packages"]
        assert wanted == {name: locked[f"node_modules/{name}"]["version"] for name in wanted}


class TestNeeds:
    @pytest.mark.parametrize("name", [name for name in STORES if name != "postgres"])
    def test_a_store_needs_what_it_uses_alone(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in ("psycopg", "httpx"):
            monkeypatch.setitem(sys.modules, module, None)
        for module in [one for one in sys.modules if one.startswith("benchmarks.")]:
            monkeypatch.delitem(sys.modules, module)
        assert importlib.import_module("benchmarks.stores").store_class(name).measures

    @pytest.mark.parametrize("name", STORES)
    def test_each_has_ltq_first(self, name: str) -> None:
        assert next(iter(store_class(name).entrants)) == "ltq"


class TestMachine:
    def test_its_own_speed_is_known(self) -> None:
        assert all(value > 0 for value in machine.speed().values())

    def test_a_server_has_cores_of_its_own_where_there_are_enough(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[list[int]] = []
        monkeypatch.setattr(cores, "own_cores", lambda: [0, 1, 2, 5])
        monkeypatch.setattr("os.sched_setaffinity", lambda _, those: asked.append(those))
        server = mock.Mock(is_running=True)
        with cores.apart(server):
            assert asked == [[0, 1], [2, 5]]
            server.start.assert_called_once_with()
        assert asked[-1] == [0, 1, 2, 5]
        server.stop.assert_called_once_with()


class TestEnvironments:
    def test_a_node_that_is_missing_or_old_is_an_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(environments.SetupError, match="no Node here"):
            environments.find_node()
        for name in ("node", "npm"):
            (tmp_path / name).write_text("#!/bin/sh\necho v18.1.0\n")
            (tmp_path / name).chmod(0o755)
        with pytest.raises(environments.SetupError, match="no Node 20 here"):
            environments.find_node()

    def test_the_packages_of_node_are_installed_once_and_the_program_is_always_new(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[list[str]] = []
        monkeypatch.setattr(environments, "_run", lambda command, _: asked.append(command))
        source = tmp_path / "queue"
        source.mkdir()
        for name in ("package.json", "package-lock.json", "main.mjs"):
            (source / name).write_text("first")
        for text in ("first", "second"):
            (source / "main.mjs").write_text(text)
            program = environments.node_environment(tmp_path / "envs", source, print)
            assert Path(program).read_text() == text
        assert [command[:2] for command in asked] == [["npm", "ci"]]

    @pytest.mark.usefixtures("redis_executable")
    def test_what_cannot_be_installed_is_told_by_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def fail(*arguments: object) -> str:
            raise environments.SetupError("it could not be installed", "no such version")

        monkeypatch.setattr(run, "environment", fail)
        command = ["saq", "--runs", "1", "--scale", "0.001", "--only-compared"]
        assert run.main([*command, "--json", str(tmp_path / "found.json")]) == 1
        printed = capsys.readouterr()
        assert "saq is left out: it could not be installed: no such version" in printed.err
        assert "saq is missing: it could not be installed\n" in printed.out
        assert results.load(tmp_path / "found.json").missing.keys() == {"ltq", "saq"}

    def test_one_that_is_there_is_used_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def pretend(command: list[str], failure: str) -> None:
            if "venv" in command:
                Path(command[-1]).mkdir()

        monkeypatch.setattr(environments, "_run", pretend)
        said: list[str] = []
        make = (tmp_path, "saq", ["saq==0.26.4"], sys.executable, said.append)
        first = environments.environment(*make)
        assert environments.environment(*make) == first
        assert said == ["saq: installing saq==0.26.4"]

    def test_a_python_that_is_nowhere_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        monkeypatch.setenv("PYENV_ROOT", "/nowhere")
        with pytest.raises(environments.SetupError, match=r"no Python 2\.1 here"):
            environments.find_python("2.1")


class TestResults:
    def test_they_are_kept_whole(self, found: Results, tmp_path: Path) -> None:
        results.save(found, tmp_path / "new" / "found.json")
        loaded = results.load(tmp_path / "new" / "found.json")
        assert loaded.speed == found.speed
        assert loaded.machine == found.machine
        assert loaded.queues["ltq"] == found.queues["ltq"]
        assert loaded.ltq == found.ltq
        assert loaded.missing == found.missing

    def test_the_file_has_medians_and_nothing_of_the_machine(
        self, found: Results, tmp_path: Path
    ) -> None:
        found.queues["saq"].failures["drain"] = "no such file: /home/somebody/secret"
        results.save(found, tmp_path / "found.json")
        text = (tmp_path / "found.json").read_text()
        assert "somebody" not in text
        assert json.loads(text)["medians"]["comparison"]["ltq"]["drain"] == {"tasks/s": 30_000}

    def test_the_tables_have_every_figure(self, found: Results) -> None:
        console = Console(width=160, record=True, file=StringIO())
        tables.show(found, console)
        text = console.export_text()
        assert "30,000" in text
        assert "2,500" in text
        assert "× 12" in text
        assert "ltq 0.4.0 is missing: there is no Python 3.13 here" in text
        assert "the machine by itself: loops/s 1,234,000" in text
        assert "aborted" in text

    def test_goals_inform(self, found: Results) -> None:
        met = {(one.measure, one.goal): one.is_met for one in goals.verdicts(found)}
        assert met["drain", "≥ 10 × best peer"] is True
        assert met["bulk", "≥ 5 × best peer"] is False
        assert met["drain", "≥ 5 × ltq 0.4.0"] is None
        assert met["one_send: ratio", "≥ 0.7 × HSET"] is True
        assert met["latency: p99 ms", "≤ 3 ms"] is False

    def test_files_have_goals_of_their_own(self, found: Results) -> None:
        huey = Record("3.11.7", {"huey": "3.5.4"})
        huey.runs = {"drain": [{"tasks/s": 2_000.0}], "bulk": [{"tasks/s": 2_000.0}]}
        bare = Record("3.11.7", {"persist-queue": "1.1.0"}, {"drain": [{"tasks/s": 9_000.0}]})
        of_files = Results(
            Machine(2, "3.11.7", "", "Linux x86_64", sqlite="3.40.1"),
            queues={"ltq": found.queues["ltq"], "huey": huey, "persist-queue": bare},
            ltq={"answered": [{"median ms": 4.0, "p99 ms": 9.0}]},
        )
        met = {(one.measure, one.goal): one.is_met for one in goals.verdicts(of_files)}
        assert met == {
            ("drain", "≥ 15,000/s"): True,
            ("drain", "≥ 8 × best peer"): True,
            ("bulk", "≥ 40,000/s"): True,
            ("answered: median ms", "≤ 3 ms"): False,
        }
        assert "SQLite 3.40.1" in str(of_files.machine)

    def test_postgres_has_goals_of_its_own(self, found: Results) -> None:
        peer = Record("3.11.7", {"pgqueuer": "1.6.0"})
        peer.runs = {"drain": [{"tasks/s": 25_000.0}], "bulk": [{"tasks/s": 50_000.0}]}
        of_databases = Results(
            Machine(2, "3.11.7", "", "Linux x86_64", postgres="15.18"),
            queues={"ltq": found.queues["ltq"], "pgqueuer": peer},
            ltq={"open_snapshot": [{"ratio": 0.7}]},
        )
        met = {(one.measure, one.goal): one.is_met for one in goals.verdicts(of_databases)}
        assert met == {
            ("drain", "≥ 12,000/s"): True,
            ("drain", "≥ 1.3 × best peer"): False,
            ("bulk", "≥ 35,000/s"): True,
            ("latency: median ms", "≤ 6 ms"): True,
            ("open_snapshot: ratio", "≥ 0.6 ×"): True,
        }
        assert "PostgreSQL 15.18" in str(of_databases.machine)

    def test_kept_ones_can_be_shown_and_drawn(
        self, found: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found.queues["saq"].failures.clear()
        kept, drawn = tmp_path / "found.json", tmp_path / "found.svg"
        results.save(found, kept)
        assert run.main(["--show", str(kept), "--chart", str(drawn)]) == 0
        assert "30,000" in capsys.readouterr().out
        assert drawn.read_text() == chart.draw(found)

    def test_the_docs_are_renewed_whole(self, found: Results, tmp_path: Path) -> None:
        page = tmp_path / "performance.md"
        before = (contenders.ROOT / "docs" / "performance.md").read_text()
        page.write_text(before)
        publish.publish(found, "redis", tmp_path)
        after = page.read_text()
        assert "| **LTQ** | 30 000 | 60 000 | – | – | 0.90, 4.00 | – |  |" in after
        assert "| saq | 2 500 | 20 000 | – | – | – | – | no bulk call;" in after
        assert publish.renewed(after, "redis", "") == publish.renewed(before, "redis", "")
        assert results.load(tmp_path / "benchmarks.json").queues.keys() == found.queues.keys()
        assert (tmp_path / "benchmarks.svg").exists()
        publish.publish(found, "sqlite", tmp_path)
        assert (tmp_path / "benchmarks-sqlite.json").exists()

    def test_the_chart_has_a_bar_for_each_rate(self, found: Results) -> None:
        root = ET.fromstring(chart.draw(found))
        space = {"svg": "http://www.w3.org/2000/svg"}
        bars = root.findall("svg:rect[@rx='2']", space)
        assert len(bars) == 4
        widths = [float(bar.attrib["width"]) for bar in bars]
        assert widths[0] == pytest.approx(12 * widths[1], rel=0.01)
        texts = [text.text for text in root.findall("svg:text", space)]
        assert {"LTQ", "saq", "30,000", "2,500"} <= set(texts)
        assert "prefers-color-scheme: dark" in chart.draw(found)
