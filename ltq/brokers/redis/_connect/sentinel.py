"""Where a master is that sentinels watch."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    ConnectionError,  # noqa: A004  redis-py's name
    RedisError,
    ResponseError,
)

from ltq.brokers.redis._connect.addresses import Address, Translate
from ltq.brokers.redis._connect.asking import asking
from ltq.brokers.redis._connect.lookup import Lookup, failure, first_answer
from ltq.brokers.redis._connect.switches import Switches
from ltq.brokers.redis._connect.whereabouts import NowhereError, is_unknown_command

_WITHIN = 1.5
"""Seconds that one look may take."""


class BySentinel:
    """The master of a name, as sentinels tell. A server that says it is a replica is none.

    `make` makes a connection that is led to a sentinel.
    """

    within: float | None = None
    """See `Whereabouts`."""

    def __init__(
        self,
        sentinels: Sequence[Address],
        master: str,
        make: Callable[[], AbstractConnection],
        translate: Translate,
    ) -> None:
        self._sentinels = sentinels
        self._master = master
        self._ask = asking(make)
        self._translate = translate
        self._known: Address | None = None
        self._left: Address | None = None
        """The last one that was of no use."""
        self._lookup = Lookup("ltq-redis-sentinel", self._find)
        self._look_again: Callable[[], Awaitable[object]] | None = None
        self._switches = Switches(sentinels, master, make, self._switch)

    def follow(self, look_again: Callable[[], Awaitable[object]]) -> None:
        """Call this, from the first connection on, when sentinels say that the master is new."""
        self._look_again = look_again

    async def address(self) -> Address:
        """See `Whereabouts`. All sentinels are asked at once: what most of them say counts."""
        if self._look_again is not None and self._switches.may_listen:
            self._switches.start()
        if self._known is None:
            self._known = await self._lookup()
        return self._known

    def mark_stale(self, address: Address, error: Exception | None) -> None:
        """See `Whereabouts`."""
        if address == self._known:
            self._known = None
            if error is not None:
                self._left = address

    async def _switch(self, told: Address) -> None:
        """The master is new. Most sentinels may learn that later."""
        address = self._translate(told)
        if address != self._known and self._look_again is not None:
            self._known = address
            await self._look_again()

    async def check(self, connection: AbstractConnection) -> None:
        """See `Whereabouts`. Sentinels may be late to hear that another server was promoted."""
        try:
            await connection.send_command("ROLE")
            role, *_ = await connection.read_response()
        except ResponseError:  # the user has no right to ask
            return
        if role != b"master":
            raise ConnectionError("the sentinels still name a server that is a replica now")

    async def aclose(self) -> None:
        """See `Whereabouts`."""
        await self._switches.aclose()
        await self._lookup.aclose()

    def abandon(self) -> None:
        """See `Whereabouts`."""
        self._switches.abandon()
        self._lookup.abandon()

    async def _find(self) -> Address:
        errors: dict[Address, Exception] = {}
        votes: Counter[Address] = Counter()
        names: set[str] = set()
        is_answered = False

        def is_enough(answer: Address | list[str]) -> bool:
            nonlocal is_answered
            is_answered = True
            if isinstance(answer, Address):
                votes[answer] += 1
                return 2 * votes[answer] > len(self._sentinels)
            names.update(answer)
            return False

        await first_answer(
            self._sentinels, self._ask_one, errors, is_wanted=is_enough, stagger=0.0, within=_WITHIN
        )
        if votes:
            return max(votes, key=lambda one: (votes[one], one != self._left))
        if not is_answered:
            raise failure("sentinel", errors)
        known = (
            f"they know {', '.join(map(repr, sorted(names)))}" if names else "they do not say which"
        )
        raise NowhereError(f"the sentinels know no master named {self._master!r}: {known}")

    async def _ask_one(self, sentinel: Address) -> Address | list[str]:
        """Where the master is; the names of all masters if it is not among them."""
        command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._master)
        try:
            told = await self._ask(sentinel, command)
        except ResponseError as error:
            if not is_unknown_command(error):
                raise
            raise NowhereError(
                f"{sentinel} does not know SENTINEL: it is none, use a URL without +sentinel"
            ) from error
        match told:
            case (bytes(host), bytes(port)):
                return self._translate(Address(host.decode(), int(port)))
        try:
            masters = await self._ask(sentinel, ("SENTINEL", "MASTERS"))
        except RedisError:  # it need not say
            return []
        return [_name_in(fields) for fields in masters] if isinstance(masters, list) else []


def _name_in(fields: object) -> str:
    """The name of a master: the fields are a list of names and values, the name comes first."""
    match fields:
        case [b"name", bytes(name), *_]:
            return name.decode("utf-8", "replace")
    return "?"
