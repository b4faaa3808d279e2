"""The curves of the benchmarks: each is measured, whatever the times, told, kept and drawn."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import __main__ as benchmarks
from benchmarks import own
from benchmarks.curves import bodies, chart, curve, program, queues, waiting, watchers, workers
from benchmarks.curves.curve import Measured
from benchmarks.curves.program import CURVES
from benchmarks.results import Machine
from devtools.servers import RedisServer

MADE_UP = Measured(
    Machine(2, "3.11.7", "7.0.15", "Linux x86_64"),
    {
        "waiting": {
            10: {"claim of 50": 1.0, "send": 0.5},
            1_000: {"claim of 50": 1.5, "send": 0.5},
        }
    },
)


@pytest.fixture
def url(redis_executable: str) -> Iterator[str]:
    """A server with all its databases."""
    with RedisServer(redis_executable) as server:
        yield server.url


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few tasks, and few rounds."""
    for module in (waiting, queues, bodies, watchers):
        monkeypatch.setattr(module, "ROUNDS", 2)
    for measured in (watchers, workers):
        monkeypatch.setattr(measured, "TASKS", 40)


@pytest.mark.slow
@pytest.mark.usefixtures("few")
class TestCurves:
    @pytest.mark.parametrize("name", CURVES)
    def test_each_has_costs_for_each_size(self, name: str, url: str) -> None:
        points = own.run(CURVES[name].measure(url, [1, 2]))
        assert points.keys() == {1, 2}
        assert all(cost > 0 for costs in points.values() for cost in costs.values())

    @pytest.mark.parametrize("name", ["waiting", "queues"])
    def test_those_of_several_stores_are_measured_on_files(self, name: str, tmp_path: Path) -> None:
        points = own.run(CURVES[name].measure(f"sqlite:///{tmp_path}/jobs.db", [2, 4]))
        assert points.keys() == {2, 4}
        assert len([*tmp_path.glob("jobs.db-?")]) == 2

    @pytest.mark.usefixtures("redis_executable")
    def test_the_command_keeps_and_shows_them(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        kept, drawn = tmp_path / "found.json", tmp_path / "found.svg"
        assert benchmarks.main(["scale", "bodies", "--most", "1024", "--json", str(kept)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert any("1,024" in line for line in lines)
        assert program.main(["--show", str(kept), "--chart", str(drawn)]) == 0
        assert len(capsys.readouterr().out.splitlines()) == len(lines)
        assert drawn.read_text().startswith("<svg")


class TestPlaces:
    def test_each_store_has_more_than_one(self) -> None:
        assert curve.place("redis://127.0.0.1:1234/0", 2) == "redis://127.0.0.1:1234/3"
        assert curve.place("sqlite:////tmp/jobs.db", 2) == "sqlite:////tmp/jobs.db-2"
        assert "schema=place2" in curve.place("postgresql://u@h/d", 2)

    def test_an_unknown_curve_is_refused(self) -> None:
        with pytest.raises(SystemExit):
            program.main(["nothing"])


class TestKept:
    def test_they_are_kept_whole(self, tmp_path: Path) -> None:
        curve.save(MADE_UP, tmp_path / "new" / "found.json")
        assert curve.load(tmp_path / "new" / "found.json") == MADE_UP

    def test_the_chart_has_a_line_for_each_step(self) -> None:
        drawn = chart.draw(MADE_UP, [CURVES["waiting"]])
        root = ET.fromstring(drawn)
        space = {"svg": "http://www.w3.org/2000/svg"}
        rising, level = root.findall("svg:polyline", space)
        heights = [
            [float(spot.split(",")[1]) for spot in line.attrib["points"].split()]
            for line in (rising, level)
        ]
        assert heights[0][0] > heights[0][1]
        assert heights[1][0] == heights[1][1]
        assert "claim of 50 1 and 1.5 ms" in drawn
