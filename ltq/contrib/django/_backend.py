"""`LtqBackend`: the tasks of Django 6, run by LTQ."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.exceptions import SynchronousOnlyOperation
from django.utils import timezone

from ltq._aio.loops import loop_here
from ltq._aio.portal import open_portal
from ltq.codec import DEFAULT_MAX_PAYLOAD
from ltq.contrib.django._calls import QueuedFunction, as_enqueued, call_of, level_of
from ltq.contrib.django._known import find, known_to, remember
from ltq.contrib.django._options import problems, read_options, worker_name
from ltq.contrib.django._results import Found, known_result, look_up, new_result
from ltq.contrib.django._running import runner_of
from ltq.contrib.django._senders import Sender, sender_of
from ltq.contrib.django._tasks_api import (
    DEFAULT_TASK_QUEUE_NAME,
    BaseTaskBackend,
    InvalidTask,
    TaskResultDoesNotExist,
    normalize_json,
    task_enqueued,
)
from ltq.errors import ConfigurationError, TaskNotFoundError
from ltq.message import Message
from ltq.names import check_name, is_name
from ltq.task import Task
from ltq.worker import Worker

_LONGEST_QUEUE = 100
"""Most characters of a queue's name, so that names of tasks have room beside it."""


class LtqBackend(BaseTaskBackend):
    """A backend for Django's tasks. `manage.py ltq_worker` runs them.

        TASKS = {
            "default": {
                "BACKEND": "ltq.contrib.django.LtqBackend",
                "QUEUES": ["default", "emails"],
                "OPTIONS": {"broker_url": "redis://localhost:6379"},
            }
        }

    `OPTIONS`: `broker_url`, a URL or the `@name` of a broker; `worker`, the name of the worker, by
    default `django`; `result_ttl`, how long results are kept, a timedelta or seconds. Positive
    priorities are LTQ's "high", negative ones "low". A call enqueues once it is made, whatever
    becomes of a transaction: `transaction.on_commit` lets it wait.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def validate_task(self, task: Any) -> None:
        """Raise `InvalidTask` for a task that cannot be enqueued."""
        super().validate_task(task)
        function, worker = QueuedFunction.of(task), worker_name(self.options)
        try:
            check_name("task", f"{worker}:{function.task_name}")
            check_name("queue", function.queue_of(worker))
        except ConfigurationError as error:
            raise InvalidTask(str(error)) from error
        remember(self.alias, task)

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Let a worker run the task.

        Raises `InvalidTask`, `TypeError` for arguments that are not JSON, `BrokerError`, and
        `SynchronousOnlyOperation` in an event loop.
        """
        self._check_no_loop("task.aenqueue(...)")
        result, sending, message = self._prepare(task, args, kwargs)
        sending.send_many_sync([message])
        object.__setattr__(result, "enqueued_at", timezone.now())
        task_enqueued.send_robust(type(self), task_result=result)
        return result

    async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """`enqueue` for coroutines."""
        result, sending, message = self._prepare(task, args, kwargs)
        # Django has an event loop for each request or call: connections of its own do not pay.
        await asyncio.to_thread(sending.send_many_sync, [message])
        object.__setattr__(result, "enqueued_at", timezone.now())
        await task_enqueued.asend_robust(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> Any:
        """The task with this id, sent by any process.

        Raises `TaskResultDoesNotExist` if there is none, its result has expired, or its function is
        not there any more; `BrokerError`; and `SynchronousOnlyOperation` in an event loop.
        """
        self._check_no_loop("task.aget_result(...)")
        return self._result(self._look_up(result_id))

    async def aget_result(self, result_id: str) -> Any:
        """`get_result` for coroutines."""
        return self._result(await asyncio.to_thread(self._look_up, result_id))

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """The system checks: options, names of queues, and what the worker needs."""
        return list(self._check())

    def ltq_worker(self, others: Iterable[Any] = ()) -> Worker[None]:
        """The worker that runs the tasks of this backend that this process knows.

        `others` are tasks of other backends, which may be sent to this one. Each function is served
        in all `QUEUES`. Raises `ConfigurationError` for wrong options.
        """
        options = read_options(self.options)
        worker: Worker[None] = Worker(
            options.worker,
            broker=self._sender().worker.broker,
            result_ttl=options.result_ttl,
            # The call, of the most that can be sent, and a result as large as it is elsewhere.
            max_payload=2 * DEFAULT_MAX_PAYLOAD,
        )
        tasks = {task.module_path: task for task in (*others, *known_to(self.alias))}
        for path, task in sorted(tasks.items()):
            for queue in sorted(self.queues or {task.queue_name}):
                function = QueuedFunction(path, queue)
                declare = worker.task(
                    name=function.task_name, queue=function.queue_of(options.worker)
                )
                declare(runner_of(task, function, self.alias, type(self)))
        return worker

    def _sender(self) -> Sender:
        return sender_of(read_options(self.options))

    def _prepare(
        self, task: Any, args: Any, kwargs: Any
    ) -> tuple[Any, Task[..., Any], Message[Any]]:
        """The result of a task that is not sent yet, and what sends it."""
        self.validate_task(task)
        call = call_of(task, normalize_json(list(args)), normalize_json(dict(kwargs)))
        sending = self._sender().task(QueuedFunction.of(task))
        sending = sending.with_options(priority=level_of(task.priority))
        if task.run_after is not None:
            due = task.run_after
            sending = sending.with_options(
                eta=timezone.make_aware(due) if timezone.is_naive(due) else due
            )
        message = sending.message(**call)
        return new_result(task, self.alias, message.id, call), sending, message

    def _look_up(self, result_id: str) -> Found:
        """Raises `TaskResultDoesNotExist`."""
        worker = self._sender().worker
        if not is_name(result_id):
            raise TaskResultDoesNotExist(result_id)
        portal = open_portal("await task.aget_result(...)")
        queue = f"{worker.name}:{DEFAULT_TASK_QUEUE_NAME}"
        try:
            return portal.call(worker.broker, look_up(worker.broker, queue, result_id))
        except TaskNotFoundError:
            raise TaskResultDoesNotExist(result_id) from None

    def _result(self, found: Found) -> Any:
        state = found.state
        function = QueuedFunction.read(state.task_name)
        try:
            declared = find(self.alias, function.path)
            task = as_enqueued(declared, function, self.alias, found.call or {})
        except (ImportError, TypeError, InvalidTask) as error:
            raise TaskResultDoesNotExist(
                f"{state.id}: {function.path} is not a task here"
            ) from error
        return known_result(task, self.alias, found)

    def _check_no_loop(self, instead: str) -> None:
        if loop_here() is not None:
            raise SynchronousOnlyOperation(
                f"You cannot call this from an async context - use `await {instead}`."
            )

    def _check(self) -> Iterator[checks.CheckMessage]:
        where = f"TASKS[{self.alias!r}]"
        wrong = list(problems(self.options))
        for problem in wrong:
            yield checks.Error(f"{where}: {problem.text}", id=problem.id)
        for queue in sorted(map(str, self.queues)):
            if not is_name(queue) or len(queue) > _LONGEST_QUEUE:
                text = "1 to 100 of the characters A-Z a-z 0-9 _ . : -"
                yield checks.Error(
                    f"{where}: queue {queue!r} is not allowed: {text}", id="ltq.E005"
                )
        if not self.queues:
            yield checks.Warning(
                f"{where}: QUEUES is empty, so tasks may be sent to any queue, but a worker serves "
                "only the queues that decorators name",
                hint="List all queues in QUEUES.",
                id="ltq.W001",
            )
        if not apps.is_installed("ltq.contrib.django"):
            yield checks.Warning(
                f"{where}: its tasks are run by `manage.py ltq_worker`, which is missing",
                hint='Add "ltq.contrib.django" to INSTALLED_APPS.',
                id="ltq.W002",
            )
        if not wrong:
            yield from self._check_others(where)

    def _check_others(self, where: str) -> Iterator[checks.CheckMessage]:
        """Two backends with one worker would run each other's tasks."""
        own = self.options.get("worker", "django")
        for alias, params in settings.TASKS.items():
            options = params.get("OPTIONS", {})
            is_same = params.get("BACKEND") == settings.TASKS[self.alias].get("BACKEND")
            if is_same and alias < self.alias and options.get("worker", "django") == own:
                yield checks.Error(
                    f"{where} and TASKS[{alias!r}] have the same worker {own!r}",
                    hint='Give one of them another name in its OPTIONS: {"worker": "..."}.',
                    id="ltq.E006",
                )
