"""A stage with a PostgreSQL server, and a proxy before it."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from devtools.chaos.proxy_stage import ProxyStage
from devtools.chaos.stage import Way
from devtools.chaos.timeline import Fault, Kind
from devtools.ledger import Event
from devtools.postgres import PostgresServer
from devtools.postgres_wire import PostgresReader
from devtools.programs import find_postgres
from devtools.proxy import Proxy
from ltq.brokers.postgres import PostgresBroker
from ltq.testing.conformance._support.eventually import eventually

_CLAIMS = """
CREATE TABLE public.claims (token bigint, id text, time float8, PRIMARY KEY (id, token));
CREATE FUNCTION note_claim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO public.claims VALUES (NEW.token, NEW.id, extract(epoch FROM clock_timestamp()))
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER note_claim AFTER INSERT OR UPDATE ON ltq.tasks
FOR EACH ROW WHEN (NEW.status = 2) EXECUTE FUNCTION note_claim()"""
"""Notes when each lease began."""

_OTHERS = """
SELECT {}(pid) FROM pg_stat_activity
WHERE application_name = 'ltq' AND pid <> pg_backend_pid() {}"""

_LEFT = {
    "is not final": "SELECT queue, status, count(*) FROM ltq.tasks GROUP BY 1, 2",
    "is final twice": """
        SELECT id FROM ltq.final WHERE moment > extract(epoch FROM clock_timestamp())
        GROUP BY id, namespace HAVING count(*) > 1""",
    "is a transaction that LTQ has left open": """
        SELECT pid, query FROM pg_stat_activity
        WHERE application_name = 'ltq' AND xact_start < clock_timestamp() - interval '10 s'""",
}
"""What a row of each query means."""


class PostgresStage(ProxyStage):
    """`direct` goes straight to the server, `remote` through the proxy."""

    def __init__(
        self, *, lease: float = 15.0, directory: Path | None = None, seed: int = 0
    ) -> None:
        super().__init__(lease=lease, directory=directory, seed=seed)
        folder = find_postgres()
        if folder is None:
            raise SystemExit("no PostgreSQL: it needs a server of its own")
        self.server = PostgresServer(
            folder, synchronous_commit="on", log_lock_waits="on", log_line_prefix="%m %p %a "
        )

    @property
    def urls(self) -> tuple[str, str]:
        remote = self.server.url.replace(f":{self.server.port}/", f":{self.proxy.port}/")
        return self.server.url, f"{remote}?sslmode=disable&gssencmode=disable"

    @property
    def ways(self) -> Mapping[Kind, Way]:
        return {
            **self.proxy_ways,
            "postgres": self._restart,
            "freeze": self._freeze,
            "cut": self._cut,
            "unlisten": self._unlisten,
            "cancel": self._cancel,
            "hold": self._hold,
            "migrate": self._migrate,
        }

    async def left(self) -> list[str]:
        return [
            f"{row} {meaning}"
            for meaning, query in _LEFT.items()
            for row in await asyncio.to_thread(self.server.execute, query)
        ]

    async def events(self) -> list[Event]:
        claims: dict[tuple[str, int], float] = {
            (task_id, token): time
            for task_id, token, time in self.server.execute(
                "SELECT id, token, time FROM public.claims"
            )
        }
        return [
            replace(event, claimed=claims.get((event.id, event.token), 0.0))
            for event in await super().events()
        ]

    async def _open(self, stack: AsyncExitStack) -> None:
        stack.enter_context(self.server)
        stack.callback(self._keep_log)
        proxy = Proxy(self.server.port, chance=Random(self.seed), reader=PostgresReader)
        self.proxy = await stack.enter_async_context(proxy)
        self.direct, self.remote = [
            await stack.enter_async_context(PostgresBroker(url)) for url in self.urls
        ]
        await self.direct.migrate()
        self.server.execute(_CLAIMS)

    def _keep_log(self) -> None:
        (self.directory / "postgres.log").write_text("".join(self.server.output), "utf-8")

    async def _restart(self, fault: Fault) -> bool:
        self.server.kill()
        await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(self.server.start)
        await eventually(self.server.accepts, 30.0, "the server's recovery")
        return True

    async def _freeze(self, fault: Fault) -> bool:
        self.server.freeze()
        await asyncio.sleep(fault.seconds)
        self.server.thaw()
        return True

    async def _cut(self, _: Fault) -> bool:
        return await self._told(_OTHERS.format("pg_terminate_backend", ""))

    async def _unlisten(self, _: Fault) -> bool:
        return await self._told(_OTHERS.format("pg_terminate_backend", "AND query ~ '^LISTEN'"))

    async def _cancel(self, _: Fault) -> bool:
        return await self._told(_OTHERS.format("pg_cancel_backend", "AND state = 'active'"))

    async def _migrate(self, _: Fault) -> bool:
        script = PostgresBroker(self.server.url).migration
        return await self._told("BEGIN;" + script[script.index("CREATE OR REPLACE FUNCTION") :])

    async def _hold(self, fault: Fault) -> bool:
        """A session that is idle in transaction."""
        hold = "SELECT FROM ltq.tasks WHERE random() < 0.3 FOR UPDATE SKIP LOCKED"
        try:
            other: psycopg.AsyncConnection[Any] = await psycopg.AsyncConnection.connect(
                self.server.url, connect_timeout=2, options="-c statement_timeout=2000"
            )
            async with other:
                await other.execute(hold)
                await asyncio.sleep(fault.seconds)
        except psycopg.Error:
            return False
        return True

    async def _told(self, statement: str) -> bool:
        """Whether the server carried out a statement: it may be away just now."""
        with suppress(psycopg.Error):
            await asyncio.to_thread(self.server.execute, statement)
            return True
        return False
