"""Whether what was given is middleware."""

from collections.abc import Iterable

from ltq._display.values import short_repr
from ltq.errors import ConfigurationError
from ltq.middleware.base import Middleware


def check_middleware(value: object) -> Middleware:
    """Return `value` if it is middleware, else raise `ConfigurationError`."""
    if isinstance(value, Middleware):
        return value
    if isinstance(value, type) and issubclass(value, Middleware):
        raise ConfigurationError(
            f"middleware {value.__name__} is a class: give an object, {value.__name__}(...)"
        )
    raise ConfigurationError(
        f"middleware {short_repr(value)} is not allowed: an object of a class that derives from "
        "ltq.Middleware"
    )


def check_middlewares(values: object) -> list[Middleware]:
    """A new list of middleware. Raises `ConfigurationError` for anything else than a sequence."""
    if isinstance(values, Middleware) or not isinstance(values, Iterable):
        raise ConfigurationError(
            f"middlewares={short_repr(values)} is not allowed: a list of middleware"
        )
    return [check_middleware(value) for value in values]


def check_position(value: object) -> int:
    """Return `value` if it is a place in a list, else raise `ConfigurationError`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ConfigurationError(
        f"pos={short_repr(value)} is not allowed: -1 for the end, or a place in `middlewares`"
    )
