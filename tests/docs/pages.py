"""What stands on the pages: blocks of code, commands, links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = sorted(DOCS.rglob("*.md"))
DOCUMENTS = [
    README,
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    ROOT / "examples" / "README.md",
    *PAGES,
]

FENCE = re.compile(
    r'^```(?P<language>[\w+-]*)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
INDENTED = re.compile(r"^(?: {4}.*\n|\n(?= {4}))+", re.MULTILINE)
SHELL = {"bash", "sh", "console"}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    """The number of its first line of code."""
    language: str
    title: str
    """The file it is, if it is one."""
    text: str

    @property
    def is_program(self) -> bool:
        """Whether it stands for itself; the others of a page belong together."""
        return re.search(r"^asyncio\.run\(", self.text, re.MULTILINE) is not None

    @property
    def place(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks, in order."""
    text = page.read_text("utf-8")
    return [
        Block(
            page=page,
            line=text.count("\n", 0, match.start("text")) + 1,
            language=match["language"],
            title=match["title"] or "",
            text=match["text"],
        )
        for match in FENCE.finditer(text)
    ]


def python_of(page: Path) -> list[Block]:
    return [block for block in blocks_of(page) if block.language == "python"]


def prose_of(page: Path) -> str:
    """The text without its fenced blocks."""
    return FENCE.sub("", page.read_text("utf-8"))


def commands_of(page: Path) -> Iterator[str]:
    """The lines of `ltq ...` that are given to a shell."""
    shells = [block.text for block in blocks_of(page) if block.language in SHELL]
    shells += [match[0] for match in INDENTED.finditer(prose_of(page))]
    for text in shells:
        for line in text.replace("\\\n", " ").splitlines():
            for command in line.strip().removeprefix("$ ").split(" && "):
                if command.startswith("ltq "):
                    yield command
