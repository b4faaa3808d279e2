"""The table of docs/typing.md, made from typing/revealed.py: what each public call gives.

After a change of that file: `python -m devtools.typing_table`.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
REVEALED = ROOT / "tests" / "typing" / "revealed.py"
PAGE = ROOT / "docs" / "typing.md"
TABLE = re.compile(r"(?<=<!-- table -->\n).*(?=<!-- end of table -->)", re.DOTALL)


def rows(body: list[ast.stmt], around: str = "", target: str = "") -> Iterator[tuple[str, str]]:
    """Each `assert_type`: an expression, within the loop or block it stands in, and its type."""
    for node in body:
        match node:
            case ast.Expr(value=ast.Call(func=ast.Name(id="assert_type"), args=[value, kind])):
                shown = ast.unparse(value)
                shown = around if shown == target else f"{around}: {shown}" if around else shown
                yield shown, ast.unparse(kind)
            case ast.For(target=name) | ast.AsyncFor(target=name):
                yield from rows(node.body, first_line(node), ast.unparse(name))
            case ast.AsyncWith(items=[ast.withitem(optional_vars=ast.expr() as name)]):
                yield from rows(node.body, first_line(node), ast.unparse(name))


def first_line(node: ast.stmt) -> str:
    return ast.unparse(node).splitlines()[0].removesuffix(":")


def cell(code: str) -> str:
    return "`" + code.replace("'", '"').replace("|", r"\|") + "`"


def table() -> str:
    """All parts: a heading from the function's docstring, what its parameters are, and rows."""
    parts = []
    for node in ast.parse(REVEALED.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            known = ", ".join(f"`{ast.unparse(one)}`" for one in node.args.args)
            given = [f"With {known}:", ""] if known else []
            lines = [f"| {cell(code)} | {cell(kind)} |" for code, kind in rows(node.body)]
            head = ["| expression | type |", "| --- | --- |"]
            parts.append("\n".join([f"### {ast.get_docstring(node)}", "", *given, *head, *lines]))
    return "\n" + "\n\n".join(parts) + "\n\n"


if __name__ == "__main__":
    PAGE.write_text(TABLE.sub(lambda _: table(), PAGE.read_text("utf-8")), "utf-8")
