"""Taking tasks over a connection of the user's: `Enlisted`."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import PipelineStatus, TransactionStatus

from ltq.broker import check_envelopes, check_name, check_names, check_tasks
from ltq.brokers.postgres._enlist.drivers import Driver, Joined, Plain, atomic
from ltq.brokers.postgres._enlist.lend import Lender
from ltq.brokers.postgres._operations.reading import STATES, read_states
from ltq.brokers.postgres._operations.sender import arguments, pieces
from ltq.brokers.postgres._places.store import PostgresStore
from ltq.brokers.postgres._schema import migrate, texts
from ltq.brokers.postgres._server.connections import CALL_PATIENCE
from ltq.brokers.postgres._server.errors import error_of
from ltq.brokers.postgres._server.packing import packed
from ltq.brokers.postgres._server.url import UrlSettings
from ltq.errors import BrokerError, ConfigurationError
from ltq.message import Envelope, Published
from ltq.names import namespace_of, positions_by_namespace
from ltq.state import QueueStats, TaskState

T = TypeVar("T")

_ATTEMPTS = 3
"""How often a call is made if others were quicker."""

_QUICKER = "40001"
"""SQL state of a call that another one was quicker than, and of a transaction that has to be
repeated."""


class PostgresEnlisted:
    """The tasks of a schema, over a connection of the user's to its database.

    Who waits for tasks is told by PostgreSQL itself once the user's transaction commits.
    """

    def __init__(self, lender: Lender, settings: UrlSettings) -> None:
        self._lender = lender
        self._settings = settings

    @property
    def is_async(self) -> bool:
        """See `Enlisted.is_async`."""
        return self._lender.is_async

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """See `Publisher.publish`."""
        check_envelopes(envelopes)
        return await self._run(lambda driver: self._publish(driver, envelopes))

    async def first(self, queue: str, fingerprint: str) -> str | None:
        """See `Publisher.first`."""
        check_name("queue", queue)
        return await self._run(lambda driver: self._store(driver).first(queue, fingerprint))

    async def states(self, queue: str, ids: Sequence[str]) -> list[TaskState[bytes] | None]:
        """See `Watcher.states`."""
        ids, namespace = check_tasks(queue, ids), namespace_of(queue)
        statement = self._settings.schema.sql(STATES)

        def read(driver: Driver) -> list[TaskState[bytes] | None]:
            return read_states(driver.rows(statement, ids, namespace, ids, namespace), ids)

        return await self._run(read)

    async def stats(self, queues: Sequence[str]) -> list[QueueStats]:
        """See `Inspector.stats`."""
        queues = check_names("queue", queues)
        return await self._run(lambda driver: self._store(driver).stats(queues))

    def _store(self, driver: Driver) -> PostgresStore:
        settings = self._settings
        return PostgresStore(Joined(driver), settings.schema, keeps_history=settings.keeps_history)

    def _publish(self, driver: Driver, envelopes: Sequence[Envelope]) -> list[Published]:
        statement = texts.call("send", self._settings.schema)
        answers: dict[int, Published] = {}
        for namespace, indexes in positions_by_namespace(envelopes, lambda one: one.queue).items():
            sent: list[str] = []
            for some in pieces([envelopes[index] for index in indexes]):
                values = packed("send", arguments(namespace, some, is_joined=True))
                ((given,),) = driver.rows(statement, *values)
                sent += given
            answers.update(zip(indexes, map(Published, sent), strict=True))
        return [answers[index] for index in range(len(envelopes))]

    async def _run(self, work: Callable[[Driver], T]) -> T:
        return await self._lender.use(lambda driver: self._attempts(driver, work))

    def _attempts(self, driver: Driver, work: Callable[[Driver], T]) -> T:
        self._check(driver)
        attempts = 0
        while True:
            attempts += 1
            try:
                with atomic(driver):
                    return work(driver)
            except psycopg.Error as error:
                if error.sqlstate != _QUICKER or attempts == _ATTEMPTS:
                    raise self._error_of(error) from error

    def _check(self, driver: Driver) -> None:
        """Raise `ConfigurationError` for a connection to another database than the broker's."""
        info, settings = driver.connection.info, self._settings
        if driver.connection.closed:
            raise ConfigurationError("connection= is closed")
        if info.pipeline_status != PipelineStatus.OFF:
            raise ConfigurationError("connection= is in a pipeline: send before it, or after it")
        wanted: dict[str, Any] = conninfo_to_dict(settings.conninfo)
        name = wanted.get("dbname")
        if name is not None and info.dbname != name:
            raise ConfigurationError(
                f"connection= is to the database {info.dbname!r}, but the broker's is "
                f"{name!r}: a transaction holds for one database only, so name the same in the "
                "broker URL"
            )
        if info.transaction_status == TransactionStatus.INERROR:
            raise BrokerError(
                f"{settings.server}: your transaction has failed and cannot take tasks: "
                "roll it back"
            )
        try:
            with atomic(driver):
                version = migrate.version_of(driver, settings.schema)
            if settings.migrates and version < migrate.VERSION:
                version = self._migrate()
        except psycopg.Error as error:
            raise self._error_of(error) from error
        migrate.check(version, settings.schema, settings.server)

    def _migrate(self) -> int:
        """Make or upgrade the schema, at once: it must not be part of the user's transaction.
        Returns its version."""
        with Connection.connect(self._settings.conninfo, autocommit=True) as own:
            driver = Plain(own)
            with atomic(driver):
                driver.rows(f"SET LOCAL lock_timeout = '{CALL_PATIENCE} s'")
                migrate.migrate(driver, self._settings.schema, self._settings.server)
        return migrate.VERSION

    def _error_of(self, error: psycopg.Error) -> BrokerError:
        if error.sqlstate in (_QUICKER, "40P01"):
            return BrokerError(
                f"{self._settings.server}: others were quicker than your transaction "
                f"({error.diag.message_primary}): repeat it"
            )
        return error_of(error, self._settings.server, "connection=")
