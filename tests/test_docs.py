"""What the README says is what happens. The pages of `docs/` have `tests/docs`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from devtools.forks import run_python
from ltq.options import SendOptions, TaskOptions

ROOT = Path(__file__).parent.parent
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(document: str) -> list[str]:
    return PYTHON_BLOCK.findall((ROOT / document).read_text())


def run(code: str, directory: Path) -> str:
    env = {"PYTHONPATH": str(ROOT), "PATH": "", "PYTHONWARNINGS": "error"}
    done = run_python("-c", code, cwd=directory, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
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


def test_the_readme_leads_to_every_task_and_send_option() -> None:
    readme, options = "README.md", "docs/options.md"
    assert f"blob/main/{options}" in (ROOT / readme).read_text()
    page = (ROOT / options).read_text()
    for option in (*TaskOptions.__annotations__, *SendOptions.__annotations__):
        assert f"`{option}`" in page, option


def test_the_commands_of_the_readme_are_there_for_the_continuous_integration() -> None:
    readme = (ROOT / "README.md").read_text()
    for marker in re.findall(r"readme_command '(\w+ \w+)'", (ROOT / ".ci" / "run").read_text()):
        assert re.search(rf"^<!-- {marker} -->\n\n    pip install ", readme, re.MULTILINE), marker
