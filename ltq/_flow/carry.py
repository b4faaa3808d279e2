"""Carrying workflows on: from the endings of tasks to what waits for them."""

from collections.abc import Iterable, Sequence
from operator import itemgetter

from ltq._flow.expand import expand
from ltq._flow.follow import Answered, send_all
from ltq._flow.go_on import go_on
from ltq._flow.protocols import FlowBroker
from ltq._flow.slots import arrive
from ltq._flow.stop_resume import resume, stop
from ltq._flow.values import LIST, Destination, Flow, TreeNode, flow_of, read_recipe
from ltq.broker.flows import NOTE, Arrival, Arrived, Ending, ending_key
from ltq.message import ELEMENT, slot_of
from ltq.names import by_namespace, namespace_of
from ltq.state import Status

_Told = tuple[Ending, Flow]


async def carry(
    broker: FlowBroker, endings: Sequence[Ending], answered: Answered | None = None
) -> None:
    """Carry on from these endings, and remove them: what follows is sent, and workflows go on.

    It may be called again with the same, by anybody, also at the same time. Raises `BrokerError`,
    and `msgspec.DecodeError` for a spoilt ending: then the endings are still there. `answered` is
    told what the broker answered to what follows.
    """
    followed = [one for one in endings if one.follow]
    if followed:
        await send_all(broker, followed, answered)
    left = [*endings]
    while left:
        present = await _present(broker, left)
        told = [(one, flow) for one in present if (flow := flow_of(one.ctx)) is not None]
        await _stop_all(broker, [one for one in told if one[0].status is not Status.COMPLETED])
        this = _Round(broker)
        for ending, flow in told:
            await this.end(ending, flow)
        following = await this.go_on()
        rest = ((one.queue, one.key) for one in left if one.key not in this.done)
        for queue, keys in _by_namespace(rest):
            await broker.carried(queue, keys)
        left = following


class _Round:
    """One step of workflows: results arrive, and what waited for them goes on."""

    def __init__(self, broker: FlowBroker) -> None:
        self._broker = broker
        self._arrivals: dict[str, list[tuple[Destination, Arrival, Flow]]] = {}
        """By namespace."""
        self._full: dict[str, Destination] = {}
        """By id, as the following."""
        self._stopped: dict[str, Flow] = {}
        """What is CANCELLED although its results come."""
        self._dead: set[str] = set()
        """The ids of the last nodes of workflows in which something has failed."""
        self._cancelled: dict[str, Destination] = {}
        """What is CANCELLED as its results do not come."""
        self._ended: list[Ending] = []
        """How maps ended that could not begin."""
        self.done: set[str] = set()
        """The keys of endings that are removed already."""

    async def end(self, ending: Ending, flow: Flow) -> None:
        """A task has ended: begin the maps over its result, and note where it arrives."""
        failed = ending.status is not Status.COMPLETED
        if failed and ending.status is not Status.CANCELLED:
            self._dead.add(flow.end)
        for destination in flow.to:
            if destination.slot == LIST and not failed:
                await self._expand(ending, destination, flow)
                continue
            slot = slot_of(destination.slot, ending.id)
            value = b"" if failed else ending.result
            namespace = namespace_of(destination.queue)
            is_all = len(flow.to) == 1 and namespace == namespace_of(ending.queue)
            key = ending.key if is_all else ""
            arrival = Arrival(
                destination.id, slot, destination.of, value, failed, flow.goes_on, key
            )
            group = self._arrivals.setdefault(namespace, [])
            group.append((destination, arrival, flow))

    async def go_on(self) -> list[Ending]:
        """Let all arrive. Returns the endings of what has ended by that."""
        broker = self._broker
        for group in self._arrivals.values():
            given = [arrival for _, arrival, _ in group]
            answers = await arrive(broker, group[0][0].queue, given)
            for (destination, arrival, flow), answer in zip(group, answers, strict=True):
                if answer is Arrived.WAITING and arrival.ending:
                    self.done.add(arrival.ending)
                self._answered(destination, flow, answer, failed=arrival.failed)
        following = [await go_on(broker, one.queue, one.id) for one in self._full.values()]
        # Where something else has failed, its replay comes here again.
        for flow in [one for one in self._stopped.values() if one.end not in self._dead]:
            following += await resume(broker, flow, [destination.id for destination in flow.to])
        following += [
            await _cancelled(broker, destination) for destination in self._cancelled.values()
        ]
        return [*self._ended, *(ending for ending in following if ending is not None)]

    async def _expand(self, ending: Ending, destination: Destination, flow: Flow) -> None:
        result, serializer = ending.result, ending.serializer
        answer = await expand(self._broker, destination, result, serializer, revives=flow.goes_on)
        if isinstance(answer, Ending):
            self._ended.append(answer)
        else:
            self._answered(destination, flow, answer, failed=False)

    def _answered(
        self, destination: Destination, flow: Flow, answer: Arrived, *, failed: bool
    ) -> None:
        if answer is Arrived.FULL:
            self._full[destination.id] = destination
        elif answer is Arrived.STOPPED and failed:
            self._cancelled[destination.id] = destination
        elif answer is Arrived.STOPPED:
            self._stopped[flow.end] = flow


async def _present(broker: FlowBroker, endings: Sequence[Ending]) -> list[Ending]:
    """Those that still are so: what failed may have been replayed since, or gone on with."""
    failed = [one for one in endings if one.status is not Status.COMPLETED]
    undone: set[str] = set()
    for queue, ids in _by_namespace((one.queue, one.id) for one in failed):
        states = [one for one in await broker.states(queue, ids) if one is not None]
        now = {state.id: state.status for state in states}
        undone |= {one.key for one in failed if now.get(one.id, one.status) is not one.status}
    return [one for one in endings if one.key not in undone]


async def _cancelled(broker: FlowBroker, destination: Destination) -> Ending | None:
    """The ending of a task that is cancelled as something failed that it needs."""
    task = await broker.held(destination.queue, destination.id, ())
    if task is None or task.status is not Status.CANCELLED:
        return None
    return Ending(
        key=ending_key(destination.id, task.token),
        id=destination.id,
        queue=destination.queue,
        status=Status.CANCELLED,
        ctx=task.ctx,
        serializer=task.serializer,
        body=task.body,
    )


async def _stop_all(broker: FlowBroker, told: Sequence[_Told]) -> None:
    """Stop the workflows in which something has failed, or was cancelled."""
    by_end: dict[str, list[_Told]] = {}
    for ending, flow in told:
        if not flow.goes_on or ending.id == flow.end:
            by_end.setdefault(flow.end, []).append((ending, flow))
    for some in by_end.values():
        nodes, noted = await _nodes(broker, some)
        failed = [one.id for one, _ in some if one.status is not Status.CANCELLED]
        dead = [*dict.fromkeys(failed + noted)]
        await stop(broker, [node for node in nodes if node.id not in dead], dead)


async def _nodes(broker: FlowBroker, told: Sequence[_Told]) -> tuple[Sequence[TreeNode], list[str]]:
    """What is to be stopped because of these endings of a workflow; nothing if that was done.

    And what somebody has begun to stop it for, without coming to the end: a replay of that may be
    under way, and lets the workflow go on once it is stopped.
    """
    flow = told[0][1]
    last = await broker.held(flow.queue, flow.end, [NOTE])
    if last is None:  # its state is not kept, or it has begun
        own = next((ending for ending, _ in told if ending.id == flow.end), None)
        return (() if own is None else _tree(own.body, own.serializer)), []
    if last.status is Status.CANCELLED:
        has_failed = last.count is not None and last.count.failed > 0
        is_stopped = NOTE in last.slots or (flow.goes_on and has_failed)
        if is_stopped or all(_is_element(one) for _, one in told):
            return (), []
    noted = last.slots.get(NOTE, b"=")[1:].decode().split()
    return _tree(last.body, last.serializer), noted


def _tree(body: bytes, serializer: str) -> Sequence[TreeNode]:
    recipe = read_recipe(body, serializer)
    return () if recipe is None else recipe.tree


def _is_element(flow: Flow) -> bool:
    return any(destination.slot == ELEMENT for destination in flow.to)


def _by_namespace(keys: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Keys, each given behind its queue, by namespace: with one of its queues."""
    groups = by_namespace(keys, itemgetter(0)).values()
    return [(group[0][0], [key for _, key in group]) for group in groups]
