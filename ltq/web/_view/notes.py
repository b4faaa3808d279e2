"""What an action has done, told on the next page: a cookie that lives until then."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

_COOKIE = "ltq_note"
_LONGEST = 400
_SECONDS = 30


class Note(NamedTuple):
    """A line at the head of a page."""

    text: str
    is_trouble: bool


def write_note(response: Response, note: Note) -> None:
    """Tell it on the page that this answer leads to."""
    data = json.dumps([note.text[:_LONGEST], note.is_trouble]).encode()
    response.set_cookie(
        _COOKIE,
        urlsafe_b64encode(data).decode().rstrip("="),
        max_age=_SECONDS,
        httponly=True,
        samesite="strict",
    )


def read_note(request: Request) -> Note | None:
    """What the action before has done."""
    text = request.cookies.get(_COOKIE, "")
    if not text or len(text) > 4 * _LONGEST * 6:
        return None
    try:
        match json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4))):
            case [str(words), bool(is_trouble)]:
                return Note(words, is_trouble)
    except (ValueError, RecursionError):  # anybody on this host may have written it
        pass
    return None


def drop_note(response: Response) -> None:
    """It was told."""
    response.delete_cookie(_COOKIE, httponly=True, samesite="strict")
