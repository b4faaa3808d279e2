"""Every Redis key LTQ uses. `lua/README.md` is their table: type, content, life, readers, writers.

All keys of a namespace share its hash tag, and so one cluster slot. Scripts get the prefix as
their one declared key, and build the others from it.
"""

from collections.abc import Iterable

NAMESPACES = "ltq:namespaces"
"""Set of all namespaces, without a hash tag, so that tools find them without KEYS."""


SCHEDULE_MARKS = "ltq:schedules"
"""Hash: for each namespace with schedules that were put or paused, how often any was changed."""


def prefix(namespace: str) -> str:
    """What all keys of a namespace begin with."""
    return f"ltq:{{{namespace}}}:"


def namespace_in(prefix: str) -> str:
    """The namespace whose keys begin with a prefix."""
    return prefix.partition("{")[2].rpartition("}")[0]


def task(namespace: str, task_id: str) -> str:
    """Hash: a task's state, and its body until it is final."""
    return f"{prefix(namespace)}task:{task_id}"


def ready(namespace: str, lane: str, priority: int) -> str:
    """List: ids of the tasks that wait in a lane at one priority."""
    return f"{prefix(namespace)}ready:{priority}:{lane}"


def skipped(namespace: str, lane: str, priority: int) -> str:
    """Hash: how many entries of cancelled tasks are to be skipped in a ready list, by id."""
    return f"{prefix(namespace)}skipped:{priority}:{lane}"


def active(namespace: str) -> str:
    """Zset: `{priority}:{lane}` of lists that are not empty, by priority and time of service."""
    return f"{prefix(namespace)}active"


def delayed(namespace: str, queue: str) -> str:
    """Zset: ids by due time."""
    return f"{prefix(namespace)}delayed:{queue}"


def due(namespace: str) -> str:
    """Zset: queues by the earliest due time in their delayed set."""
    return f"{prefix(namespace)}due"


def leases(namespace: str, queue: str) -> str:
    """Zset: ids by the end of their lease."""
    return f"{prefix(namespace)}leases:{queue}"


def lease_ends(namespace: str) -> str:
    """Zset: queues by a moment not later than the end of their earliest lease."""
    return f"{prefix(namespace)}lease_ends"


def final(namespace: str, queue: str) -> str:
    """List: when tasks became final, and their ids, the newest last."""
    return f"{prefix(namespace)}final:{queue}"


def dead(namespace: str, queue: str) -> str:
    """Zset: ids of dead letters by time."""
    return f"{prefix(namespace)}dead:{queue}"


def dead_letter(namespace: str, task_id: str) -> str:
    """Hash: a dead letter: the task's hash as it was, and why it died."""
    return f"{prefix(namespace)}dead_letter:{task_id}"


def throughput(namespace: str, queue: str) -> str:
    """Hash: how many tasks ended in workers lately, by steps of a few seconds."""
    return f"{prefix(namespace)}throughput:{queue}"


def history(namespace: str, queue: str, minute: int) -> str:
    """Hash: what was counted in one minute of a queue (Unix seconds / 60), by name."""
    return f"{prefix(namespace)}history:{minute}:{queue}"


def ended(namespace: str) -> str:
    """Zset: ids of tasks that ended lately and left no state, by the token of their last lease."""
    return f"{prefix(namespace)}ended"


def wake(namespace: str, lane: str) -> str:
    """Zset of one marker: a consumer of the lane should look for tasks."""
    return f"{prefix(namespace)}wake:{lane}"


def lanes(namespace: str) -> str:
    """Set: all queues that tasks were ever sent to, or that a consumer has served."""
    return f"{prefix(namespace)}lanes"


def paused(namespace: str) -> str:
    """Set: the queues that are paused."""
    return f"{prefix(namespace)}paused"


def queue_lanes(namespace: str, queue: str) -> str:
    """Zset: the lanes of a queue beside its own that have ready tasks."""
    return f"{prefix(namespace)}queue_lanes:{queue}"


def served(namespace: str) -> str:
    """Zset: lanes by the time until which a live consumer serves them."""
    return f"{prefix(namespace)}served"


def workers(namespace: str) -> str:
    """Zset: names of workers by a time until which they are looked for."""
    return f"{prefix(namespace)}workers"


def worker(namespace: str, consumer: str) -> str:
    """String: what a worker says of itself. It ends when the worker is gone."""
    return f"{prefix(namespace)}worker:{consumer}"


def claim(namespace: str, consumer: str) -> str:
    """String: a consumer's last claim, kept for one lease in case the reply is lost."""
    return f"{prefix(namespace)}claim:{consumer}"


def running(namespace: str, lane: str) -> str:
    """Set: `{id} {token}` of the running tasks of a lane that limits how many may run."""
    return f"{prefix(namespace)}running:{lane}"


def unique(namespace: str, fingerprint: str) -> str:
    """String: the id of the task that was sent with a fingerprint."""
    return f"{prefix(namespace)}unique:{fingerprint}"


def rate(namespace: str, lane: str) -> str:
    """String: how many starts a lane's rate limit counted at the last one, and when that was."""
    return f"{prefix(namespace)}rate:{lane}"


def slot(namespace: str, schedule: str) -> str:
    """Hash: a schedule, and its last slot that was fired or passed."""
    return f"{prefix(namespace)}slot:{schedule}"


def schedules(namespace: str) -> str:
    """Zset: schedules that are put, or were paused, by the number of their last change."""
    return f"{prefix(namespace)}schedules"


def removed_schedules(namespace: str) -> str:
    """Zset: schedules that were removed, by the number of that change."""
    return f"{prefix(namespace)}removed_schedules"


def scheduler(namespace: str, run: str) -> str:
    """String: when a run of a scheduler was last heard of."""
    return f"{prefix(namespace)}scheduler:{run}"


def repaired(namespace: str) -> str:
    """String: a marker that the namespace was repaired lately."""
    return f"{prefix(namespace)}repaired"


def step(namespace: str, call: str) -> str:
    """String: what the last step of a call did, for a minute, to answer it if it is repeated."""
    return f"{prefix(namespace)}step:{call}"


def copied(namespace: str, unique: str) -> str:
    """List: a copy of a ready list that is being read, for at most a minute."""
    return f"{prefix(namespace)}copied:{unique}"


def copied_skips(namespace: str, unique: str) -> str:
    """Hash: which entries of that copy are to be skipped, for as long."""
    return f"{prefix(namespace)}copied_skips:{unique}"


def revoked(namespace: str, consumer: str) -> str:
    """Pub/Sub channel: ids of cancelled tasks that a consumer holds."""
    return f"{prefix(namespace)}revoked:{consumer}"


def probe(unique: str) -> str:
    """Hash, for a second: a key that is changed to see whether notifications arrive."""
    return f"ltq:probe:{unique}"


def keyspace(database: int, key: str) -> str:
    """Pub/Sub channel of a key's events."""
    return f"__keyspace@{database}__:{key}"


def is_keyspace(channel: str) -> bool:
    """Whether a channel is one of a key's events."""
    return channel.startswith("__keyspace@")


def line_list(names: Iterable[str]) -> str:
    """Names as scripts take a set of them: each one between line feeds."""
    joined = "\n".join(names)
    return f"\n{joined}\n" if joined else ""
