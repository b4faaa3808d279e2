"""Calls about leases on several shards of a store, some of which may be away."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ltq.broker.roles import Settler
from ltq.errors import BrokerError
from ltq.message import Lease


class Renewal(NamedTuple):
    """What became of the leases that were to be renewed."""

    lost: Sequence[Lease]
    """Those that are lost, as far as is known."""
    failed: Mapping[str, Sequence[Lease]]
    """Those that could not be renewed, by shard."""
    error: BrokerError | None
    """Why; of several reasons one."""
    is_answered: bool
    """Whether any shard has answered, or none was asked."""


async def renew_each(settler: Settler, leases: Sequence[Lease], duration: float) -> Renewal:
    """Renew leases for `duration` seconds, those of each shard by themselves.

    So a shard that is away holds up no other. It raises no `BrokerError`, but returns it.
    """
    parts: dict[str, list[Lease]] = {}
    for lease in leases:
        parts.setdefault(settler.shard(lease.queue), []).append(lease)

    async def renew(shard: str) -> list[Lease] | BrokerError:
        try:
            return await settler.heartbeat(parts[shard], duration)
        except BrokerError as error:
            return error

    lost: list[Lease] = []
    failed: dict[str, Sequence[Lease]] = {}
    error: BrokerError | None = None
    answers = await asyncio.gather(*map(renew, parts))
    for shard, answer in zip(parts, answers, strict=True):
        if isinstance(answer, BrokerError):
            failed[shard], error = parts[shard], answer
        else:
            lost += answer
    return Renewal(lost, failed, error, len(failed) < len(parts) or not parts)
