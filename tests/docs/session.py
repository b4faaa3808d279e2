"""Runs blocks of a page in order, in one process, as `python -m asyncio` would: a program.

Its input is JSON: a list of `[file, line, code]`. Top-level `await` is allowed; what has none runs
without an event loop, as synchronous calls need it.
"""

import ast
import asyncio
import json
import sys
from types import CodeType, ModuleType
from typing import Any

CO_COROUTINE = 0x80


def compiled(file: str, line: int, code: str) -> CodeType:
    """The code of a block, with the lines it has on its page."""
    tree = ast.increment_lineno(ast.parse(code, file), line - 1)
    block: CodeType = compile(tree, file, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return block


async def close(names: dict[str, Any]) -> None:
    """Close what the blocks left open: their workers' connections."""
    import ltq

    for value in names.values():
        if isinstance(value, ltq.Worker):
            await value.aclose()


def main() -> None:
    page = ModuleType("page")
    sys.modules["page"] = page  # annotations are looked up in the module of a function
    names = vars(page)
    with asyncio.Runner() as runner:
        for file, line, text in json.load(sys.stdin):
            code = compiled(file, line, text)
            if code.co_flags & CO_COROUTINE:
                runner.run(eval(code, names))
            else:
                exec(code, names)
        runner.run(close(names))


if __name__ == "__main__":
    main()
