"""The calls about schedules that are kept, and how such a schedule is written."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from ltq.broker.schedules import KeptSchedule, ScheduleChanges, ScheduleRecord
from ltq.brokers.redis._scripts import replies
from ltq.brokers.redis._scripts.script import Bounded, Flag, RepeatedKnowingly, Script
from ltq.brokers.redis._server.call import Reply
from ltq.brokers.redis._server.keys import namespace_in
from ltq.message import Envelope

_DEFAULTS = msgspec.to_builtins(Envelope(id="", queue="", task_name="", body=b""))


class WrittenSchedule(NamedTuple):
    """A schedule as Redis keeps it."""

    plan: bytes
    """All but the arguments, as JSON."""
    body: bytes


def write_schedule(schedule: KeptSchedule) -> WrittenSchedule:
    """How a schedule is kept. Arguments stay as they travel, so that people can read them."""
    envelope = schedule.envelope
    fields = msgspec.to_builtins(replace(envelope, body=b"", ctx=b""))
    said = {name: value for name, value in fields.items() if value != _DEFAULTS[name]}
    if envelope.ctx:
        said["ctx"] = envelope.ctx.decode("utf-8", "surrogateescape")
    plan = {"expr": schedule.expr, "tz": schedule.tz, "misfire": schedule.misfire, "task": said}
    return WrittenSchedule(msgspec.json.encode(plan), envelope.body)


def read_schedule(name: str, written: WrittenSchedule) -> KeptSchedule | None:
    """The schedule that was kept so; None if somebody has damaged it."""
    try:
        plan: dict[str, Any] = msgspec.json.decode(written.plan)
        said = plan.pop("task")
        ctx = said.pop("ctx", "").encode("utf-8", "surrogateescape")
        envelope = msgspec.convert({**_DEFAULTS, **said}, Envelope)
        envelope = replace(envelope, body=written.body, ctx=ctx)
        return msgspec.convert({**plan, "name": name, "envelope": envelope}, KeptSchedule)
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, AttributeError):
        return None


class ChangedSchedulesCall(Bounded[ScheduleChanges], frozen=True, kw_only=True):
    """Read what was changed. The reply may hold only the first ones."""

    name: ClassVar[str] = "changed_schedules"

    after: int
    limit: int

    def read(self, reply: Reply) -> ScheduleChanges:
        records, gone, latest, more = reply
        return ScheduleChanges(
            records=[_record(self.prefix, values) for values in records],
            gone=[name.decode("utf-8", "replace") for name in gone],
            latest=replies.integer(latest),
            has_more=more == 1,
        )


class PauseScheduleCall(Script[bool], frozen=True, kw_only=True):
    """Pause a schedule, or resume it. The reply is False if there is none."""

    name: ClassVar[str] = "pause_schedule"

    schedule: str
    paused: Flag

    def read(self, reply: Reply) -> bool:
        return replies.integer(reply) == 1


class PutScheduleCall(Script[bool], frozen=True, kw_only=True):
    """Keep a schedule. The reply is False if running code declares its name."""

    name: ClassVar[str] = "put_schedule"

    schedule: str
    spec: str
    due: int
    put: str
    plan: bytes
    body: bytes
    queue: str

    def read(self, reply: Reply) -> bool:
        return replies.integer(reply) == 1


class AdoptScheduleCall(PutScheduleCall, frozen=True, kw_only=True):
    """Keep a schedule as another store kept it. The reply is False if its name is taken."""

    name: ClassVar[str] = "adopt_schedule"

    last: int
    fired: int | Literal[""]
    paused: Flag
    resumed: float


class RemoveScheduleCall(RepeatedKnowingly[bool], frozen=True, kw_only=True):
    """Forget a schedule. The reply is False if there is none that may be forgotten."""

    name: ClassVar[str] = "remove_schedule"

    schedule: str

    def read(self, reply: Reply) -> bool:
        return replies.integer(reply) == 1


class SchedulesCall(Bounded[list[ScheduleRecord | None]], frozen=True, kw_only=True):
    """Read what is known of schedules. The reply may hold only the first ones."""

    name: ClassVar[str] = "schedules"

    names: list[str]

    def read(self, reply: Reply) -> list[ScheduleRecord | None]:
        return [None if one == 0 else _record(self.prefix, one) for one in reply]


def _record(prefix: str, values: Sequence[Any]) -> ScheduleRecord:
    name, spec, last, put, plan, body, paused, resumed, fired = values
    own_name = name.decode("utf-8", "replace")
    schedule = read_schedule(own_name, WrittenSchedule(plan or b"", body or b"")) if put else None
    return ScheduleRecord(
        name=own_name,
        namespace=namespace_in(prefix),
        spec=(spec or b"").decode("utf-8", "replace"),
        put=(put or b"").decode("utf-8", "replace"),
        schedule=schedule,
        is_paused=paused == b"1",
        resumed=float(resumed or 0),
        last=int(last),
        fired=int(fired) if fired else None,
    )
