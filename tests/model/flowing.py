"""Random walks of workflows: nodes end in every way, and whoever does anything dies meanwhile.

There is no model of what a store keeps on the way. What is checked is what a user relies on, when
all that was begun has been brought to its end: nothing waits for ever, nothing completes twice, and
what was not disturbed has the right result.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, multiple, precondition, rule

from ltq import Status
from ltq._flow.apart import carry_left
from ltq._flow.carry import carry
from ltq._flow.plan import Plan
from ltq._flow.sending import send
from ltq._flow.stop_resume import stop
from ltq._flow.values import waiter_of
from ltq.broker.flows import Ending, is_in_flow
from ltq.errors import TaskNotFoundError
from ltq.message import Delivery, Failure, Finish, Lease, Outcome, Receipt, Requeue
from tests.model.flow_ground import CrashError, Crashing, Ground, Halting
from tests.model.flow_shapes import OPS, Shape, Tasks, build

T = TypeVar("T")

LEASE = 1000.0
TTL = 3600.0

steps: Counter[str] = Counter()
"""How many rules were carried out, by ground."""

ends: Counter[str] = Counter()
"""How workflows ended."""

ops = st.lists(
    st.tuples(st.sampled_from(OPS), st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=6
)
crashes = st.one_of(
    st.none(), st.none(), st.tuples(st.sampled_from([*range(8), 12, 20]), st.booleans())
)
"""After how many calls somebody dies, and whether the last one was still made."""

how_ended = st.lists(st.sampled_from("ccccccffr-0xz"), min_size=1, max_size=8)
"""Completed, failed, rejected; run again after a failure, or without one; the lease is lost."""


@dataclass
class Sent:
    """A workflow that was sent, perhaps halfway."""

    plan: Plan
    shape: Shape
    goes_on: bool
    is_halfway: bool = False
    is_disturbed: bool = False
    """Whether some of it was cancelled, cleared, or is forgotten: no replay brings that back."""
    may_repeat: bool = False
    """Whether something has failed whose state is forgotten before its dead letter is."""

    def has(self, task_id: str) -> bool:
        """Whether a task is one of it."""
        return task_id.partition(".")[0] == self.plan.last.id


class Flowing(RuleBasedStateMachine):
    """Sends workflows, works, dies, and at the end looks at what became of all."""

    sent = Bundle("sent")
    lost = Bundle("lost")

    def __init__(self, make: Callable[[], Ground]) -> None:
        super().__init__()
        self.ground = make()
        self.broker = self.ground.broker
        self.tasks = Tasks(self.broker, self.ground.near, self.ground.far)
        self.queues = self.tasks.queues
        self.namespaces = [f"{self.ground.near}:plus", f"{self.ground.far}:plus"]
        self.workflows: list[Sent] = []
        self.completed: Counter[str] = Counter()
        self.consumer = self.run(self._open())

    async def _open(self) -> Any:
        return self.broker.consumer(self.queues, name="model", lease=LEASE)

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.ground.loop.run_until_complete(call)

    def teardown(self) -> None:
        try:
            self.settle()
            self.check()
        finally:
            self.run(self.consumer.aclose())
            self.ground.close()

    def begin(self) -> None:
        steps[type(self.ground).__name__] += 1

    def dying(self, crash: tuple[int, bool] | None) -> Any:
        """The broker for somebody who may die."""
        return self.broker if crash is None else Crashing(self.broker, crash[0], is_made=crash[1])

    # What users do

    @rule(target=sent, first=st.integers(0, 4), ops=ops, goes_on=st.booleans(), crash=crashes)
    def send(self, first: int, ops: Any, goes_on: bool, crash: Any) -> Any:
        self.begin()
        shape = build(self.tasks, first, ops)
        number = len(self.workflows)
        policy: Any = "continue" if goes_on else "cancel"
        node: Any = shape.node.with_options(on_failure=policy, id=f"w{number}", result_ttl=TTL)
        one = Sent(node._plan(f"w{number}"), shape, goes_on)
        self.workflows.append(one)
        self.send_to_its_end(one, crash)
        return one

    @rule(one=sent, crash=crashes)
    def send_again(self, one: Sent, crash: Any) -> None:
        """Somebody else has the same idea, or the first sender repeats it."""
        self.begin()
        self.send_to_its_end(one, crash)

    def send_to_its_end(self, one: Sent, crash: tuple[int, bool] | None) -> None:
        last = one.plan.last
        (state,) = self.run(self.broker.states(last.part.queue, [last.id]))
        if state is None:  # it is forgotten: the same again is another one
            for task_id in [one for one in self.completed if one.partition(".")[0] == last.id]:
                del self.completed[task_id]
        broker = self.broker
        if crash is not None:
            broker = Halting(self.broker, crash[0] % 3, is_made=crash[1])
        for worker in (self.tasks.near, self.tasks.far):
            worker.broker = broker
        try:
            self.run(send(one.plan, has_own_id=True))
            one.is_halfway = False
        except CrashError:
            one.is_halfway = True
        finally:
            for worker in (self.tasks.near, self.tasks.far):
                worker.broker = self.broker

    @rule(one=sent, crash=crashes)
    def cancel(self, one: Sent, crash: Any) -> None:
        self.begin()
        broker, last = self.dying(crash), one.plan.last
        try:
            is_cancelled = self.run(broker.cancel(last.part.queue, last.id, TTL))
            if is_cancelled or one.goes_on:
                one.is_disturbed = True
                self.run(stop(broker, one.plan.tree))
        except CrashError:
            one.is_disturbed = True
        except TaskNotFoundError:
            pass

    @rule(one=sent, number=st.integers(0, 7), element=st.none() | st.integers(0, 3))
    def cancel_node(self, one: Sent, number: int, element: int | None) -> None:
        """By another way."""
        self.begin()
        node = one.plan.nodes[number % len(one.plan.nodes)]
        task_id = node.id if element is None else f"{node.id}.{element}"
        if self.run(self.broker.cancel_each(node.part.queue, [task_id], TTL)):
            one.is_disturbed = True

    @rule(queue=st.integers(0, 7))
    def clear(self, queue: int) -> None:
        self.begin()
        if self.run(self.broker.clear(self.queues[queue])):
            for one in self.workflows:
                one.is_disturbed = True

    @rule(queue=st.integers(0, 7), most=st.integers(1, 3))
    def replay(self, queue: int, most: int) -> None:
        self.begin()
        name = self.queues[queue]
        letters = self.run(self.broker.dead_letters(name))[:most]
        self.run(self.broker.replay(name, [letter.id for letter in letters]))

    # What workers do

    @rule(target=lost, how=how_ended, crash=crashes)
    def work(self, how: list[str], crash: Any) -> Any:
        """Claim some tasks, end each, and carry on what follows; or die over that."""
        self.begin()
        claim = self.run(self.consumer.claim(len(how)))
        held: list[Delivery] = []
        outcomes: list[Outcome] = []
        for delivery, one in zip(claim.deliveries, how, strict=False):
            if one in "xz":
                held.append(delivery)
            else:
                outcomes.append(self.outcome(delivery, one))
        self.lose([delivery.lease for delivery in held if how])
        self.write(outcomes, crash)
        return multiple(*held)

    @rule(delivery=lost, how=st.sampled_from("cf-"))
    def come_back(self, delivery: Delivery, how: str) -> None:
        """Whoever had lost a lease comes with an outcome."""
        self.begin()
        self.write([self.outcome(delivery, how)], None)

    @rule(namespace=st.integers(0, 1), crash=crashes)
    def carry(self, namespace: int, crash: Any) -> None:
        """Another worker finds what is left."""
        self.begin()
        with contextlib.suppress(CrashError):
            self.run(carry_left(self.dying(crash), self.namespaces[namespace]))

    @rule(namespace=st.integers(0, 1), crash=crashes, count=st.integers(1, 3))
    def carry_some(self, namespace: int, crash: Any, count: int) -> None:
        """What was found long ago, and may be done already."""
        self.begin()
        endings = self.run(self.broker.endings(self.namespaces[namespace]))
        try:
            self.run(carry(self.dying(crash), endings[:count]))
            self.run(carry(self.dying(None), endings))
        except CrashError:
            pass

    @precondition(lambda self: self.ground.is_clocked)
    @rule(seconds=st.sampled_from([61.0, TTL / 2, 2 * TTL]))
    def pass_time(self, seconds: float) -> None:
        """Final states expire. What has failed, or was cancelled, cannot go on after that."""
        self.begin()
        failed = [one for one in self.workflows if self.has_failed(one)]
        ended = [one.id for name in self.namespaces for one in self.run(self.broker.endings(name))]
        self.ground.wait(seconds)
        self.run(self.broker.sweep(self.queues))
        for one in failed:
            one.is_disturbed = one.may_repeat = True
        for one in self.workflows:  # what nobody has carried on is not known to have ended
            one.may_repeat |= any(map(one.has, ended))

    def has_failed(self, one: Sent) -> bool:
        """Whether something of it needs a replay, or is cancelled until that has ended."""
        for queue in self.queues:
            for letter in self.run(self.broker.dead_letters(queue)):
                if letter.id.partition(".")[0] == one.plan.last.id:
                    return True
        for node in one.plan.nodes:
            (state,) = self.run(self.broker.states(node.part.queue, [node.id]))
            if state is not None and state.status is Status.CANCELLED:
                return True
        return False

    def outcome(self, delivery: Delivery, how: str) -> Outcome:
        flow = delivery.ctx if is_in_flow(delivery.ctx) else b""
        if how == "c":
            result = self.tasks.result(delivery)
            return Finish(
                delivery.lease,
                Status.COMPLETED,
                result,
                result_ttl=TTL,
                flow=flow,
                waiter=waiter_of(delivery.lease.queue, flow),
            )
        if how in "fr":
            status = Status.FAILED if how == "f" else Status.REJECTED
            failure = Failure("ValueError", "no")
            return Finish(
                delivery.lease, status, failure=failure, result_ttl=TTL, dead=True, flow=flow
            )
        return Requeue(delivery.lease, failed=how == "-", is_void=how == "0")

    def write(self, outcomes: list[Outcome], crash: tuple[int, bool] | None) -> None:
        if not outcomes:
            return
        receipts = self.run(self.broker.finish(outcomes))
        told: list[Finish] = []
        for one, receipt in zip(outcomes, receipts, strict=True):
            if receipt.is_recorded and isinstance(one, Finish):
                self.completed[one.lease.id] += one.status is Status.COMPLETED
                if receipt is Receipt.OK:
                    told.append(one)
        with contextlib.suppress(CrashError):
            self.run(carry(self.dying(crash), [Ending.of(one) for one in told if one.flow]))

    def lose(self, leases: list[Lease]) -> None:
        """Let leases end, and take their tasks back."""
        if leases:
            self.run(self.broker.heartbeat(leases, 0.001))
            self.ground.wait(0.003)
            self.run(self.broker.sweep(self.queues))

    # The end

    def settle(self) -> None:
        """Bring all that was begun to its end, without any further accident."""
        for one in self.workflows:
            if one.is_halfway:
                self.send_to_its_end(one, None)
                self.cancel_rest(one)
        for _ in range(30):
            self.bring_to_an_end()
            if not self.replay_all():
                return
        raise AssertionError("replays never end")

    def cancel_rest(self, one: Sent) -> None:
        """If it has ended before all of it was sent, the rest is of no use."""
        last = one.plan.last
        (state,) = self.run(self.broker.states(last.part.queue, [last.id]))
        if state is not None and state.status.is_final:
            one.is_disturbed = True
            self.run(stop(self.broker, one.plan.tree))

    def bring_to_an_end(self) -> None:
        for _ in range(200):
            found = sum(self.run(carry_left(self.broker, one)) for one in self.namespaces)
            claim = self.run(self.consumer.claim(100))
            self.write([self.outcome(one, "c") for one in claim.deliveries], None)
            if not found and not claim.deliveries:
                return
        raise AssertionError("it never ends")

    def replay_all(self) -> int:
        """Replay all dead letters. Returns how many there were."""
        count = 0
        for queue in self.queues:
            ids = [letter.id for letter in self.run(self.broker.dead_letters(queue))]
            count += len(ids)
            self.run(self.broker.replay(queue, ids))
        return count

    def check(self) -> None:
        for name in self.namespaces:
            assert self.run(self.broker.endings(name)) == []
        for place in self.run(self.broker.stats(self.queues)):
            assert (place.pending, place.delayed, place.working) == (0, 0, 0), place
        twice = {task_id: count for task_id, count in self.completed.items() if count > 1}
        for one in self.workflows:
            if one.may_repeat:
                twice = {key: count for key, count in twice.items() if not one.has(key)}
        assert twice == {}
        for one in self.workflows:
            self.check_workflow(one)

    def check_workflow(self, one: Sent) -> None:
        """What was never disturbed has the right result."""
        last = one.plan.last
        (state,) = self.run(self.broker.states(last.part.queue, [last.id]))
        ends["gone" if state is None else state.status.value] += 1
        if one.is_disturbed or state is None:
            return
        assert state.status is Status.COMPLETED, (last.id, state.status)
        assert msgspec.json.decode(state.result or b"null") == one.shape.value, last.id
