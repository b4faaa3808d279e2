"""What an error is, and how it looks, whose own code may not be trusted."""

from typing import Any, TypeGuard, TypeVar

E = TypeVar("E", bound=BaseException)

_NAME: Any = type.__dict__["__name__"]


def is_a(error: BaseException | None, kinds: type[E] | tuple[type[E], ...]) -> TypeGuard[E]:
    """Whether an error is of these types, as `except` sees it.

    `isinstance` also asks the error's `__class__`, which may say or raise anything.
    """
    return issubclass(type(error), kinds)


def cause_of(error: BaseException) -> BaseException:
    """What an error was raised from; the error itself if there is nothing."""
    cause = error.__cause__
    return error if cause is None else cause  # an error may be false, or refuse to say


def name_of(error: BaseException) -> str:
    """The name of an error's class, whatever the class of that class says."""
    name: str = _NAME.__get__(type(error))
    return name


def text_of(error: BaseException) -> str:
    """The text of an error. If its `str` raises, whatever that is, this says so instead."""
    try:
        return str.__str__(str(error))  # a plain one, if it has a class of its own
    except BaseException:
        return "(its text cannot be shown)"
