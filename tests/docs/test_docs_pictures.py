"""Pictures: there in light and in dark, small, and of what is shown on a terminal."""

import re
from pathlib import Path

import pyte
import pytest

from docs._pictures import IMAGES, LARGEST
from docs._terminal import as_html, show
from tests.docs.pages import PAGES, README, name_of

PICTURE = re.compile(r"<picture>\n(.*?)</picture>", re.DOTALL)
WITH_PICTURES = [page for page in [README, *PAGES] if "<picture>" in page.read_text("utf-8")]


def test_the_first_pages_have_some() -> None:
    assert {"README.md", "index.md", "dashboard.md"} <= {page.name for page in WITH_PICTURES}


@pytest.mark.parametrize("page", WITH_PICTURES, ids=name_of)
def test_each_is_there_in_light_and_in_dark_and_has_a_text(page: Path) -> None:
    for picture in PICTURE.findall(page.read_text("utf-8")):
        dark = re.search(r'scheme: dark\)" srcset="(?:\S+/)?img/([\w-]+)-dark\.png"', picture)
        light = re.search(r'<img alt="[^"]{20,}" src="(?:\S+/)?img/([\w-]+)-light\.png"', picture)
        assert dark, picture
        assert light, picture
        assert dark[1] == light[1]
        for scheme in ("light", "dark"):
            assert (IMAGES / f"{light[1]}-{scheme}.png").read_bytes()[:4] == b"\x89PNG"


def test_each_is_small_and_used() -> None:
    used = "".join(page.read_text("utf-8") for page in WITH_PICTURES)
    files = list(IMAGES.glob("*.png"))
    assert files
    for file in files:
        assert file.stat().st_size <= LARGEST, file.name
        assert file.name in used


def test_a_terminal_is_shown_as_it_is() -> None:
    screen = pyte.Screen(20, 5)
    pyte.Stream(screen).feed("old\rn\x1b[31me\x1b[0m<w>\r\n\x1b[1mbold\x1b[0m")
    page = as_html(screen, "a & b")
    assert "<header>a &amp; b</header>" in page
    assert 'n<span style="color: var(--red)">e</span>&lt;w&gt;\n' in page
    assert '<span style="font-weight: bold">bold</span></pre>' in page


def test_a_command_that_fails_makes_no_picture() -> None:
    with pytest.raises(SystemExit, match="false has ended with 1"):
        show(["false"], shown="false", env={"PATH": "/usr/bin:/bin"}, columns=20, lines=5)
