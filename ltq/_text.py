"""The one rule for texts that users and libraries write: how long what is stored may be."""

MAX_TEXT = 16 * 1024
"""Most bytes of UTF-8 of an error, a reason, a traceback or a note."""


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """A text of at most `limit` bytes: its beginning, how many bytes were cut, and its end.

    Lone surrogates, as in names of files that are not UTF-8, become escapes.
    """
    if text.isascii() and len(text) <= limit:
        return text
    data = text.encode("utf-8", "backslashreplace")
    text = data.decode()
    if len(data) <= limit:
        return text
    room = limit - len(_mark(len(data)))
    head, tail = data[: room - room // 2], data[len(data) - room // 2 :]
    # A character that is cut through is dropped.
    beginning, end = head.decode("utf-8", "ignore"), tail.decode("utf-8", "ignore")
    return beginning + _mark(len(data) - len(head) - len(tail)) + end


def _mark(count: int) -> str:
    return f"\n[... {count} bytes cut ...]\n"
