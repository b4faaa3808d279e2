"""A web server on loopback that answers like GitHub, with troubles on demand."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

RETRY_AFTER = 0.3

_TROUBLES: dict[str, tuple[int, bool]] = {
    "flaky": (500, True),
    "busy": (429, True),
    "missing": (404, False),
    "forbidden": (403, False),
    "down": (503, False),
}
"""By owner: the status, and whether the second request is fine."""


class GithubServer(ThreadingHTTPServer):
    """`/repos/{owner}/{name}` gives a repository; the owner says what trouble there is."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, float]] = []
        """Each path asked for, and when (monotonic seconds)."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def times(self, repo: str) -> list[float]:
        """When a repository was asked for."""
        return [moment for path, moment in self.requests if path == f"/repos/{repo}"]

    def answer(self, path: str) -> tuple[int, dict[str, str], Any]:
        """The status, more headers, and the body."""
        self.requests.append((path, time.monotonic()))
        repo = path.removeprefix("/repos/")
        status, passes = _TROUBLES.get(repo.partition("/")[0], (200, False))
        if status == 200 or (passes and len(self.times(repo)) > 1):
            return 200, {}, _repository(repo)
        headers = {"Retry-After": str(RETRY_AFTER)} if status == 429 else {}
        return status, headers, {"message": "no"}


def _repository(repo: str) -> dict[str, object]:
    return {
        "id": 81598961,
        "full_name": repo,
        "stargazers_count": 65432 if not repo.startswith("odd/") else "many",
        "forks_count": 7,
        "language": None,
        "pushed_at": "2026-01-02T03:04:05Z",
        "owner": {"login": repo.partition("/")[0]},
    }


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, GithubServer)
        status, headers, body = self.server.answer(self.path)
        encoded = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(encoded))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name for it
        """Nothing: the tests look at `requests`."""


@contextmanager
def serve_github() -> Iterator[GithubServer]:
    """A server that runs in a thread."""
    with GithubServer() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
