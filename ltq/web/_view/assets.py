"""The files that pages load: this dashboard's own, and those that others wrote."""

import hashlib
from functools import lru_cache
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

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
        async def send_kept(message: Message) -> None:
            if message["type"] == "http.response.start":
                is_kept = message["status"] in (200, 304) and self._is_exact(scope)
                kept = "public, max-age=31536000, immutable" if is_kept else "no-cache"
                MutableHeaders(scope=message)["cache-control"] = kept
            await send(message)

        await super().__call__(scope, receive, send_kept)

    def _is_exact(self, scope: Scope) -> bool:
        """Whether a file that is there was asked for with the version that it has."""
        version = asset_version(self.get_path(scope))
        return bool(scope.get("query_string") == f"v={version}".encode())
