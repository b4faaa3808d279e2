"""A stage with a SQLite file, and foreign processes that use it as well."""

import asyncio
import shutil
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack

from devtools.chaos.sqlite_remains import left_in
from devtools.chaos.stage import Stage, Way
from devtools.chaos.timeline import Fault, Kind
from ltq.brokers.sqlite import SqliteBroker
from ltq.brokers.sqlite._wake.folder import folder_of

_FOREIGN = """
import sqlite3, sys, time

path, seconds, *statements = sys.argv[1:]
connection = sqlite3.connect(path, timeout=20, isolation_level=None)
for statement in statements:
    connection.execute(statement).fetchall()
time.sleep(float(seconds))
connection.close()
"""
"""A process that is not LTQ's: it runs statements, and holds for some seconds what they lock."""


class SqliteStage(Stage):
    """`direct` waits for the disk, workers with the URL of `remote` do not."""

    @property
    def urls(self) -> tuple[str, str]:
        url = f"sqlite:///{self._path}"
        return url, f"{url}?sync=normal"

    @property
    def ways(self) -> Mapping[Kind, Way]:
        return {
            "lock": self._lock,
            "read": self._read,
            "vacuum": self._vacuum,
            "deafen": self._deafen,
        }

    async def left(self) -> list[str]:
        return await asyncio.to_thread(left_in, self._path)

    async def _open(self, stack: AsyncExitStack) -> None:
        self._path = self.directory / "jobs.db"
        self.direct, self.remote = [
            await stack.enter_async_context(SqliteBroker(url)) for url in self.urls
        ]
        await self.direct.ping()

    async def _lock(self, fault: Fault) -> bool:
        return await self._foreign(fault.seconds, "BEGIN IMMEDIATE")

    async def _read(self, fault: Fault) -> bool:
        return await self._foreign(fault.seconds, "BEGIN", "SELECT count(*) FROM ltq_tasks")

    async def _vacuum(self, _: Fault) -> bool:
        return await self._foreign(0.0, "PRAGMA wal_checkpoint(TRUNCATE)", "VACUUM")

    async def _foreign(self, seconds: float, *statements: str) -> bool:
        command = ["-c", _FOREIGN, str(self._path), str(seconds), *statements]
        process = await asyncio.create_subprocess_exec(sys.executable, *command)
        return await process.wait() == 0

    async def _deafen(self, _: Fault) -> bool:
        """Remove the sockets through which processes wake one another."""
        await asyncio.to_thread(shutil.rmtree, folder_of(self._path), ignore_errors=True)
        return True
