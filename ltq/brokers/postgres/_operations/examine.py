"""What `ltq doctor` finds out about a server."""

from collections.abc import Iterator, Mapping

from ltq.broker import Finding, Severity
from ltq.brokers.postgres._operations import surroundings
from ltq.brokers.postgres._server.link import Link

_SETTINGS = """
SELECT name, setting FROM pg_settings
WHERE name IN ('server_version', 'fsync', 'full_page_writes', 'synchronous_commit', 'autovacuum')"""

_SNAPSHOT = """
SELECT usename::text, 'pid ' || pid,
    extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age
FROM pg_stat_activity
WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'
UNION ALL
SELECT owner::text, 'prepared ' || quote_literal(gid),
    extract(epoch FROM clock_timestamp() - prepared)::float8
FROM pg_prepared_xacts
ORDER BY age DESC LIMIT 1"""

_SEES = "SELECT quote_ident(current_user), pg_has_role('pg_read_all_stats', 'USAGE')"
"""Whether transactions of other users are in `pg_stat_activity`."""

_ROWS = """
SELECT n_live_tup, n_dead_tup FROM pg_stat_user_tables
WHERE relid = 'ltq.tasks'::regclass"""

_OPEN_LONG = 300.0
"""Seconds after which an open transaction holds up the clean-up of ended tasks noticeably."""

_MANY_DEAD = 200_000
"""Dead rows of the live table that are too many, if they are more than it has live ones."""


async def settings(link: Link) -> dict[str, str]:
    """The settings that matter here, by name."""
    return dict(await link.query(_SETTINGS))


def hazards(values: Mapping[str, str]) -> list[str]:
    """Settings that may lose tasks, as texts."""
    return [
        f"{name} is off: after a crash of its machine PostgreSQL may have lost tasks, or all"
        for name in ("fsync", "full_page_writes")
        if values.get(name) == "off"
    ]


async def examine(link: Link) -> list[Finding]:
    """The findings about the server, without its queues."""
    values = await settings(link)
    snapshot = await link.query(_SNAPSHOT)
    ((user, sees_others),) = await link.query(_SEES)
    rows = await link.query(_ROWS)
    return [
        *_durability(link, values),
        *_transactions(snapshot, user, sees_others=sees_others),
        *_table(values, rows),
        *await surroundings.examine(link),
    ]


def _durability(link: Link, values: Mapping[str, str]) -> Iterator[Finding]:
    server = f"{link.settings.server} is PostgreSQL {values.get('server_version', '')}"
    dangers = hazards(values)
    for text in dangers:
        yield Finding("store", Severity.DANGER, text, "set it to on")
    if not dangers and values.get("synchronous_commit") == "off":
        advice = "without synchronous_commit = off it would lose nothing"
        text = f"{server}; a crash may lose its last moments"
        yield Finding("store", Severity.WARNING, text, advice)
    elif not dangers:
        yield Finding("store", Severity.OK, f"{server}, and each commit on its disk")


def _transactions(
    snapshot: list[tuple[str, str, float]], user: str, *, sees_others: bool
) -> Iterator[Finding]:
    for owner, named, age in snapshot:
        if age > _OPEN_LONG:
            yield Finding(
                "transactions",
                Severity.WARNING,
                f"a transaction of {owner} ({named}) has been open for {age:.0f} s: what has ended "
                "since cannot be cleaned up, and claims get slower",
                "COMMIT PREPARED or ROLLBACK PREPARED it"
                if named.startswith("prepared")
                else "end it, or set idle_in_transaction_session_timeout",
            )
            return
    if sees_others:
        yield Finding("transactions", Severity.OK, "no transaction has been open for long")
        return
    yield Finding(
        "transactions",
        Severity.OK,
        f"no transaction of {user} has been open for long; those of other users cannot be seen",
        f"to see them: GRANT pg_read_all_stats TO {user}",
    )


def _table(values: Mapping[str, str], rows: list[tuple[int, int]]) -> Iterator[Finding]:
    if values.get("autovacuum") == "off":
        text = "autovacuum is off: tables grow, and claims get slower"
        yield Finding("vacuum", Severity.WARNING, text, "set it to on")
        return
    for live, dead in rows:
        if dead > max(_MANY_DEAD, live):
            text = f"the table of tasks has {dead} dead rows beside {live} live ones"
            advice = "look for transactions that are open for long; see autovacuum's settings"
            yield Finding("vacuum", Severity.WARNING, text, advice)
            return
    yield Finding("vacuum", Severity.OK, "ended tasks are cleaned up behind")
