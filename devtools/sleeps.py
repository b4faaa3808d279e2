"""Finds code that only lets time pass: `sleep`, and what comes to the same by another name."""

import ast
from collections.abc import Callable, Iterator


def sleeps(tree: ast.AST) -> Iterator[int]:
    """The numbers of the lines that sleep, some perhaps twice."""
    for node in ast.walk(tree):
        if any(is_one(node) for is_one in _DISGUISES) and not _gives_up_a_turn(node):
            yield getattr(node, "lineno", 0)


def _gives_up_a_turn(node: ast.AST) -> bool:
    """`asyncio.sleep(0)`: no time passes, others may go on."""
    match node:
        case ast.Call(func=function, args=[ast.Constant(value=0)]):
            return ast.unparse(function) == "asyncio.sleep"
    return False


def _is_named_so(node: ast.AST) -> bool:
    """`time.sleep(1)`, or `asyncio.to_thread(time.sleep, 1)`."""
    match node:
        case ast.Call(func=ast.Attribute(attr="sleep") | ast.Name(id="sleep")):
            return True
        case ast.Call(func=ast.Attribute(attr="to_thread"), args=[ast.Attribute(attr="sleep"), _]):
            return True
    return False


def _selects_nothing(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="select"), attr="select")):
            return True
    return False


def _blocks_a_thread(node: ast.AST) -> bool:
    """`threading.Event().wait(1)`."""
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr="wait"), args=[_, *_]):
            return _is_unknown(value)
        case ast.Call(func=ast.Attribute(value=value, attr="wait"), keywords=[_, *_]):
            return _is_unknown(value)
    return False


def _waits_with_a_limit(node: ast.AST) -> bool:
    """`asyncio.wait_for(asyncio.Event().wait(), 1)`."""
    match node:
        case ast.Call(func=ast.Attribute(attr="wait_for"), args=[waiting, *_]):
            return _never_ends(waiting)
    return False


def _is_timed_out(node: ast.AST) -> bool:
    """`async with asyncio.timeout(1): await asyncio.Event().wait()`."""
    match node:
        case ast.AsyncWith(
            items=[ast.withitem(ast.Call(func=ast.Attribute(attr="timeout")))],
            body=[ast.Expr(value=ast.Await(value=waiting))],
        ):
            return _never_ends(waiting)
    return False


def _ignores_what_is_done(node: ast.AST) -> bool:
    """`await asyncio.wait([task], timeout=1)`, where nobody looks at the answer."""
    match node:
        case ast.Expr(value=ast.Await(value=ast.Call(func=function, keywords=keywords))):
            has_limit = any(keyword.arg == "timeout" for keyword in keywords)
            return ast.unparse(function) == "asyncio.wait" and has_limit
    return False


_DISGUISES: tuple[Callable[[ast.AST], bool], ...] = (
    _is_named_so,
    _selects_nothing,
    _blocks_a_thread,
    _waits_with_a_limit,
    _is_timed_out,
    _ignores_what_is_done,
)


def _never_ends(waiting: ast.expr) -> bool:
    match waiting:
        case ast.Call(func=ast.Attribute(value=value, attr="wait")):
            return _is_unknown(value)
    return _is_unknown(waiting)


def _is_unknown(node: ast.expr) -> bool:
    """Whether it is an event, or a future, that nobody else has."""
    match node:
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)):
            return name in ("Event", "Future", "create_future")
    return False
