"""An app of Django's with tasks of Django's."""

import asyncio
import os
import signal
from datetime import UTC, datetime
from typing import Any

import ltq

try:
    from django.tasks import task
except ImportError:  # before Django 6
    from django_tasks import task

ran: list[Any] = []
"""What ran, in order."""


class LetterError(Exception):
    pass


@task
def add(one: int, two: int = 0) -> int:
    return one + two


@task
async def add_slowly(one: int, two: int) -> int:
    await asyncio.sleep(0)
    return one + two


@task
def fail(text: str) -> None:
    raise LetterError(text)


@task
def fail_plainly() -> None:
    raise ValueError("first\nsecond: x")


@task
async def fail_together() -> None:
    raise ExceptionGroup("two", [ValueError("a"), LetterError("b")])


@task
def reject() -> None:
    raise ltq.RejectError("not wanted")


@task(takes_context=True)
def attempt(context: Any) -> list[Any]:
    result = context.task_result
    ran.append(result)
    if context.attempt == 1:
        raise ltq.RetryError
    return [context.attempt, result.id, result.status]


@task(takes_context=True)
async def attempt_slowly(context: Any) -> int:
    if context.attempt == 1:
        raise ltq.RetryError
    return int(context.attempt)


@task
def note(word: str) -> None:
    ran.append(word)


@task
def give_a_time() -> datetime:
    return datetime.now(UTC)


@task
def give_large(text: str) -> str:
    return text


@task
def change(values: list[int]) -> int:
    values.append(1)
    return len(values)


@task
def enqueue_another() -> str:
    return str(add.enqueue(3, two=4).id)


@task(takes_context=True)
def die_once(context: Any) -> int:
    if context.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return int(context.attempt)
