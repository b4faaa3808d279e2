"""What pages load: others' files as they were published, in the wheel, and not too heavy."""

import gzip
import hashlib
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.web.boards import Board

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "ltq" / "web" / "static"
VENDOR = STATIC / "vendor"
LISTED: list[dict[str, str]] = json.loads((VENDOR / "VERSIONS.json").read_text("utf-8"))

MOST = 150_000
"""Bytes that a page may take with all that it loads, compressed."""


@pytest.mark.parametrize("one", LISTED, ids=lambda one: one["file"])
def test_a_file_is_as_it_was_published(one: dict[str, str]) -> None:
    assert hashlib.sha256((VENDOR / one["file"]).read_bytes()).hexdigest() == one["sha256"]
    assert (VENDOR / one["license_file"]).read_text("utf-8").strip()
    assert re.fullmatch(r"\d+\.\d+\.\d+", one["version"])
    assert one["license"] in ("0BSD", "MIT")


def test_nothing_else_is_there() -> None:
    known = {one["file"] for one in LISTED} | {one["license_file"] for one in LISTED}
    assert {path.name for path in VENDOR.iterdir()} == known | {"VERSIONS.json"}


def test_nothing_is_loaded_from_elsewhere() -> None:
    for path in [*(ROOT / "ltq" / "web" / "templates").iterdir(), *STATIC.glob("*.*")]:
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//cdn|@import|url\(", text), path.name


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/", "/queues/shop:note", "/dead", "/workers"])
async def test_a_page_is_light(board: Board, path: str) -> None:
    note = board.worker.tasks["shop:note"]
    await note.send_many([note.message(f"text {n}") for n in range(200)])
    answer = await board.client.get(f"/{board.key}{path}")
    assert answer.headers["content-encoding"] == "gzip"
    weight = len(gzip.compress(answer.content, 5))
    files = set(re.findall(r'(?:src|href)="[./]*/(static/[^"]+)"', answer.text))
    assert len(files) >= 4
    for file in files:
        loaded = await board.client.get(f"/{file}")
        assert loaded.status_code == 200, file
        weight += len(gzip.compress(loaded.content, 5))
    assert weight <= MOST


@pytest.mark.slow
def test_the_wheel_has_all_of_it(tmp_path: Path) -> None:
    command: list[Any] = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    kept = [STATIC, ROOT / "ltq" / "web" / "templates"]
    files = [path for folder in kept for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert {str(path.relative_to(ROOT)) for path in files} <= names
