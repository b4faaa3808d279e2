"""Where a command serves something: on the first free port of a range."""

import errno
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ltq.cli._errors import CommandError, WrongUseError

T = TypeVar("T")

_HIGHEST_PORT = 65_535


class AddressError(CommandError):
    """Nothing can be served on the host or ports that the options name."""


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A host, and `count` ports in a row that begin with `port`. Port 0 is any free port.

    Each of the processes of `--processes` takes the first free port. A restarted process finds the
    one of its predecessor in the same way, so no process needs to know its number.
    """

    name: str
    """What is served: `"metrics"`, `"health"` or `"web"`."""
    host: str
    port: int
    count: int = 1

    def __post_init__(self) -> None:
        if self.ports[-1] > _HIGHEST_PORT:
            raise WrongUseError(
                f"--{self.name}-port {self.port} with {self.count} processes needs ports up to "
                f"{self.ports[-1]}: the highest port is {_HIGHEST_PORT}"
            )

    @property
    def ports(self) -> Sequence[int]:
        """The ports to try."""
        return range(self.port, self.port + self.count) if self.port else [0]

    def url(self, port: int) -> str:
        """Return the URL of one of the ports."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{port}/"

    async def serve(self, start: Callable[[int], Awaitable[T]]) -> T:
        """Start a server on the first free port and return it.

        `start` starts it on the port that it is given. Raises `AddressError` if no port is free.
        """
        for port in self.ports:
            try:
                return await start(port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    reason = error.strerror or error
                    raise AddressError(f"{self._failure}{port}: {reason}") from error
        ports = "-".join(str(port) for port in dict.fromkeys([self.ports[0], self.ports[-1]]))
        raise AddressError(f"{self._failure}{ports}: taken by another process")

    @property
    def _failure(self) -> str:
        return f"cannot serve {self.name} on {self.host}:"
