"""What the site has beyond `mkdocs.yml`: pages made of files outside `docs/`, and diagrams.

The links of the pages are right in the repository. Here each is changed to where the site has the
same thing: a page of `PAGES`, or a page that shows the file or lists the folder.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from docs._diagrams import FLOWCHART, draw

ROOT = Path(__file__).parent.parent
DOCS = "docs"

PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "examples/README.md": "examples.md",
    "ltq/brokers/redis/lua/README.md": "data-model.md",
}
"""Files outside `docs/` that are pages of the site."""

INSTEAD = {"README.md": "index.md"}
"""Files that another page stands for; its headings are different."""

LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")
DIAGRAM = re.compile(r"^!\[([^\]]*)\]\(([^)]+\.svg)\)$", re.MULTILINE)
MERMAID = re.compile(r"^```mermaid\nstateDiagram-v2\n.*?^```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {
    ".conf": "ini",
    ".html": "html",
    ".py": "python",
    ".service": "ini",
    ".yaml": "yaml",
    "Dockerfile": "docker",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made of other files, and those that links lead to."""
    written = [*(ROOT / DOCS).rglob("*.md"), *(ROOT / name for name in PAGES)]
    for source, uri in PAGES.items():
        files.append(File.generated(config, uri, content=(ROOT / source).read_text("utf-8")))
    for path in sorted({target for page in written for target in _outside(page)}):
        for uri, text in _shown(path).items():
            if files.get_file_from_path(uri) is None:
                level = InclusionLevel.NOT_IN_NAV
                files.append(File.generated(config, uri, content=text, inclusion=level))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Change links to where the site has the same, and put diagrams into the page."""
    here = page.file.src_uri
    source = next((name for name, uri in PAGES.items() if uri == here), f"{DOCS}/{here}")
    if source in PAGES:
        path = posixpath.relpath(f"{DOCS}/img/states.svg", _folder(source))
        markdown = MERMAID.sub(f"![The states of a task]({path})", markdown)

    def inline(match: re.Match[str]) -> str:
        return _diagram((ROOT / _resolve(source, match[2])).read_text("utf-8").strip())

    def turn(match: re.Match[str]) -> str:
        uri, anchor = _uri(_resolve(source, match[1])), match[2] or ""
        if uri is None:
            return match[0]
        if _resolve(source, match[1]) in INSTEAD:
            anchor = ""
        return f"]({posixpath.relpath(uri, _folder(here))}{anchor})"

    markdown = FLOWCHART.sub(lambda match: _diagram(draw(match[1])), markdown)
    return LINK.sub(turn, DIAGRAM.sub(inline, markdown))


def _diagram(svg: str) -> str:
    return f'<div class="diagram">\n{svg}\n</div>'


def _folder(path: str) -> str:
    return posixpath.dirname(path) or "."


def _resolve(source: str, link: str) -> str:
    """What a link in a file means, from the root of the repository."""
    return posixpath.normpath(posixpath.join(_folder(source), link))


def _uri(path: str) -> str | None:
    """Where the site has a file of the repository."""
    known = PAGES.get(path) or INSTEAD.get(path)
    if known is not None:
        return known
    if path.startswith(f"{DOCS}/"):
        return path.removeprefix(f"{DOCS}/")
    if (ROOT / path).is_dir():
        return f"files/{path}/index.md"
    return f"files/{path}.md" if (ROOT / path).is_file() else None


def _outside(page: Path) -> set[str]:
    """The files and directories outside `docs/` that a page links to."""
    source = page.relative_to(ROOT).as_posix()
    targets = {_resolve(source, match[1]) for match in LINK.finditer(page.read_text("utf-8"))}
    return {
        target
        for target in targets
        if not target.startswith((f"{DOCS}/", "..")) and target not in {*PAGES, *INSTEAD}
        if (ROOT / target).exists()
    }


def _shown(path: str) -> dict[str, str]:
    """The pages that show a file, or a directory and the files in it."""
    if (ROOT / path).is_file():
        return {f"files/{path}.md": _listing(path)}
    names = sorted(
        entry.name
        for entry in (ROOT / path).iterdir()
        if entry.is_file() and not entry.name.startswith(".")
    )
    lines = "\n".join(f"- [{name}]({name}.md)" for name in names)
    pages = {f"files/{path}/index.md": f"# {path}\n\n{lines}\n"}
    return pages | {f"files/{path}/{name}.md": _listing(f"{path}/{name}") for name in names}


def _listing(path: str) -> str:
    file = ROOT / path
    language = LANGUAGES.get(file.suffix) or LANGUAGES.get(file.name, "text")
    return f"# {path}\n\n``````{language}\n{file.read_text('utf-8')}``````\n"
