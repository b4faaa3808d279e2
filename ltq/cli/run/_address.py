"""Where `ltq run` serves metrics and health: the first free port of a few."""

import errno
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ltq.cli._errors import CommandError, WrongUseError

T = TypeVar("T")

_HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Listen:
    """A host, and `count` ports in a row that begin with `port`. Port 0 is any free one.

    Each of the processes of `--processes` takes the first port that is free. So does a restarted
    one, which finds its predecessor's: no process needs to know its number.
    """

    name: str
    """What is served, `"metrics"` or `"health"`: `--NAME-port` is its option."""
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
        """Return the URL of the port that was taken."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{port}/"

    async def start(self, server: Callable[[int], Awaitable[T]]) -> T:
        """Start a server on the first free port. Raises `CommandError` if there is none."""
        for port in self.ports:
            try:
                return await server(port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    reason = error.strerror or error
                    raise CommandError(f"{self._failure}{port}: {reason}") from error
        ports = "-".join(str(port) for port in dict.fromkeys([self.ports[0], self.ports[-1]]))
        raise CommandError(f"{self._failure}{ports}: taken by another process")

    @property
    def _failure(self) -> str:
        return f"cannot serve {self.name} on {self.host}:"
