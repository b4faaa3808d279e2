"""The tutorial, followed to the letter."""

import doctest
from functools import partial
from pathlib import Path

import pytest

from devtools.servers import free_ports
from tests.docs.pages import DOCS, Block, blocks_of
from tests.docs.terminal import Terminals
from tests.eventually import eventually

PAGE = DOCS / "tutorial.md"
PORT = "8080"
"""Of two processes: the next one is used, too."""

MAY_FAIL = {"ltq doctor"}
"""The server of the tests is not fit for production."""

FILES = ("python", "toml")
"""The languages of blocks that are files."""


async def is_well(terminals: Terminals, line: str) -> bool:
    return (await terminals.run(line))[0] == 0


async def follow(block: Block, terminals: Terminals, port: str) -> str:
    """Do what a block says; what the last of its commands printed."""
    said = ""
    for line in block.text.replace(PORT, port).splitlines():
        if line.startswith("ltq check"):  # the worker takes a moment to begin
            await eventually(partial(is_well, terminals, line), 30)
            continue
        code, said = await terminals.run(line)
        assert code == 0 or line in MAY_FAIL, f"{block.place}: {line}\n{said}"
    return said


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_the_tutorial_goes_as_it_says(tmp_path: Path, redis_url: str) -> None:
    checker, said, port = doctest.OutputChecker(), "", str(free_ports(2))
    with Terminals(tmp_path) as terminals:
        for block in blocks_of(PAGE):
            match block.language:
                case language if language in FILES:
                    text = block.text.replace("redis://localhost:6379", redis_url)
                    await terminals.write(block.title, text)
                case "bash":
                    said = await follow(block, terminals, port)
                case "text":
                    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
                    assert checker.check_output(block.text, said, flags), f"{block.place}:\n{said}"


def test_every_block_is_a_file_commands_or_what_they_print() -> None:
    blocks = blocks_of(PAGE)
    assert {block.language for block in blocks} == {*FILES, "bash", "text"}
    assert [block.place for block in blocks if block.language in FILES and not block.title] == []
