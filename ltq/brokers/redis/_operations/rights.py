"""Whether a user may do all that workers' scripts do: otherwise they would fail halfway."""

import re
from functools import cache

from ltq.brokers.redis._scripts import calls
from ltq.brokers.redis._scripts.texts import source
from ltq.brokers.redis._server.call import Argument
from ltq.brokers.redis._server.link import Link
from ltq.brokers.redis._server.refusals import RefusedError
from ltq.brokers.redis._server.trials import TRIALS
from ltq.errors import BrokerError
from ltq.names import new_id

_SCRIPTS = ("claim", "finish", "heartbeat", "sweep")
_ANSWER_PATIENCE = 1.0
"""Seconds that the server has to answer."""

_COMMAND = re.compile(r"(?:redis\.p?call|call_or_reset)\('([A-Z]+)'")
_ELSEWHERE = {"TIME", "DEL", "PUBLISH"}
"""TIME comes first in every script, so that nothing is done if it is refused. DEL is tried out by
the script `rights` itself. Nothing is lost without PUBLISH: who waits reads."""


async def check_rights(link: Link) -> None:
    """Raise `RefusedError` if the user may not use a command of these scripts, or does not exist.

    A server that cannot be asked now is none that refuses.
    """
    call = calls.RightsCall(prefix=f"{link.keys.probe(link.home, new_id())}:", trials=[*_trials()])
    try:
        refused = await link.evaluate(call, patience=_ANSWER_PATIENCE)
    except BrokerError as error:
        if not error.is_away:
            raise
        return
    if refused:
        names = [name.lower() for name in refused]
        raise RefusedError(
            f"the Redis user may not use {', '.join(names)}, and tasks would be lost halfway: "
            f"`ACL SETUSER NAME {' '.join(f'+{name}' for name in names)}` grants that"
        )


@cache
def _trials() -> tuple[Argument, ...]:
    words: list[Argument] = []
    needed = {name for script in _SCRIPTS for name in _COMMAND.findall(source(script))}
    for name in sorted(needed - _ELSEWHERE):
        arguments = ("1",) if name == "SET" else TRIALS[name][1:]
        words += (name, len(arguments), *arguments)
    return tuple(words)
