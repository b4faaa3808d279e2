"""Sending a task with other arguments: a field for each parameter, with its type."""

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from inspect import Parameter
from typing import Any, Literal, get_args, get_origin

from typing_extensions import get_type_hints

from ltq._codec.formats import type_name
from ltq._declared import DeclaredTask
from ltq.errors import InvalidArgumentsError
from ltq.web._view.render import Raw
from ltq.web._view.values import Call

Kind = Literal["text", "number", "switch", "choice", "json"]
"""How a field is filled in: as it is, as a number, as yes or no, from a list, as JSON."""

_MISSING = object()


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter of a task in a form."""

    name: str
    kind: Kind
    type: str
    """Its annotation as text; empty without one."""
    value: Raw
    """What stands in it."""
    choices: tuple[str, ...] = ()
    default: str = ""
    """What is taken if it is left empty; empty if it has to be filled in."""
    position: Literal["", "args", "kwargs"] = ""
    """Whether it stands for all positional or named arguments that have no name in the code."""

    @property
    def key(self) -> str:
        """The name of its field in the form."""
        return f"arg-{self.name}"


def fields_of(task: DeclaredTask[..., Any], call: Call | None) -> list[Field]:
    """The fields of a task, filled in with the arguments of a call."""
    hints = _hints(task)
    parameters = [*inspect.signature(task.fn).parameters.values()]
    given = _given(parameters, call)
    return [_field(one, hints.get(one.name, _MISSING), given) for one in parameters]


def read_fields(
    task: DeclaredTask[..., Any], form: Mapping[str, str]
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments that were filled in, as plain data. Raises `InvalidArgumentsError`."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    left_out = False
    for field, parameter in zip(
        fields_of(task, None), inspect.signature(task.fn).parameters.values(), strict=True
    ):
        text = form.get(field.key, "")
        if field.position == "args":
            args += _list(field, text)
        elif field.position == "kwargs":
            kwargs |= _object(field, text)
        elif text == "" and field.default and field.kind != "text":
            left_out = True
        elif parameter.kind is Parameter.POSITIONAL_ONLY and not left_out:
            args.append(_value(field, text))
        else:
            kwargs[field.name] = _value(field, text)
    return args, kwargs


def filled(fields: list[Field], form: Mapping[str, str]) -> list[Field]:
    """The same fields with what was filled in."""
    return [replace(one, value=Raw(form.get(one.key, one.value))) for one in fields]


def _hints(task: DeclaredTask[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(inspect.unwrap(task.fn))
    except Exception:  # names for type checkers only; the codec says what is wrong when it is sent
        return {}


def _given(parameters: list[Parameter], call: Call | None) -> dict[str, Any]:
    """The arguments of a call by the names of parameters; `*` and `**` for the others."""
    if call is None:
        return {}
    by_place = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    names = [one.name for one in parameters if one.kind in by_place]
    given: dict[str, Any] = dict(zip(names, call.args, strict=False))
    known = {one.name for one in parameters}
    given |= {name: value for name, value in call.kwargs.items() if name in known}
    given["*"] = call.args[len(names) :]
    given["**"] = {name: value for name, value in call.kwargs.items() if name not in known}
    return given


def _field(parameter: Parameter, hint: Any, given: Mapping[str, Any]) -> Field:
    name, annotation = parameter.name, "" if hint is _MISSING else _type_text(hint)
    if parameter.kind is Parameter.VAR_POSITIONAL:
        value = Raw(json.dumps(given.get("*", [])))
        return Field(name, "json", f"list of {annotation or 'anything'}", value, position="args")
    if parameter.kind is Parameter.VAR_KEYWORD:
        value = Raw(json.dumps(given.get("**", {})))
        return Field(name, "json", f"by name, {annotation or 'anything'}", value, position="kwargs")
    default = "" if parameter.default is Parameter.empty else repr(parameter.default)[:80]
    current = given.get(name, _MISSING)
    kind = _kind(hint, current)
    choices = tuple(map(str, get_args(hint))) if kind == "choice" else ()
    if current is _MISSING and kind == "text" and isinstance(parameter.default, str):
        current = parameter.default
    text = "" if current is _MISSING else _text(kind, current)
    return Field(name, kind, annotation, Raw(text), choices, default)


def _type_text(hint: Any) -> str:
    return type_name(hint).replace("typing.", "")


def _kind(hint: Any, current: Any) -> Kind:
    """How a type is filled in. JSON is always right; the others are easier where they can be."""
    if hint is bool:
        return "switch"
    if hint in (int, float):
        return "number"
    if hint is str and (current is _MISSING or isinstance(current, str)):
        return "text"
    if get_origin(hint) is Literal and all(isinstance(one, str) for one in get_args(hint)):
        return "choice"
    return "json"


def _text(kind: Kind, value: Any) -> str:
    if kind in ("text", "choice") and isinstance(value, str):
        return value
    indent = 2 if isinstance(value, dict | list) and value else None
    return json.dumps(value, ensure_ascii=False, default=repr, indent=indent)


def _value(field: Field, text: str) -> Any:
    """What was filled in, as plain data."""
    if field.kind in ("text", "choice"):
        return text.replace("\r\n", "\n")  # browsers send line ends so
    return _json(field, text)


def _json(field: Field, text: str) -> Any:
    if not text.strip():
        raise InvalidArgumentsError(f"argument '{field.name}' is missing: {field.type or 'JSON'}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        what = "a number" if field.kind == "number" else "JSON"
        raise InvalidArgumentsError(f"argument '{field.name}' is not {what}: {error}") from error


def _list(field: Field, text: str) -> list[Any]:
    value = _json(field, text or "[]")
    if not isinstance(value, list):
        raise InvalidArgumentsError(f"argument '*{field.name}' must be a JSON array")
    return value


def _object(field: Field, text: str) -> dict[str, Any]:
    value = _json(field, text or "{}")
    if not isinstance(value, dict):
        raise InvalidArgumentsError(f"argument '**{field.name}' must be a JSON object")
    return value
