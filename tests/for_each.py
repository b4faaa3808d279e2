"""Checks of many files, pages or names as one test each."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

Test = Callable[..., None]


def for_each(name: str, values: Iterable[Any]) -> Callable[[Test], Test]:
    """`pytest.mark.parametrize`, for checks that are quicker than it is to make a test of each.

    One test tries all values. What fails is told together, each with the value that it failed with.
    """
    given = tuple(values)

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def run(*args: Any, **fixtures: Any) -> None:
            errors: list[Exception] = []
            for value in given:
                try:
                    test(*args, **fixtures, **{name: value})
                except Exception as error:
                    error.add_note(f"{name}={value!r}")
                    errors.append(error)
            if errors:
                raise ExceptionGroup(f"{len(errors)} of {len(given)} failed", errors)
            assert given, "there is nothing to check"

        signature = inspect.signature(test)
        left = [one for one in signature.parameters.values() if one.name != name]
        vars(run)["__signature__"] = signature.replace(parameters=left)  # pytest asks for these
        return run

    return decorate
