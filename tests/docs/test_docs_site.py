"""The site is built without a warning, its links lead somewhere, and it needs nothing else."""

import importlib
import os
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.pages import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

LOADED = {("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src"), ("use", "href")}
"""What a browser fetches by itself."""


@dataclass
class Read(HTMLParser):
    """The links, anchors and resources of one page."""

    path: Path
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            elif (tag, name) in LOADED and value:
                self.loaded.append(value)
            elif (tag, name) == ("a", "href") and value:
                self.links.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as strictly as may be."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    return folder


@cache
def read(path: Path) -> Read:
    return Read(path)


def pages(site: Path) -> list[Read]:
    return [read(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"]


def test_every_link_and_anchor_leads_somewhere(site: Path) -> None:
    broken = []
    for page in pages(site):
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            anchor = unquote(parts.fragment)
            if not target.is_file() or (anchor and anchor not in read(target).anchors):
                broken.append(f"{page.path.relative_to(site)} -> {link}")
    assert broken == []


def test_a_page_loads_nothing_from_elsewhere(site: Path) -> None:
    found = {url for page in pages(site) for url in page.loaded if urlsplit(url).netloc}
    assert found == set()
    styles = [path.read_text("utf-8") for path in site.rglob("*.css")]
    assert not any("url(http" in text or "url(//" in text for text in styles)


def test_there_is_no_diagram_that_a_browser_would_have_to_draw(site: Path) -> None:
    # Material would load a program for it from elsewhere.
    assert [page.path for page in pages(site) if 'class="mermaid"' in page.path.read_text()] == []


def test_the_diagrams_are_in_their_pages(site: Path) -> None:
    for name, title in (
        ("life-of-a-message.html", "The way of a message through LTQ"),
        ("life-of-a-message.html", "The states of a task"),
        ("data-model.html", "The states of a task"),
        ("architecture.html", "From the arguments of send to the script"),
        ("architecture.html", "From a delivery to its outcome"),
    ):
        assert f"<title>{title}</title>" in (site / name).read_text("utf-8")


@pytest.mark.parametrize("module", ["ltq", "ltq.testing"])
def test_every_public_name_is_in_the_reference(site: Path, module: str) -> None:
    reference = [page for page in pages(site) if page.path.parent == site / "reference"]
    known = {anchor.rpartition(".")[2] for page in reference for anchor in page.anchors}
    assert set(importlib.import_module(module).__all__) - known == set()
