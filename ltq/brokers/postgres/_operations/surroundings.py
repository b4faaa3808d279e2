"""What `ltq doctor` finds out about what is around tasks: locks, standbys, indexes, a pooler."""

import re
from collections.abc import Iterator

from ltq.broker import Finding, Severity
from ltq.brokers.postgres._schema import texts
from ltq.brokers.postgres._server.link import Link

_LONG_LOCK = 5.0
"""Seconds for which no step of LTQ's own holds anything: calls give up before."""

_LOCKS = """
SELECT pid, usename, mode, extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE granted AND pid <> pg_backend_pid()
AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND (
    locktype = 'advisory' AND classid = %s AND mode = 'ExclusiveLock'
    OR locktype = 'relation' AND mode IN (
        'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'
    ) AND relation IN (
        SELECT pg_class.oid FROM pg_class WHERE relkind IN ('r', 'p')
        AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s)
    )
)
ORDER BY xact_start LIMIT 1"""
"""Locks that keep LTQ from working: of whole tables, or of a namespace."""

_STANDBYS = """
SELECT pg_is_in_recovery(), current_setting('synchronous_standby_names') <> ''
    AND current_setting('synchronous_commit') NOT IN ('off', 'local'),
    (SELECT count(*) FROM pg_stat_replication),
    ARRAY(SELECT slot_name::text FROM pg_replication_slots WHERE NOT active AND NOT temporary)"""

_INDEXES = """
SELECT relname::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE indisvalid AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %s)"""

_MADE = re.compile(r"CREATE INDEX (\w+) [^;]*;")


async def examine(link: Link) -> list[Finding]:
    """The findings."""
    schema = link.settings.schema
    locks = await link.query(_LOCKS, schema.lock, schema.name)
    ((is_standby, waits, standbys, slots),) = await link.query(_STANDBYS)
    indexes = await link.query(_INDEXES, schema.name)
    found = {name for (name,) in indexes}
    made = {one[1]: one[0] for one in _MADE.finditer(texts.statement(texts.TABLES, schema))}
    return [
        *_locks(locks),
        *_replication(slots, is_standby=is_standby, lacks=waits and not standbys),
        *_indexes({name: made[name] for name in made if name not in found}),
        *_pooler(is_pooled=link.connections.is_pooled),
    ]


def _locks(rows: list[tuple[int, str, str, float | None]]) -> Iterator[Finding]:
    for pid, user, mode, age in rows:
        if age is not None and age >= _LONG_LOCK:
            yield Finding(
                "locks",
                Severity.WARNING,
                f"a session of {user} (pid {pid}) has kept LTQ from working for {age:.0f} s "
                f"({mode})",
                f"end its transaction: SELECT pg_terminate_backend({pid})",
            )
            return
    yield Finding("locks", Severity.OK, "no session holds tables or queues for itself")


def _replication(slots: list[str], *, is_standby: bool, lacks: bool) -> Iterator[Finding]:
    name = "replication"
    if is_standby:
        text = "the server is a standby, and takes no writes: LTQ cannot work"
        advice = "name the primary, or several hosts and target_session_attrs=read-write"
        yield Finding(name, Severity.DANGER, text, advice)
    elif lacks:
        text = "each commit waits for a standby (synchronous_standby_names), and none is connected"
        yield Finding(name, Severity.DANGER, text, "start the standby, or take it from the setting")
    elif slots:
        text = (
            f"nobody reads replication slot {', '.join(slots)}: the server keeps its log for it "
            "until the disk is full, and perhaps what has ended"
        )
        advice = f"connect its reader, or SELECT pg_drop_replication_slot('{slots[0]}')"
        yield Finding(name, Severity.WARNING, text, advice)
    else:
        yield Finding(name, Severity.OK, "nothing is held up by it")


def _indexes(missing: dict[str, str]) -> Iterator[Finding]:
    if missing:
        text = f"missing or not valid: {', '.join(missing)}. Calls read whole tables"
        advice = f"DROP INDEX what is not valid, then {' '.join(missing.values())}"
        yield Finding("indexes", Severity.WARNING, text, advice)
        return
    yield Finding("indexes", Severity.OK, "all are there")


def _pooler(*, is_pooled: bool) -> Iterator[Finding]:
    if is_pooled:
        text = "a pooler is between: statements are not prepared, and the role's settings apply"
        advice = "workers start tasks sooner with a URL that leads to the server itself"
        yield Finding("pooler", Severity.OK, text, advice)
