"""Places to try the rules on, at a time that is given, and a record of what they tell."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Any

from ltq.broker import Claim, ClaimBudget, ConsumerConfig
from ltq.brokers._rules.claim import claim
from ltq.brokers._rules.outcomes.finish import finish
from ltq.brokers._rules.places import Places
from ltq.brokers._rules.publish import publish
from ltq.brokers._rules.record import Record
from ltq.message import Envelope, Lease, Outcome, Published, Receipt
from ltq.options import Limit

QUEUE = "mail:send"
LEASE = 15.0

_numbers = count(1)


class Told:
    """A listener that remembers what it was told, as words."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def ready(self, lane: str) -> None:
        self.words.append(f"ready {lane}")

    def freed(self, lane: str) -> None:
        self.words.append(f"freed {lane}")

    def changed(self, record: Record) -> None:
        self.words.append(f"{record.id} {record.status}")

    def removed(self, task_id: str) -> None:
        self.words.append(f"{task_id} removed")

    def revoked(self, record: Record) -> None:
        self.words.append(f"{record.id} revoked")


class Stand:
    """One namespace, its time, and the steps that most tests take."""

    def __init__(self, places: Places) -> None:
        self.now = 1000.0
        self.told = Told()
        self.places = replace(places, listener=self.told)

    def publish(self, task_id: str = "", **fields: Any) -> Published:
        """Publish a task of `mail:send`; `fields` say what is special about it."""
        queue = fields.get("queue", QUEUE)
        defaults = {"id": task_id or f"id{next(_numbers)}", "queue": queue, "task_name": queue}
        envelope = Envelope(**{"body": b"{}", **defaults, **fields})
        return publish(self.places, [envelope], self.now)[0]

    def publish_all(self, *ids: str, **fields: Any) -> None:
        """Publish tasks in this order."""
        assert {self.publish(task_id, **fields) for task_id in ids} == {Published.CREATED}

    def claim(
        self,
        limit: int = 10,
        running: int = 0,
        *,
        lanes: tuple[str, ...] = (QUEUE,),
        limits: Mapping[str, Limit] | None = None,
        ignore_isolation: bool = False,
    ) -> Claim:
        """What a claim gives to the worker `w`."""
        consumer = ConsumerConfig(lanes=lanes, name="w", lease=LEASE, limits=limits or {})
        budget = ClaimBudget(limit, running, ignore_isolation)
        return claim({"mail": self.places}, consumer, budget, self.now)

    def claim_ids(self, *args: Any, **options: Any) -> list[str]:
        """The ids of what a claim gives."""
        return [one.lease.id for one in self.claim(*args, **options).deliveries]

    def lease(self, task_id: str, **fields: Any) -> Lease:
        """The lease of a task that is published and claimed now."""
        self.publish_all(task_id, **fields)
        return self.claim_again(task_id)

    def claim_again(self, task_id: str) -> Lease:
        """The lease of the one task that is ready."""
        (delivery,) = self.claim(1).deliveries
        assert delivery.lease.id == task_id
        return delivery.lease

    def finish(self, *outcomes: Outcome) -> list[Receipt]:
        return finish(self.places, outcomes, self.now)

    def record(self, task_id: str) -> Record:
        record = self.places.records.get(task_id)
        assert record is not None
        return record
