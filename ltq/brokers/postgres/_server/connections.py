"""The connections to one server, opened as they are needed. The first is checked."""

import asyncio
import time
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from ltq.brokers.postgres._schema import migrate
from ltq.brokers.postgres._schema.errors import SchemaError
from ltq.brokers.postgres._server import arrays, bridge
from ltq.brokers.postgres._server.errors import STALE, SilentError, is_harmless, is_refused_login
from ltq.brokers.postgres._server.logins import Logins
from ltq.brokers.postgres._server.statements import Statements
from ltq.brokers.postgres._server.url import UrlSettings
from ltq.errors import BrokerError

CALL_PATIENCE = 4.0
"""Seconds, repeats included, after which a call raises `BrokerError`."""

_OPTIONS = (
    f"-c statement_timeout={2 * CALL_PATIENCE * 1000:.0f} "
    f"-c lock_timeout={CALL_PATIENCE * 1000:.0f} "
    f"-c idle_in_transaction_session_timeout={CALL_PATIENCE / 2 * 1000:.0f} "
    "-c default_transaction_isolation=read\\ committed -c jit=off -c ltq.is_direct=1"
)
"""Whatever the role or the database has: so that no call holds a lock for long, also if its process
is stopped, none waits for one, and none fails because another was quicker. The last one is there to
see whether they have arrived."""

_NO_OPTIONS = "unsupported startup parameter"
"""What pgbouncer says to settings, unless it is told to ignore them."""

_IS_DIRECT = "SELECT current_setting('ltq.is_direct', true)"

_DEFAULTS = {
    "application_name": "ltq",
    "keepalives_idle": 5,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": round(CALL_PATIENCE / 2 * 1000),
}
"""What the URL may say otherwise. A connection that the network has forgotten is noticed in time
for another attempt."""

_LEAST_TIMEOUT = 2
"""Seconds: libpq waits for no shorter time."""

Connection = AsyncConnection[tuple[Any, ...]]


class Connections:
    """Those of one event loop."""

    def __init__(self, settings: UrlSettings) -> None:
        self.settings = settings
        self.is_pooled = False
        """Whether a pooler is between: another server's process may serve each transaction."""
        self._free: list[Connection] = []
        self._open: set[Connection] = set()
        self._is_checked = False
        self._checking = asyncio.Lock()
        self._logins = Logins(settings.conninfo)

    async def take(self, deadline: float) -> Connection:
        """One that nobody uses. Whoever takes it gives it back."""
        while self._free:
            connection = self._free.pop()
            if not connection.closed:
                return connection
            self._open.discard(connection)
        connection = await self.open(deadline)
        try:
            if not self._is_checked:
                await self._check(connection)
            if self.is_pooled:
                connection.prepare_threshold = None
        except BaseException:
            await self.drop(connection)
            raise
        return connection

    async def give_back(self, connection: Connection, error: BaseException | None = None) -> None:
        """Say that it is not used any more, and with which error that ended."""
        is_whole = error is None or (isinstance(error, psycopg.Error) and is_harmless(error))
        if is_whole and not connection.closed and not connection.broken:
            self._free.append(connection)
            return
        await self.drop(connection)
        if isinstance(error, psycopg.Error):
            self.is_pooled = self.is_pooled or error.sqlstate in STALE
            free, self._free = self._free, []
            for other in free:  # they may be dead as well, or have the same plans
                await self.drop(other)

    async def open(self, deadline: float) -> Connection:
        """A connection in autocommit. The caller drops it, or leaves that to `aclose`."""
        left = deadline - time.monotonic()
        try:
            async with asyncio.timeout(left):
                connection = await self._connect(left)
        except TimeoutError as error:
            raise SilentError(f"no connection within {left:.1f} s") from error
        arrays.register(connection)
        self._open.add(connection)
        return connection

    async def _connect(self, left: float) -> Connection:
        """Connect. A pooler may allow no settings, and statements are not prepared there."""
        given = conninfo_to_dict(self.settings.conninfo)
        settings: dict[str, Any] = {
            name: value for name, value in _DEFAULTS.items() if name not in given
        }
        if not self.is_pooled:
            settings["options"] = f"{_OPTIONS} {given.get('options') or ''}".strip()
        hosts = str(given.get("host") or given.get("hostaddr") or "").count(",") + 1
        try:
            return await AsyncConnection.connect(
                self.settings.conninfo,
                autocommit=True,
                prepare_threshold=None if self.is_pooled else 5,
                connect_timeout=max(_LEAST_TIMEOUT, round(left / hosts)),
                client_encoding="UTF8",  # of the database it may be one that gives no text
                **settings,
            )
        except psycopg.OperationalError as error:
            if self.is_pooled or _NO_OPTIONS not in str(error):
                state = await self._logins.state_of(error, time.monotonic() + left)
                error.sqlstate = state if is_refused_login(state) else None
                raise
        self.is_pooled = True
        return await self._connect(left)

    async def _check(self, connection: Connection) -> None:
        """Find out, once, whether the server and the schema can be used."""
        settings = self.settings
        async with self._checking:
            if self._is_checked:
                return
            self._check_server(connection)
            statements = Statements(connection)
            ((is_direct,),) = await bridge.run(lambda: statements.rows(_IS_DIRECT))
            self.is_pooled = self.is_pooled or not is_direct
            known = await bridge.run(lambda: migrate.version_of(statements, settings.schema))
            if settings.migrates and known < migrate.VERSION:
                await self.migrate(connection)
            else:
                migrate.check(known, settings.schema, settings.server)
            self._is_checked = True

    def _check_server(self, connection: Connection) -> None:
        version = connection.info.server_version
        if version < migrate.OLDEST_SERVER:
            raise SchemaError(
                f"{self.settings.server} is PostgreSQL {version // 10000}: LTQ needs 13 or newer"
            )

    async def migrate(self, connection: Connection) -> bool:
        """Make or upgrade the schema. Returns whether there was anything to do."""
        self._check_server(connection)
        statements, settings = Statements(connection), self.settings
        try:
            async with connection.transaction():
                done = await bridge.run(
                    lambda: migrate.migrate(statements, settings.schema, settings.server)
                )
        except psycopg.errors.LockNotAvailable as error:
            holders = await bridge.run(lambda: migrate.holders(statements, settings.schema))
            raise BrokerError(
                f"the schema {settings.schema.name!r} at {settings.server} cannot be migrated "
                f"while others hold its lock: {holders}"
            ) from error
        except (psycopg.errors.DuplicateTable, psycopg.errors.DuplicateObject) as error:
            raise migrate.foreign(settings.schema, str(error.diag.message_primary)) from error
        return done

    def trust(self) -> None:
        """The schema need not be checked: the next call makes it, or knows it."""
        self._is_checked = True

    def distrust(self) -> None:
        """Undo `trust`."""
        self._is_checked = False

    async def drop(self, connection: Connection) -> None:
        """Close a connection."""
        self._open.discard(connection)
        await connection.close()

    async def aclose(self) -> None:
        """Close all connections."""
        for connection in tuple(self._open):
            await self.drop(connection)
        self._free.clear()

    def abandon(self) -> None:
        """Close all connections without waiting, in the event loop or after that was closed."""
        while self._open:
            self._open.pop().pgconn.finish()
        self._free.clear()
