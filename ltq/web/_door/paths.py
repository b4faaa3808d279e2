"""Addresses below any prefix: all of them are relative to the page that they stand on."""

from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send


def path_of(scope: Scope) -> str:
    """The path of a request within the dashboard, whatever it is mounted below."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    if root and (path == root or path.startswith(f"{root}/")):
        return path[len(root) :]
    return path


def root_of(scope: Scope) -> str:
    """The way from the address of a request to the root of the dashboard, such as `../../`.

    It depends on nothing but the path within the dashboard, so addresses are right below any
    prefix, whether or not a proxy takes the prefix away.
    """
    return "../" * (path_of(scope).count("/") - 1) or "./"


class SlashMiddleware:
    """Leads from the address of the dashboard without its last slash to the one with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] and path_of(scope) == "":
            last = str(scope["path"]).rpartition("/")[2]
            await RedirectResponse(f"./{last}/", 307)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class PrefixMiddleware:
    """Answers below a prefix only, as behind a proxy that leaves it in the path."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        """`prefix` begins with a slash, and does not end with one."""
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = path_of(scope)
            if path != self._prefix and not path.startswith(f"{self._prefix}/"):
                text = f"The dashboard is below {self._prefix}/\n"
                await PlainTextResponse(text, 404)(scope, receive, send)
                return
            scope = {**scope, "root_path": f"{scope.get('root_path', '')}{self._prefix}"}
        await self._app(scope, receive, send)
