"""The tables of a file, their versions, and the way from each version to the next.

The table `ltq_schema` holds the version. A file of a newer version is refused; an older one is
upgraded, in one transaction. All names begin with `ltq_`, as users may have tables in the file.
"""

import sqlite3
from collections.abc import Mapping

APPLICATION_ID = 0x4C54510A
"""What says that LTQ has made a file: "LTQ" and a line feed."""

VERSION = 1

STATUSES = ("pending", "delayed", "working", "completed", "failed", "rejected", "cancelled")
"""The column `status` holds a place in this list. Those from the fourth on are final."""

_FIRST = """
CREATE TABLE ltq_schema (version INTEGER NOT NULL);
INSERT INTO ltq_schema VALUES (0);
CREATE TABLE ltq_namespaces (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE ltq_counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

-- What changes of a task. `moment` is when it is due, its lease ends, or its state expires;
-- `position` is its place among those that are ready, or have ended.
CREATE TABLE ltq_tasks (
    number INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, queue TEXT NOT NULL, lane TEXT NOT NULL,
    priority INTEGER NOT NULL, status INTEGER NOT NULL, moment REAL NOT NULL,
    position INTEGER NOT NULL, state BLOB NOT NULL);
CREATE INDEX ltq_lines ON ltq_tasks (lane, priority, position) WHERE status = 0;
CREATE INDEX ltq_due ON ltq_tasks (namespace, moment) WHERE status = 1;
CREATE INDEX ltq_due_of_queues ON ltq_tasks (queue, moment) WHERE status = 1;
CREATE INDEX ltq_leases ON ltq_tasks (namespace, moment) WHERE status = 2;
CREATE INDEX ltq_final ON ltq_tasks (namespace, moment) WHERE status > 2;
CREATE INDEX ltq_last ON ltq_tasks (queue, position) WHERE status > 2;

-- By a hash of the id, which is half as long. It begins with the time that the id begins with:
-- otherwise each send would write another page.
CREATE TABLE ltq_ids (
    hash INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (hash, number)) WITHOUT ROWID;

-- What was sent, with the arguments: apart, so that a change of state does not write it again.
CREATE TABLE ltq_envelopes (number INTEGER PRIMARY KEY, envelope BLOB NOT NULL);

-- The items of streams, each with its place among all of its task's delivery.
CREATE TABLE ltq_items (
    task INTEGER NOT NULL, number INTEGER NOT NULL, item BLOB NOT NULL,
    PRIMARY KEY (task, number)) WITHOUT ROWID;

-- `turn` is what `served` is while tasks wait in the lane, and else NULL: a claim begins with the
-- lanes that were served longest ago.
CREATE TABLE ltq_lanes (
    number INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, queue TEXT NOT NULL,
    name TEXT NOT NULL UNIQUE,
    ready_high INTEGER NOT NULL, ready_normal INTEGER NOT NULL, ready_low INTEGER NOT NULL,
    working INTEGER NOT NULL, used REAL NOT NULL, used_at REAL NOT NULL,
    served_high INTEGER NOT NULL, served_normal INTEGER NOT NULL, served_low INTEGER NOT NULL,
    turn_high INTEGER, turn_normal INTEGER, turn_low INTEGER);
CREATE INDEX ltq_lanes_of_queues ON ltq_lanes (queue);
CREATE INDEX ltq_turns_high ON ltq_lanes (namespace, turn_high) WHERE turn_high IS NOT NULL;
CREATE INDEX ltq_turns_normal ON ltq_lanes (namespace, turn_normal) WHERE turn_normal IS NOT NULL;
CREATE INDEX ltq_turns_low ON ltq_lanes (namespace, turn_low) WHERE turn_low IS NOT NULL;
CREATE TABLE ltq_queues (
    name TEXT PRIMARY KEY, namespace INTEGER NOT NULL, paused INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX ltq_queues_of_namespaces ON ltq_queues (namespace, paused);
CREATE TABLE ltq_counts (
    queue TEXT NOT NULL, status INTEGER NOT NULL, many INTEGER NOT NULL,
    PRIMARY KEY (queue, status)) WITHOUT ROWID;

CREATE TABLE ltq_dead (
    number INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, id TEXT NOT NULL, queue TEXT NOT NULL,
    time REAL NOT NULL, record BLOB NOT NULL);
CREATE UNIQUE INDEX ltq_dead_ids ON ltq_dead (id, namespace);
CREATE INDEX ltq_dead_of_queues ON ltq_dead (queue, time, number);

-- Values that expire: fingerprints, served lanes, workers, slots, schedulers.
CREATE TABLE ltq_kept (
    namespace INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    expires REAL NOT NULL, PRIMARY KEY (namespace, kind, key)) WITHOUT ROWID;
CREATE INDEX ltq_kept_until ON ltq_kept (expires);

-- Tasks that ended without leaving a state.
CREATE TABLE ltq_ended (
    namespace INTEGER NOT NULL, number INTEGER NOT NULL, id TEXT NOT NULL, token INTEGER NOT NULL,
    status INTEGER NOT NULL, PRIMARY KEY (namespace, number)) WITHOUT ROWID;
CREATE INDEX ltq_ended_ids ON ltq_ended (id, namespace);

CREATE TABLE ltq_schedule_changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT, namespace INTEGER NOT NULL, name TEXT NOT NULL,
    gone INTEGER NOT NULL, UNIQUE (namespace, name));
CREATE TABLE ltq_ends (
    queue TEXT NOT NULL, step INTEGER NOT NULL, many INTEGER NOT NULL,
    PRIMARY KEY (queue, step)) WITHOUT ROWID;
CREATE TABLE ltq_figures (
    queue TEXT NOT NULL, minute INTEGER NOT NULL, name TEXT NOT NULL, many INTEGER NOT NULL,
    PRIMARY KEY (queue, minute, name)) WITHOUT ROWID;

-- What other processes are told: of each commit its topics.
CREATE TABLE ltq_news (number INTEGER PRIMARY KEY AUTOINCREMENT, topics BLOB NOT NULL);
"""

_UPGRADES: Mapping[int, str] = {}
"""For each older version, the statements that make the next one of it."""


def statements_from(version: int) -> list[str]:
    """The statements that bring a file from a version to the present one; 0 is an empty file."""
    if version == 0:
        scripts = [_FIRST]
    else:
        scripts = [_UPGRADES[number] for number in range(version, VERSION)]
    return [one for script in scripts for one in _split(script)]


def _split(script: str) -> list[str]:
    statements, begun = [], ""
    for line in script.splitlines(keepends=True):
        begun += line
        if sqlite3.complete_statement(begun):
            statements.append(begun.strip())
            begun = ""
    return statements
