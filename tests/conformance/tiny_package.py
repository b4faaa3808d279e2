"""The tiny broker as a package of somebody else's: `python -m tests.conformance.tiny_package DIR`.

It is made of `examples/tiny_broker` and of the files that `docs/broker.md` shows.
"""

import sys
from pathlib import Path

from tests.docs.pages import DOCS, ROOT, blocks_of

BUILD = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["tiny_broker"]
"""


def write(folder: Path) -> None:
    """Write the project, with its test beside it, into a folder."""
    package = folder / "tiny_broker"
    package.mkdir(parents=True)
    for module in (ROOT / "examples" / "tiny_broker").glob("*.py"):
        code = module.read_text("utf-8").replace("examples.tiny_broker", "tiny_broker")
        (package / module.name).write_text(code, "utf-8")
    shown = {block.title: block.text for block in blocks_of(DOCS / "broker.md") if block.title}
    (folder / "pyproject.toml").write_text(shown["pyproject.toml"] + BUILD, "utf-8")
    (folder / "test_tiny_broker.py").write_text(shown["test_tiny_broker.py"], "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
