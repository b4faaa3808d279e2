"""Every Redis key LTQ uses. `lua/README.md` is their table: type, content, life, readers, writers.

All keys of a namespace share its hash tag, and so one cluster slot. Scripts get the prefix as
their one declared key, and build the others from it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ltq.errors import ConfigurationError

_ROOT = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of all brokers whose URLs have the same `prefix`, here called the root."""

    root: str = "ltq"

    @property
    def namespaces(self) -> str:
        """Set of all namespaces, without a hash tag, so that tools find them without KEYS."""
        return f"{self.root}:namespaces"

    @property
    def schedule_marks(self) -> str:
        """Hash: for each namespace with schedules that were put or paused, how often any was
        changed."""
        return f"{self.root}:schedules"

    def prefix(self, namespace: str) -> str:
        """What all keys of a namespace begin with."""
        return f"{self.root}:{{{namespace}}}:"

    def task(self, namespace: str, task_id: str) -> str:
        """Hash: a task's state, and its body until it is final."""
        return f"{self.prefix(namespace)}task:{task_id}"

    def items(self, namespace: str, task_id: str) -> str:
        """List: the items of a task's stream, of one delivery."""
        return f"{self.prefix(namespace)}items:{task_id}"

    def ready(self, namespace: str, lane: str, priority: int) -> str:
        """List: ids of the tasks that wait in a lane at one priority."""
        return f"{self.prefix(namespace)}ready:{priority}:{lane}"

    def skipped(self, namespace: str, lane: str, priority: int) -> str:
        """Hash: how many entries of cancelled tasks are to be skipped in a ready list, by id."""
        return f"{self.prefix(namespace)}skipped:{priority}:{lane}"

    def active(self, namespace: str) -> str:
        """Zset: `{priority}:{lane}` of lists that are not empty, by priority and time served."""
        return f"{self.prefix(namespace)}active"

    def delayed(self, namespace: str, queue: str) -> str:
        """Zset: ids by due time."""
        return f"{self.prefix(namespace)}delayed:{queue}"

    def due(self, namespace: str) -> str:
        """Zset: queues by the earliest due time in their delayed set."""
        return f"{self.prefix(namespace)}due"

    def leases(self, namespace: str, queue: str) -> str:
        """Zset: ids by the end of their lease."""
        return f"{self.prefix(namespace)}leases:{queue}"

    def lease_ends(self, namespace: str) -> str:
        """Zset: queues by a moment not later than the end of their earliest lease."""
        return f"{self.prefix(namespace)}lease_ends"

    def final(self, namespace: str, queue: str) -> str:
        """List: when tasks became final, and their ids, the newest last."""
        return f"{self.prefix(namespace)}final:{queue}"

    def dead(self, namespace: str, queue: str) -> str:
        """Zset: ids of dead letters by time."""
        return f"{self.prefix(namespace)}dead:{queue}"

    def dead_letter(self, namespace: str, task_id: str) -> str:
        """Hash: a dead letter: the task's hash as it was, and why it died."""
        return f"{self.prefix(namespace)}dead_letter:{task_id}"

    def throughput(self, namespace: str, queue: str) -> str:
        """Hash: how many tasks ended in workers lately, by steps of a few seconds."""
        return f"{self.prefix(namespace)}throughput:{queue}"

    def history(self, namespace: str, queue: str, minute: int) -> str:
        """Hash: what was counted in one minute of a queue (Unix seconds / 60), by name."""
        return f"{self.prefix(namespace)}history:{minute}:{queue}"

    def ended(self, namespace: str) -> str:
        """Zset: ids of tasks that ended lately and left no state, by their last lease's token."""
        return f"{self.prefix(namespace)}ended"

    def endings(self, namespace: str) -> str:
        """Hash: how tasks of workflows ended, until these have gone on."""
        return f"{self.prefix(namespace)}endings"

    def slots(self, namespace: str, task_id: str) -> str:
        """Hash: what has arrived at a task that waits for others."""
        return f"{self.prefix(namespace)}slots:{task_id}"

    def wake(self, namespace: str, lane: str) -> str:
        """Zset of one marker: a consumer of the lane should look for tasks."""
        return f"{self.prefix(namespace)}wake:{lane}"

    def lanes(self, namespace: str) -> str:
        """Set: all queues that tasks were ever sent to, or that a consumer has served."""
        return f"{self.prefix(namespace)}lanes"

    def paused(self, namespace: str) -> str:
        """Set: the queues that are paused."""
        return f"{self.prefix(namespace)}paused"

    def queue_lanes(self, namespace: str, queue: str) -> str:
        """Zset: the lanes of a queue beside its own that have ready tasks."""
        return f"{self.prefix(namespace)}queue_lanes:{queue}"

    def served(self, namespace: str) -> str:
        """Zset: lanes by the time until which a live consumer serves them."""
        return f"{self.prefix(namespace)}served"

    def workers(self, namespace: str) -> str:
        """Zset: names of workers by a time until which they are looked for."""
        return f"{self.prefix(namespace)}workers"

    def worker(self, namespace: str, consumer: str) -> str:
        """String: what a worker says of itself. It ends when the worker is gone."""
        return f"{self.prefix(namespace)}worker:{consumer}"

    def claim(self, namespace: str, consumer: str) -> str:
        """String: a consumer's last claim, kept for one lease in case the reply is lost."""
        return f"{self.prefix(namespace)}claim:{consumer}"

    def running(self, namespace: str, lane: str) -> str:
        """Set: `{id} {token}` of the running tasks of a lane that limits how many may run."""
        return f"{self.prefix(namespace)}running:{lane}"

    def unique(self, namespace: str, fingerprint: str) -> str:
        """String: the id of the task that was sent with a fingerprint."""
        return f"{self.prefix(namespace)}unique:{fingerprint}"

    def rate(self, namespace: str, lane: str) -> str:
        """String: how many starts a lane's rate limit counted at the last one, and when."""
        return f"{self.prefix(namespace)}rate:{lane}"

    def slot(self, namespace: str, schedule: str) -> str:
        """Hash: a schedule, and its last slot that was fired or passed."""
        return f"{self.prefix(namespace)}slot:{schedule}"

    def schedules(self, namespace: str) -> str:
        """Zset: schedules that are put, or were paused, by the number of their last change."""
        return f"{self.prefix(namespace)}schedules"

    def removed_schedules(self, namespace: str) -> str:
        """Zset: schedules that were removed, by the number of that change."""
        return f"{self.prefix(namespace)}removed_schedules"

    def scheduler(self, namespace: str, run: str) -> str:
        """String: when a run of a scheduler was last heard of."""
        return f"{self.prefix(namespace)}scheduler:{run}"

    def repaired(self, namespace: str) -> str:
        """String: a marker that the namespace was repaired lately."""
        return f"{self.prefix(namespace)}repaired"

    def step(self, namespace: str, call: str) -> str:
        """String: what the last step of a call did, for a minute, to answer it if repeated."""
        return f"{self.prefix(namespace)}step:{call}"

    def copied(self, namespace: str, unique: str) -> str:
        """List: a copy of a ready list that is being read, for at most a minute."""
        return f"{self.prefix(namespace)}copied:{unique}"

    def copied_skips(self, namespace: str, unique: str) -> str:
        """Hash: which entries of that copy are to be skipped, for as long."""
        return f"{self.prefix(namespace)}copied_skips:{unique}"

    def revoked(self, namespace: str, consumer: str) -> str:
        """Pub/Sub channel: ids of cancelled tasks that a consumer holds."""
        return f"{self.prefix(namespace)}revoked:{consumer}"

    def probe(self, namespace: str, unique: str) -> str:
        """Hash: what is changed to see whether notifications arrive, for a second."""
        return f"{self.prefix(namespace)}probe:{unique}"

    def replicated(self, namespace: str) -> str:
        """String: what is written behind a send that waits for replicas, for a second."""
        return f"{self.prefix(namespace)}replicated"


def parse_prefix(value: str) -> Keys:
    """Read the parameter `prefix` of a broker's URL. Raises `ConfigurationError`."""
    if _ROOT.fullmatch(value):
        return Keys(value)
    raise ConfigurationError(
        f"prefix={value!r} is not allowed in a broker URL: "
        "1 to 64 of the letters A-Z and a-z, digits, and _ . : -"
    )


ltq_keys = Keys()
"""Those of brokers whose URLs name no prefix."""


def namespace_in(prefix: str) -> str:
    """The namespace whose keys begin with a prefix."""
    return prefix.partition("{")[2].rpartition("}")[0]


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
