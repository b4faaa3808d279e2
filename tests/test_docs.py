"""What the documents say is what happens."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md")])


def blocks(document: str) -> list[str]:
    return PYTHON_BLOCK.findall((ROOT / document).read_text())


def run(code: str, directory: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=directory,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_quick_start_gives_a_typed_result(tmp_path: Path, redis_url: str) -> None:
    (shop,) = [block for block in blocks("README.md") if block.startswith("# shop.py")]
    code = shop.replace("redis://localhost:6379", redis_url)
    assert code != shop
    (tmp_path / "shop.py").write_text(code)
    worker = subprocess.Popen(
        [sys.executable, "-m", "ltq", "run", "shop:worker"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        stderr=subprocess.DEVNULL,
    )
    try:
        assert run("import shop, asyncio; asyncio.run(shop.main())", tmp_path) == "90.0\n"
    finally:
        worker.terminate()
        assert worker.wait(20) == 0


def test_the_blocks_of_the_readme_compile() -> None:
    for block in blocks("README.md"):
        flags = 0x2000  # PyCF_ALLOW_TOP_LEVEL_AWAIT
        compile(block, "README.md", "exec", flags=flags)


@pytest.mark.parametrize(
    "document",
    [
        "docs/broker.md",
        "docs/events.md",
        "docs/lifespan.md",
        "docs/operations.md",
        "docs/scheduler.md",
        "docs/sync.md",
        "docs/web.md",
    ],
)
def test_the_blocks_of_a_page_run(document: str, tmp_path: Path) -> None:
    assert blocks(document)
    for block in blocks(document):
        run(block, tmp_path)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text()):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_every_task_and_send_option_is_in_the_readme() -> None:
    from ltq.options import SendOptions, TaskOptions

    readme = (ROOT / "README.md").read_text()
    for option in (*TaskOptions.__annotations__, *SendOptions.__annotations__):
        assert f"`{option}`" in readme, option
