"""This command once more, in another process: the same Python, with the same options."""

import sys
from collections.abc import Iterator, Sequence

_WITH_VALUE = "WX"
"""Options of one letter that take a value, in the same argument or in the next one."""

_NOT_FOR_CHILDREN = "ix"
"""To be interactive afterwards, and to skip the first line of the file."""


def own_command(*options: str) -> list[str]:
    """Return this command with more options. If an option is given twice, the last one counts."""
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    return ltq_command(*given[:end], *options, *given[end:])


def same_program(*options: str) -> list[str]:
    """Return the command line of this process, whatever its program is, with more options."""
    given, whole = sys.argv[1:], sys.orig_argv[1:]
    if whole[len(whole) - len(given) :] != given:  # not what Python was started with: a fork
        whole = sys.argv
    return [sys.executable, *whole, *options]


def ltq_command(*arguments: str) -> list[str]:
    """Return a command of `ltq` for the Python of this process, with its options."""
    return [sys.executable, *_of_this_process(sys.argv[1:]), "-m", "ltq", *arguments]


def _of_this_process(given: Sequence[str]) -> list[str]:
    options = interpreter_options(sys.orig_argv[1:])
    if sys.orig_argv[len(sys.orig_argv) - len(given) :] == given:
        return options
    # Another program calls this one: how it buffers its own output is its matter.
    return [option for option in options if option != "-u"]


def interpreter_options(arguments: Sequence[str]) -> list[str]:
    """Return those of Python's arguments that are options of Python itself, such as `-OO`.

    They are in no environment variable, so a child process has only those that it is given.
    """
    return list(_options(iter(arguments)))


def _options(arguments: Iterator[str]) -> Iterator[str]:
    for argument in arguments:
        if argument.startswith("--"):  # --check-hash-based-pycs always
            yield argument
            yield from _value(arguments)
        elif argument.startswith("-") and argument != "-":
            for place, letter in enumerate(argument[1:], 1):
                if letter in "cm":  # what follows is the program, and its arguments
                    return
                if letter in _WITH_VALUE:
                    rest = argument[place + 1 :]
                    yield f"-{letter}"
                    yield from [rest] if rest else _value(arguments)
                    break
                if letter not in _NOT_FOR_CHILDREN:
                    yield f"-{letter}"
        else:  # the file of a script
            return


def _value(arguments: Iterator[str]) -> Iterator[str]:
    for value in arguments:
        yield value
        return
