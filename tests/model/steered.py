"""Random walks on which queues are paused and resumed, and tasks steered: many at once."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import multiple, rule

from ltq.errors import LtqError, RerunError
from ltq.options import Priority
from ltq.state import Status
from tests.model.machine import FAR, HOUR, OTHER_TASK, Machine, final, limits, queues, sendings
from tests.model.mortal import Mortal, some_tasks
from tests.model.reference import Selected

selections = st.fixed_dictionaries(
    {
        "status": st.sampled_from([None, None, Status.PENDING, Status.DELAYED, Status.WORKING]),
        "task_name": st.sampled_from([None, None, OTHER_TASK, ""]),
        "tag": st.sampled_from([None, None, "a", "b"]),
        "older_than": st.sampled_from([None, None, 0.0, HOUR]),
    }
)
"""The empty name of a task stands for that of its queue."""


batches = st.lists(sendings, max_size=4)


class Steered(Mortal):
    """Adds what steers queues and tasks. The calls may be repeated after a lost reply."""

    @rule(queue=queues, times=st.integers(1, 2))
    def pause(self, queue: int, times: int) -> None:
        name = self.store.queues[queue]
        for _ in range(times):
            self.begin()
            self.model.pause(name)
            self.run(self.broker.pause(name))

    @rule(queue=queues, times=st.integers(1, 2))
    def resume(self, queue: int, times: int) -> None:
        name = self.store.queues[queue]
        for _ in range(times):
            self.begin()
            self.model.paused.discard(name)
            self.run(self.broker.resume(name))

    @rule(task_ids=some_tasks, queue=queues, far=st.booleans())
    def promote(self, task_ids: list[str], queue: int, far: bool) -> None:
        """Also tasks in other places, of another queue, and twice the same."""
        self.begin()
        name = self.store.queues[queue]
        ids = (
            task_ids
            + [task.id for task in self.model.of(Status.DELAYED, name)][: 2 * far]
            + task_ids[:1]
        )
        expected = self.model.promote(name, ids)
        assert self.run(self.broker.promote(name, ids)) == expected
        before = self.store.dump()
        assert self.run(self.broker.promote(name, ids)) == 0
        assert self.store.dump() == before

    @rule(target=Machine.tasks, queue=queues, selection=selections, options=batches, take=limits)
    def cancel_many(
        self, queue: int, selection: dict[str, Any], options: list[dict[str, Any]], take: int
    ) -> Any:
        """Some are new, and of these some run."""
        ids = self.sent(queue, options)
        self.taken("a", 2, take, 0)
        now = self.begin()
        name = self.store.queues[queue]
        if selection["task_name"] == "":
            selection = {**selection, "task_name": name}
        expected = self.model.cancel_many(Selected(name, **selection), now)
        assert self.run(self.broker.cancel_many(name, **selection)) == expected
        assert self.run(self.broker.cancel_many(name, **selection)) == 0
        return multiple(*ids)

    def sent(self, queue: int, options: list[dict[str, Any]]) -> list[str]:
        """Send a task with each of these options."""
        ids: list[str] = []
        for number, one in enumerate(options):
            delay = FAR * (number % 2)
            ids += self.publish(1, queue, delay, Priority.NORMAL, one).values
        return ids

    @rule(
        target=Machine.tasks,
        task_ids=some_tasks,
        queue=queues,
        count=st.integers(0, 3),
        ends=st.lists(st.sampled_from("cfrx"), max_size=3),
        options=sendings,
    )
    def rerun(
        self,
        task_ids: list[str],
        queue: int,
        count: int,
        ends: list[str],
        options: dict[str, Any],
    ) -> Any:
        """Also tasks that have not ended, are unknown, of another queue, and twice the same."""
        self.end_some(queue, ends, options)
        now = self.begin()
        name, ids = self.store.queues[queue], self.ended(task_ids, queue, count)
        error = self.model.refusal(name, ids)
        if error is not None:
            self.refused(name, ids, error)
            return multiple()
        new_ids = self.run(self.broker.rerun(name, ids))
        assert len({*new_ids} - self.model.known) == len(ids)
        self.model.rerun(ids, new_ids, now)
        return multiple(*new_ids)

    def end_some(self, queue: int, ends: list[str], options: dict[str, Any]) -> None:
        """Send a task for each of these ends, and let it end so: `x` means that it is cancelled."""
        for end in ends:
            (task_id,) = self.publish(1, queue, 0.0, Priority.HIGH, options).values
            for lease in self.taken("b", 2, 10, 0):
                self.finished([final(lease, "c" if end == "x" else end, HOUR)])
            if end == "x":
                self.cancel(task_id, HOUR)

    def ended(self, task_ids: list[str], queue: int, count: int) -> list[str]:
        """The last final tasks of a queue, some ids besides, and perhaps the first of all again."""
        name = self.store.queues[queue]
        tasks = [task for task in self.model.tasks.values() if task.status.is_final]
        own = [task.id for task in tasks if task.queue == name and task.keeps_arguments]
        ids = own[len(own) - min(count, len(own)) :] + task_ids * (count < 2)
        return self.whole(ids + ids[:1] * (count == 3))

    def refused(self, queue: str, ids: Sequence[str], error: LtqError) -> None:
        """Nothing is sent, and each task that is why is named, with the reason."""
        before = self.store.dump()
        with pytest.raises(type(error)) as info:
            self.run(self.broker.rerun(queue, ids))
        assert self.store.dump() == before
        if isinstance(error, RerunError) and isinstance(info.value, RerunError):
            assert info.value.reasons.keys() == error.reasons.keys()
            assert all(why in info.value.reasons[one] for one, why in error.reasons.items())
