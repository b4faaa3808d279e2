"""Recording outcomes, renewing leases, showing progress, saying that a worker lives."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from ltq.broker import SeenWorker, WorkerEntry
from ltq.brokers._rules.constants import CALL_BYTES
from ltq.brokers._rules.outcomes.early import slot_for
from ltq.brokers.postgres._places.rows import CODES, encode
from ltq.brokers.postgres._server.errors import LOCKED, LockedError
from ltq.brokers.postgres._server.link import Link
from ltq.errors import BrokerError
from ltq.message import Finish, Lease, Outcome, Receipt, Requeue
from ltq.names import by_namespace, namespace_of
from ltq.state import Progress, Status

T = TypeVar("T")

_PAUSES = (0.01, 0.05, 0.2)
"""Seconds after which a row may be free that another call has held."""

_A_TIME = encode(0.0)
"""Of the length of every time in MessagePack."""

_RECEIPTS = {receipt.value: receipt for receipt in Receipt}

_RUNS_AGAIN = -1
"""Stands for the status of a task that runs again."""

_FEWEST = 2
"""Slots of a task for which results arrive early: a first one leaves it waiting."""

_NO_SLOT = None, None, None
"""Of an outcome whose result nothing waits for."""


async def finish(link: Link, outcomes: Sequence[Outcome]) -> list[Receipt]:
    """Record outcomes. Those with a dead letter, or that something follows, go by the rules."""
    receipts: dict[int, Receipt] = {}
    plain = [i for i, one in enumerate(outcomes) if not _is_rare(one)]
    if 0 < len(plain) < len(outcomes) and len({one.lease.id for one in outcomes}) < len(outcomes):
        plain = []  # of several outcomes of a task the first counts
    for namespace, indexes in _short(outcomes, _calls(outcomes, plain)):
        some = [outcomes[i] for i in indexes]
        answers = await _finish(link, namespace, some)
        receipts.update(zip(indexes, map(_RECEIPTS.__getitem__, answers), strict=True))
    rare = [i for i in range(len(outcomes)) if i not in receipts]
    if rare:
        try:
            found = await link.run(lambda store: store.finish([outcomes[i] for i in rare]))
        except BrokerError as error:
            if getattr(error.__cause__, "sqlstate", "") == LOCKED:
                raise _locked(link, [outcomes[i].lease.id for i in rare]) from error
            raise
        receipts.update(zip(rare, found, strict=True))
    return [receipts[i] for i in range(len(outcomes))]


async def _finish(link: Link, namespace: str, outcomes: Sequence[Outcome]) -> list[str]:
    """The answers of `sql/finish.sql`. Rows that others hold for a moment are waited for."""
    left, answers = [*range(len(outcomes))], [""] * len(outcomes)
    for pause in (*_PAUSES, None):
        these = [outcomes[i] for i in left]
        some, size = _arguments(namespace, these), sum(map(_bytes_of, these))
        ((given,),) = await link.call("finish", *some, link.settings.keeps_history, size=size)
        for i, answer in zip(left, given, strict=True):
            answers[i] = answer
        left = [i for i in left if answers[i] == "locked"]
        if not left:
            return answers
        if pause is not None:
            await asyncio.sleep(pause)
    raise _locked(link, [outcomes[i].lease.id for i in left])


def _is_rare(outcome: Outcome) -> bool:
    return isinstance(outcome, Finish) and (outcome.dead or outcome.follow != b"")


def _locked(link: Link, ids: Sequence[str]) -> LockedError:
    return LockedError(
        f"{link.settings.server}: a session holds the row of {', '.join(ids[:3])}"
        f"{' and others' if len(ids) > 3 else ''}: look for one that is idle in transaction"
    )


async def heartbeat(link: Link, leases: Sequence[Lease], duration: float) -> list[Lease]:
    """Renew leases. Returns those that are lost."""
    lost: list[Lease] = []
    for namespace, some in by_namespace(leases, lambda lease: lease.queue).items():
        ids, tokens = [one.id for one in some], [one.token for one in some]
        ((held,),) = await link.call("heartbeat", namespace, ids, tokens, duration)
        lost += [lease for lease, is_held in zip(some, held, strict=True) if not is_held]
    return lost


async def announce(link: Link, worker: WorkerEntry) -> bool:
    """Say that a worker lives. This is one statement: an idle worker sends few.

    Returns whether there are endings in the namespaces of its queues.
    """
    namespaces = sorted(set(map(namespace_of, worker.queues)))
    entry = encode(SeenWorker(worker, 0.0))[: -len(_A_TIME)]
    values = namespaces, worker.name, entry, worker.gone_after
    ((has_endings,),) = await link.call("announce", *values)
    return bool(has_endings)


async def append(link: Link, lease: Lease, first: int, items: Sequence[bytes], most: int) -> bool:
    """Add items to a stream. Returns False if the lease is lost."""
    own = namespace_of(lease.queue), lease.id, lease.token
    ((is_held,),) = await link.call("append", *own, first, most, [*items])
    return bool(is_held)


async def progress(link: Link, lease: Lease, shown: Progress) -> bool:
    """Show progress. Returns False if the lease is lost."""
    namespace = namespace_of(lease.queue)
    ((is_held,),) = await link.call("progress", namespace, lease.id, lease.token, encode(shown))
    return bool(is_held)


def _arguments(namespace: str, outcomes: Sequence[Outcome]) -> list[Any]:
    """The values of `sql/finish.sql`, without the last one."""
    rows = [_row(one) for one in outcomes]
    return [namespace, *(list(column) for column in zip(*rows, strict=True)), *_waiters(outcomes)]


def _waiters(outcomes: Sequence[Outcome]) -> list[list[Any] | None]:
    """What waits for each result, in which slot, and how many it has; nothing in most calls."""
    slots = [_slot(one) if isinstance(one, Finish) else None for one in outcomes]
    if not any(slots):
        return [None, None, None]
    return [list(column) for column in zip(*(one or _NO_SLOT for one in slots), strict=True)]


def _row(outcome: Outcome) -> tuple[Any, ...]:
    lease, failure = outcome.lease, outcome.failure
    own = lease.id, lease.token
    failed = None if failure is None else encode(failure)
    if isinstance(outcome, Requeue):
        return (
            *own,
            _RUNS_AGAIN,
            outcome.delay,
            "",
            failed,
            None,
            outcome.failed,
            outcome.front and outcome.delay <= 0,
            outcome.is_void,
            False,
            outcome.ctx,
            outcome.timeout,
        )
    keeps = outcome.status is Status.COMPLETED or outcome.result
    return (
        *own,
        CODES[outcome.status],
        outcome.result_ttl,
        outcome.serializer,
        failed,
        outcome.result if keeps else None,
        False,
        False,
        False,
        outcome.is_poison,
        None,
        None,
    )


def _slot(outcome: Finish) -> tuple[str, str, int] | None:
    waiter, slot = outcome.waiter, slot_for(outcome)
    if waiter is None or slot is None or waiter.of < _FEWEST:
        return None
    return waiter.id, str(slot), waiter.of


def _calls(
    outcomes: Sequence[Outcome], indexes: Sequence[int]
) -> list[tuple[tuple[str, int], list[int]]]:
    """The outcomes of each call, in order: of one namespace, and one for each task."""
    leases = [outcomes[index].lease for index in indexes]
    queues = {lease.queue for lease in leases}
    if len(queues) == 1 and len({lease.id for lease in leases}) == len(leases):
        return [((namespace_of(*queues), 1), [*indexes])]  # mostly
    seen: Counter[str] = Counter()
    calls: dict[tuple[str, int], list[int]] = {}
    for index, lease in zip(indexes, leases, strict=True):
        seen[lease.id] += 1
        calls.setdefault((namespace_of(lease.queue), seen[lease.id]), []).append(index)
    return [*calls.items()]


def _short(
    outcomes: Sequence[Outcome], calls: list[tuple[tuple[str, int], list[int]]]
) -> Iterator[tuple[str, list[int]]]:
    """The calls, none with many bytes beyond `CALL_BYTES`: that of large results in several."""
    for (namespace, _), indexes in calls:
        some: list[int] = []
        size = 0
        for index in indexes:
            if size >= CALL_BYTES:
                yield namespace, some
                some, size = [], 0
            some.append(index)
            size += _bytes_of(outcomes[index])
        yield namespace, some


def _bytes_of(outcome: Outcome) -> int:
    held = outcome.ctx if isinstance(outcome, Requeue) else outcome.result
    return len(held) if held else 0
