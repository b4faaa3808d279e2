"""The files that pages load: this dashboard's own, and those that others wrote."""

import hashlib
from functools import lru_cache
from pathlib import Path

from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

FOLDER = Path(__file__).parents[1] / "static"


@lru_cache(maxsize=64)
def asset_version(name: str) -> str:
    """A text that is another one for each content of a file in `static/`."""
    return hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:12]


class Assets(StaticFiles):
    """Serves them. One that is asked for with its version may be kept for ever."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_exact = b"v=" in scope.get("query_string", b"")
        kept = b"public, max-age=31536000, immutable" if is_exact else b"no-cache"

        async def send_kept(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                assert isinstance(headers, list)
                headers.append((b"cache-control", kept))
            await send(message)

        await super().__call__(scope, receive, send_kept)  # type: ignore[arg-type]  # a MutableMapping
