"""Completion in bash, which ends words at colons and at signs: names of queues and brokers."""

import os
import re

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    split_arg_string,
)

_SEPARATORS = re.compile(r"[:=@]+")


def joined(words: list[str]) -> tuple[list[str], int]:
    """Return words that bash has split at colons, equals signs and at signs, as they were typed.

    The second value is how much of the last one bash takes for words before it.
    """
    whole: list[str] = []
    is_open, before = False, 0
    for word in words:
        is_separator = _SEPARATORS.fullmatch(word) is not None
        # An at sign begins the name of a broker, but in a URL it is behind user and password.
        is_first = not whole or (word.startswith("@") and "://" not in whole[-1])
        if is_open or (is_separator and not is_first):
            start = whole[-1] + (word if is_separator else "")
            before = len(start) - start.endswith("@")  # which bash has in both words
            whole[-1] += word
        else:
            before = 0
            whole.append(word)
        is_open = is_separator
    return whole, before


class ColonBashComplete(BashComplete):
    """Completion of words with colons, whether or not bash splits them."""

    _before = 0
    """How much of the incomplete word bash does not replace."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the complete words, and the one to complete."""
        words, position = split_arg_string(os.environ["COMP_WORDS"]), int(os.environ["COMP_CWORD"])
        if position >= len(words):  # after a space
            return joined(words)[0][1:], ""
        whole, self._before = joined(words[: position + 1])
        incomplete = whole[-1]
        if incomplete.startswith("--") and "=" in incomplete:  # an option, whose value is completed
            self._before = max(0, self._before - incomplete.index("=") - 1)
        return whole[1:-1], incomplete

    def format_completion(self, item: CompletionItem) -> str:
        """Return a line for the shell script."""
        value = str(item.value)
        return f"{item.type},{value[self._before :]}"
