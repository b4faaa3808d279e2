"""The checks of a Redis server and of its keys.

Each check judges what `survey` and `inventory` found, and says what to do. It sends nothing.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from ltq.broker import Finding, Severity
from ltq.brokers.redis._connect.cluster import SLOTS
from ltq.brokers.redis._doctor.inventory import Inventory, OddKeys
from ltq.brokers.redis._doctor.survey import Server
from ltq.brokers.redis._server.notifications import NEEDED, missing_flags

OLDEST_REDIS, OLDEST_VALKEY = (6, 2), (7, 2)

_FULL = 0.9
"""The share of a limit above which there is a warning."""

_WRITES = (
    ("aof_last_write_status", "write of the append-only file"),
    ("rdb_last_bgsave_status", "snapshot"),
    ("aof_last_bgrewrite_status", "rewrite of the append-only file"),
)

_SLOW, _VERY_SLOW = 0.005, 0.05
"""Seconds of a round trip above which there is advice, and a warning."""

_REFUSALS = {
    "OOM|maxmemory": "raise `maxmemory`, shorten `result_ttl`, purge dead letters, or run more "
    "workers: tasks that are there go on, and free memory as they end",
    "MISCONF|disk": "read the server's log: it cannot write to its disk",
    "READONLY|read.only": "connect to the primary",
    "LOADING|loading": "wait until it has read its data",
    "NOREPLICAS": "let its replicas run, or lower `min-replicas-to-write`",
    "BUSY|busy": "a script of somebody holds it: `SCRIPT KILL`, or `FUNCTION KILL`",
}
"""What to do, by words in what the server says when it takes no writes."""

_CLOCK_OFF = 1.0
"""Seconds between two clocks above which there is a warning."""


def check_version(server: Server) -> Finding:
    """Redis 6.2 or newer, Valkey 7.2 or newer."""
    is_valkey = "valkey_version" in server.info
    name = "Valkey" if is_valkey else "Redis"
    text = server.info.get("valkey_version" if is_valkey else "redis_version", "")
    if not text:
        return Finding("version", Severity.OK, "unknown: the server does not say")
    oldest = OLDEST_VALKEY if is_valkey else OLDEST_REDIS
    version = tuple(int(part) for part in re.findall(r"\d+", text)[:2])
    if version < oldest:
        wanted = ".".join(map(str, oldest))
        return Finding(
            "version",
            Severity.DANGER,
            f"{name} {text} is too old: LTQ needs {wanted}",
            f"upgrade to {name} {wanted} or newer",
        )
    return Finding("version", Severity.OK, f"{name} {text}")


def check_persistence(server: Server) -> Finding:
    """An append-only file, written every second, without errors."""
    info, config = server.info, server.config or {}
    if "aof_enabled" not in info:
        return Finding("persistence", Severity.OK, "unknown: the server does not say")
    if info["aof_enabled"] != "1":
        since = " since the last snapshot" if config.get("save") else ""
        return Finding(
            "persistence",
            Severity.DANGER,
            f"the append-only file is off: a crash loses all tasks{since}",
            "set `appendonly yes` and `appendfsync everysec`, also in the configuration file",
        )
    failed = [what for name, what in _WRITES if info.get(name, "ok") != "ok"]
    if failed:
        is_worst = failed[0] == _WRITES[0][1]
        return Finding(
            "persistence",
            Severity.DANGER if is_worst else Severity.WARNING,
            f"the last {failed[0]} failed",
            "read the server's log: the disk may be full, or the memory too small to fork",
        )
    fsync = config.get("appendfsync")
    if fsync == "no":
        return Finding(
            "persistence",
            Severity.WARNING,
            "appendfsync is no: a power cut may lose the last half minute",
            "set `appendfsync everysec`",
        )
    return Finding("persistence", Severity.OK, f"append-only file, fsync {fsync or 'unknown'}")


def check_eviction(server: Server) -> Finding:
    """`maxmemory-policy noeviction`."""
    policy = server.info.get("maxmemory_policy") or (server.config or {}).get("maxmemory-policy")
    if policy is None:
        return Finding("eviction", Severity.OK, "unknown: the server does not say")
    if policy == "noeviction":
        return Finding("eviction", Severity.OK, "maxmemory-policy noeviction")
    if server.info.get("maxmemory") == "0":
        return Finding(
            "eviction",
            Severity.OK,
            f"maxmemory-policy is {policy}, without effect: no maxmemory is set",
            "set `maxmemory-policy noeviction` before a limit is set",
        )
    return Finding(
        "eviction",
        Severity.DANGER,
        f"maxmemory-policy is {policy}: a full server deletes tasks",
        "set `maxmemory-policy noeviction`",
    )


def check_memory(server: Server) -> Finding:
    """The memory in use, compared with the limit or with the machine's memory."""
    used, limit = _int(server.info.get("used_memory")), _int(server.info.get("maxmemory"))
    if not used:
        return Finding("memory", Severity.OK, "unknown: the server does not say")
    whole = limit or _int(server.info.get("total_system_memory"))
    what = "maxmemory" if limit else "the machine's memory"
    share = f" of {_size(whole)} ({what})" if whole else ""
    text = f"{_size(used)} used{share}"
    if whole and used > _FULL * whole:
        return Finding(
            "memory",
            Severity.WARNING,
            f"{text}: sends will soon fail",
            "raise the limit, shorten `result_ttl`, purge dead letters, or run more workers",
        )
    return Finding("memory", Severity.OK, text)


def check_notifications(server: Server) -> Finding:
    """`notify-keyspace-events` with `Kghx`, or the right to set it."""
    flags = (server.config or {}).get("notify-keyspace-events")
    if server.notified:
        shown = "" if flags is None else f" (notify-keyspace-events {flags})"
        return Finding("notifications", Severity.OK, f"keyspace notifications arrive{shown}")
    slow = "LTQ polls, and results arrive up to a second late"
    advice = f"set `notify-keyspace-events {NEEDED}` in the server's configuration"
    if flags is None:
        return Finding(
            "notifications",
            Severity.WARNING,
            f"no notification arrived, and CONFIG is refused: {slow}",
            advice,
        )
    missing = missing_flags(flags)
    if not missing and server.notified is None:
        text = f"notify-keyspace-events is {flags}; this could not be tried"
        return Finding("notifications", Severity.OK, text)
    if missing:
        return Finding(
            "notifications",
            Severity.OK,
            f"notify-keyspace-events lacks {missing}",
            f"{advice}; LTQ adds the flags if it may use CONFIG SET",
        )
    return Finding(
        "notifications",
        Severity.WARNING,
        f"notify-keyspace-events is {flags}, yet none arrived: {slow}",
        "check for a proxy in between, or a user without channels",
    )


def check_latency(server: Server) -> Finding:
    """Round trip times."""
    median, worst = server.median_ping, server.worst_ping
    text = f"round trip {1000 * median:.2f} ms (median), {1000 * worst:.2f} ms (worst)"
    severity = Severity.WARNING if median > _VERY_SLOW else Severity.OK
    advice = "run the workers closer to the server" if median > _SLOW else ""
    return Finding("latency", severity, text, advice)


def check_clock(server: Server) -> Finding:
    """The clocks: LTQ uses the server's, but an `eta` is by the sender's."""
    side = "ahead of" if server.clock > 0 else "behind"
    text = f"the server's clock is {abs(server.clock):.3f} s {side} this machine's"
    if abs(server.clock) > _CLOCK_OFF:
        return Finding(
            "clock",
            Severity.WARNING,
            f"{text}: an `eta` is early or late by that",
            "synchronize both clocks with NTP",
        )
    return Finding("clock", Severity.OK, text)


def check_connections(server: Server) -> Finding:
    """The connections in use, compared with `maxclients`."""
    used = _int(server.info.get("connected_clients"))
    most = _int(server.info.get("maxclients") or (server.config or {}).get("maxclients"))
    if not used or not most:
        return Finding("connections", Severity.OK, "unknown: the server does not say")
    text = f"{used} of {most} connections in use"
    if used > _FULL * most:
        return Finding(
            "connections",
            Severity.WARNING,
            f"{text}: connecting will soon fail",
            "raise `maxclients`, or find clients that leave connections open",
        )
    return Finding("connections", Severity.OK, text)


def check_writes(server: Server) -> Finding:
    """Whether the server takes writes now, and if not, why."""
    if not server.refusal:
        known = server.rights is not None
        text = "the server takes them" if known else "unknown: this could not be tried"
        return Finding("writes", Severity.OK, text)
    advice = next(
        (todo for word, todo in _REFUSALS.items() if re.search(word, server.refusal)),
        "read the server's log",
    )
    return Finding(
        "writes", Severity.DANGER, f"the server takes none now: {server.refusal}", advice
    )


def check_rights(server: Server) -> Finding:
    """What the user may do."""
    rights = server.rights
    if rights is None:
        return Finding(
            "rights",
            Severity.DANGER,
            "unknown: the server takes no commands now, so they could not be tried",
            "see `writes` above",
        )
    if rights.no_keys:
        return Finding(
            "rights",
            Severity.DANGER,
            f"the user may not use keys that begin with {rights.root}:",
            f"grant them: `ACL SETUSER NAME ~{rights.root}:*`",
        )
    missing = [command.lower() for command in rights.denied]
    channels = [f"&{pattern}" for pattern in rights.channels]
    if missing or rights.scripts:
        names = ", ".join(missing) or "scripts: " + ", ".join(rights.scripts)
        grants = [f"+{command}" for command in missing] or ["+eval", "+evalsha"]
        return Finding(
            "rights",
            Severity.DANGER,
            f"the user may not use {names}",
            f"grant them: `ACL SETUSER NAME {' '.join(grants + channels)}`",
        )
    if channels:
        return Finding(
            "rights",
            Severity.WARNING,
            f"the user may not use the channels {', '.join(rights.channels)}: LTQ polls, and a "
            "running task is cancelled up to a third of its lease later",
            f"grant them: `ACL SETUSER NAME {' '.join(channels)} +subscribe +unsubscribe`, "
            "or all channels: `&*`",
        )
    return Finding("rights", Severity.OK, "all commands, scripts and channels are allowed")


def check_replication(server: Server) -> Finding:
    """Role, replicas, cluster."""
    info = server.info
    if "sentinel" in (info.get("redis_mode"), info.get("server_mode")):  # the latter in Valkey
        return Finding(
            "replication",
            Severity.DANGER,
            "this is a sentinel, which keeps no tasks",
            "begin the broker URL with redis+sentinel://, and name the master in it",
        )
    if info.get("role") == "slave":
        return Finding(
            "replication",
            Severity.DANGER,
            "this is a replica: it refuses writes",
            "connect to the primary",
        )
    if info.get("cluster_enabled") == "1" and not server.is_node:
        return Finding(
            "replication",
            Severity.DANGER,
            "this is a node of a Redis Cluster: LTQ talks to no other one",
            "begin the broker URL with redis+cluster://, or rediss+cluster:// for TLS",
        )
    replicas = _int(info.get("connected_slaves"))
    if info and replicas < server.awaited:
        return Finding(
            "replication",
            Severity.DANGER,
            f"replicas: {replicas}, and each send waits for {server.awaited}: none will succeed",
            "start more replicas, or lower `replicas=` in the broker URL",
        )
    if not replicas:
        return Finding("replication", Severity.OK, "a primary without replicas")
    if _int((server.config or {}).get("min-replicas-to-write")):
        return Finding("replication", Severity.OK, f"replicas: {replicas}; writes need one of them")
    return Finding(
        "replication",
        Severity.OK,
        f"replicas: {replicas}; a failover may lose the last writes",
        "set `min-replicas-to-write 1`: it bounds the loss",
    )


def check_coverage(masters: int, uncovered: int) -> Finding:
    """Whether each slot of a cluster has a node."""
    if uncovered:
        return Finding(
            "cluster",
            Severity.DANGER,
            f"{uncovered} of {SLOTS} slots have no node: what is there cannot be reached",
            "see `redis-cli --cluster check`",
        )
    return Finding("cluster", Severity.OK, f"{masters} masters, which have all slots")


SERVER_CHECKS: Sequence[Callable[[Server], Finding]] = (
    check_version,
    check_persistence,
    check_eviction,
    check_memory,
    check_notifications,
    check_latency,
    check_clock,
    check_connections,
    check_writes,
    check_rights,
    check_replication,
)


def check_inventory(found: Inventory) -> Iterator[Finding]:
    """LTQ's keys: their names, types and TTLs, and tasks that are in no list."""
    scope = "" if found.is_complete else " (of the keys that were read: --scan N reads more)"
    odds = (
        (found.strays, "not LTQ's", "delete or rename them"),
        (
            found.mistyped,
            "of a wrong type",
            "delete them, or leave it to LTQ, which deletes those that it uses",
        ),
        (found.endless, "without the TTL they should have", "delete them"),
    )
    told = [
        Finding(
            "keys", Severity.WARNING, f"keys {text}: {odd.count}, {_examples(odd)}{scope}", advice
        )
        for odd, text, advice in odds
        if odd.count
    ]
    text = f"keys under {found.root}: {found.seen}, all as they should be{scope}"
    yield from told or [Finding("keys", Severity.OK, text)]
    for namespace, count in sorted(found.displaced.items()):
        yield Finding(
            "places",
            Severity.WARNING,
            f"tasks of {namespace} that are in no list: {count}; nothing will run them",
            f"run `ltq repair {namespace}`",
        )


def _examples(odd: OddKeys) -> str:
    return ", ".join(odd.examples) + (", ..." if odd.count > len(odd.examples) else "")


def _int(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0


def _size(count: int) -> str:
    size, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
