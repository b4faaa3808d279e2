"""How a value would arrive, in words: at which path it changes, and from what into what."""

from collections.abc import Iterable
from typing import Any, get_args

from ltq._codec.same import ABSENT, Part, items, parts, same
from ltq._codec.state import state

_PLAIN = (str, int, float, bool, list, dict, bytes)


def difference(sent: Any, got: Any, *, plain: bool = False, path: str = "") -> str:
    """How `got` differs from `sent`, and at which path; empty if it is the same.

    The path begins with `path`: the name of the argument. With `plain`, plain data is as good as
    any other value: a list for a tuple, a text for a `UUID`.
    """
    found = _difference(sent, got, plain, "")
    if found is None:
        return ""
    what, at = found
    return f"{what} - at `{path}{at}`" if at else what


def hint_path(hint: Any) -> str:
    """An annotation, as errors name it: with the modules of its classes."""
    is_class = isinstance(hint, type) and not get_args(hint)
    return "None" if hint is None else type_path(hint) if is_class else str(hint)


def type_path(kind: type) -> str:
    """A class with its module, as errors name it; built-in ones without."""
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return "None" if kind is type(None) else f"{module}{kind.__qualname__}"


def shown(value: Any) -> str:
    """What errors say of a value: its type; not the value itself, it may be a secret."""
    is_odd = type(value) is float and (value != value or value in (_INFINITY, -_INFINITY))
    return repr(value) if is_odd else type_path(type(value))


_INFINITY = float("inf")


def _difference(sent: Any, got: Any, plain: bool, path: str) -> tuple[str, str] | None:
    """What differs, and where."""
    if same(sent, got):
        return None
    if sent is ABSENT:
        return f"`{shown(got)}` would arrive in addition", path
    if got is ABSENT:
        return f"`{shown(sent)}` would not arrive", path
    is_of_its_type = type(sent) is type(got)
    became_plain = plain and not is_of_its_type and _is_plain_form(sent, got)
    if is_of_its_type or became_plain:
        pairs = parts(sent, got) if is_of_its_type else _plain_parts(sent, got)
        if (found := _first(pairs, plain, path)) or became_plain:
            return found
        if plain and isinstance(sent, list | tuple | dict):
            return None
        return f"`{shown(sent)}` would arrive changed", path
    return f"`{shown(sent)}` would arrive as `{shown(got)}`", path


def _is_plain_form(sent: Any, got: Any) -> bool:
    """Whether plain data may stand for a value: not bytes for a text, nor a rounded number."""
    is_other = isinstance(got, bytes if isinstance(sent, str) else float)
    return type(got) in _PLAIN and not (isinstance(sent, str | int) and is_other)


def _first(pairs: Iterable[Part], plain: bool, path: str) -> tuple[str, str] | None:
    found = (_difference(a, b, plain, path + at) for at, a, b in pairs)
    return next((one for one in found if one), None)


def _plain_parts(sent: Any, got: Any) -> list[Part]:
    """The parts of a value and of the plain data that stands for it, as far as they pair."""
    if isinstance(got, list) and isinstance(sent, list | tuple):
        return list(parts(list(sent), got))
    if isinstance(got, dict):
        whole = sent if isinstance(sent, dict) else state(sent)
        return list(items({key: whole[key] for key in got if key in whole}, got))
    return []
