"""The calls of the scripts that steer queues and tasks."""

from typing import ClassVar

from ltq.brokers.redis._scripts import replies
from ltq.brokers.redis._scripts.script import RepeatedKnowingly, Script
from ltq.brokers.redis._server.call import Reply


class PauseCall(Script[int], frozen=True, kw_only=True):
    """Let nothing of queues be claimed."""

    name: ClassVar[str] = "pause"

    queues: list[str]

    def read(self, reply: Reply) -> int:
        return replies.integer(reply)


class PromoteCall(Script[int], frozen=True, kw_only=True):
    """Make delayed tasks pending now."""

    name: ClassVar[str] = "promote"

    queue: str
    call: str
    ids: list[str]

    def read(self, reply: Reply) -> int:
        return replies.integer(reply)


class RerunCall(RepeatedKnowingly[list[str]], frozen=True, kw_only=True):
    """Send final tasks once more."""

    name: ClassVar[str] = "rerun"

    queue: str
    tasks: list[str]

    def read(self, reply: Reply) -> list[str]:
        return [answer.decode() for answer in reply]


class ResumeCall(Script[int], frozen=True, kw_only=True):
    """Let queues be claimed from again."""

    name: ClassVar[str] = "resume"

    queues: list[str]

    def read(self, reply: Reply) -> int:
        return replies.integer(reply)
