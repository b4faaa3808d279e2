"""The PostgreSQL broker on a real server: what its tables should hold."""

from collections.abc import Iterable
from math import inf
from typing import Any

import msgspec
import psycopg

from ltq.brokers._rules.record import DeadRecord
from ltq.brokers.postgres import PostgresBroker
from ltq.brokers.postgres._places.rows import STATUS_OF
from ltq.message import DeadLetter
from ltq.options import Priority
from ltq.state import Status
from tests.model.reference import Claiming, Model
from tests.model.stores import Place, Store
from tests.model.tasks import Letter, Task

FINITE = 1e12
"""After all moments of the server's clock."""

_NOW = "extract(epoch FROM clock_timestamp())"

_DUMPED = {
    "tasks": "ORDER BY id",
    "final": f"AND moment > {_NOW} ORDER BY id",
    "dead": "ORDER BY number",
    "fingerprints": f"AND expires > {_NOW} ORDER BY fingerprint",
    "ended": "ORDER BY number",
    "kept": f"AND kind <> 'served' AND expires > {_NOW} ORDER BY kind, key",
    "schedule_changes": "ORDER BY number",
    "queues": "ORDER BY name",
}
"""By table: in which order, and without what consumers say again and again."""

_PLACES = """
SELECT id, status FROM ltq.tasks WHERE namespace = %s
UNION ALL SELECT id, status FROM ltq.final
WHERE namespace = %s AND moment > extract(epoch FROM clock_timestamp())"""


class PostgresStore(Store):
    """A PostgreSQL broker, and a connection that looks at its tables."""

    def __init__(self, url: str, admin: psycopg.Connection[Any]) -> None:
        super().__init__()
        self.broker: PostgresBroker = PostgresBroker(url)
        self._admin = admin
        self._schema = url.rpartition("=")[2]

    async def aclose(self) -> None:
        await super().aclose()
        for table in _DUMPED:  # other examples have the same ids
            self._rows(f"DELETE FROM ltq.{table} WHERE namespace = %s", self.namespace)

    def tick(self) -> None:
        """The server's time goes on by itself."""

    @property
    def now(self) -> float:
        return inf  # what is not due by `overtake` has no end here

    def model(self) -> Model:
        return _PostgresModel()

    def claimed(self, model: Model, claim: Claiming) -> None:
        model.sweep(self.now, patient=True)
        model.claim(claim, self.now, inf)

    def _rows(self, query: str, *values: Any) -> list[Any]:
        text = query.replace("ltq.", f'"{self._schema}".')
        cursor = self._admin.execute(text.encode(), values)
        return cursor.fetchall() if cursor.description else []

    def due(self, when: float) -> float:
        ((now,),) = self._rows("SELECT extract(epoch FROM clock_timestamp())::float8")
        return when if when <= now else inf

    def overtake(self, task: Task, past: int) -> None:
        table = "final" if task.status.is_final else "tasks"
        where = "WHERE id = %s AND namespace = %s"
        values = (float(past), task.id, self.namespace)
        self._rows(f"UPDATE ltq.{table} SET moment = %s {where}", *values)
        if task.status.is_final:
            task.expires = 0.0
        else:
            task.when = float(past)

    def age(self, queue: str, seconds: float) -> None:
        query = "SELECT number, record FROM ltq.dead WHERE queue = %s"
        for number, blob in self._rows(query, queue):
            dead = msgspec.msgpack.decode(blob, type=DeadRecord)
            older = DeadRecord(dead.record, dead.status, dead.time - seconds)
            values = (older.time, msgspec.msgpack.encode(older), number)
            self._rows("UPDATE ltq.dead SET time = %s, record = %s WHERE number = %s", *values)

    def dump(self) -> object:
        return [
            self._rows(f"SELECT * FROM ltq.{table} WHERE namespace = %s {rest}", self.namespace)
            for table, rest in _DUMPED.items()
        ]

    def places(self) -> Iterable[Place]:
        rows = self._rows(_PLACES, self.namespace, self.namespace)
        return [(task_id, STATUS_OF[code]) for task_id, code in rows]

    def check(self, model: Model) -> None:
        lines: dict[tuple[str, Priority], list[str]] = {}
        waiting = "SELECT lane, priority, id FROM ltq.tasks WHERE namespace = %s AND status = 0"
        for lane, level, task_id in self._rows(f"{waiting} ORDER BY position", self.namespace):
            lines.setdefault((lane, Priority(level)), []).append(task_id)
        assert lines == {key: line for key, line in model.lines.items() if line}
        columns = "id, token, returned, front, tries, deaths, length(body) > 0"
        alive = f"SELECT {columns} FROM ltq.tasks WHERE namespace = %s"
        ended = f"SELECT {columns} FROM ltq.final WHERE namespace = %s AND moment > 1e6"
        for task_id, *found in self._rows(
            f"{alive} UNION ALL {ended}", self.namespace, self.namespace
        ):
            task = model.tasks[task_id]
            has_body = not task.status.is_final or task.keeps_arguments
            counts = [task.token, task.returned, task.front, task.tries, task.deaths, has_body]
            assert found == counts, task_id

    def check_order(self, seen: list[DeadLetter], expected: list[Letter]) -> None:
        moments = [letter.time for letter in seen]
        assert moments == sorted(moments, reverse=True)
        steps = {letter.id: letter.step for letter in expected if not letter.is_moved}
        order = [steps[letter.id] for letter in seen if letter.id in steps]
        assert order == sorted(order, reverse=True)


class _PostgresModel(Model):
    """There only `overtake` makes anything due: all other times are infinite."""

    def __init__(self) -> None:
        super().__init__(tie=lambda task: task.number)

    def _overdue(self, status: Status, now: float) -> list[Task]:
        return super()._overdue(status, min(now, FINITE))

    def purge(self, now: float) -> None:
        super().purge(FINITE)
