"""Retrying and purging dead letters: those that were ticked, or all that match."""

from ltq.names import is_name
from ltq.web._actions.act import Act, Done
from ltq.web._pages.dead import queues_of
from ltq.web._source.letters import Wanted, ids_of, purge, retry
from ltq.web._view.render import query


async def retry_or_purge(act: Act) -> Done:
    """Do what the button says."""
    wanted = Wanted(act.get("queue"), act.get("task"), act.get("fault"))
    found = _ticked(act) if act.get("all") != "yes" else await _all(act, wanted)
    path = f"/dead{query(wanted.filters)}".removesuffix("?")
    if not any(found.values()):
        return Done("did nothing: no dead letters were chosen", path, changed=False)
    if act.get("do") == "retry":
        done, failed = await retry(act.ask.board.broker, found)
        rest = f"; {failed} could not be retried" if failed else ""
        return Done(f"retried {_letters(done)}{rest}", path, changed=done > 0)
    if act.get("do") == "purge":
        return Done(f"purged {_letters(await purge(act.ask.board.broker, found))}", path)
    return Done("did nothing: retry or purge?", path, changed=False)


def _ticked(act: Act) -> dict[str, list[str]]:
    """The ids by queue. Each is sent as `queue/id`."""
    found: dict[str, list[str]] = {}
    for one in act.chosen:
        queue, _, task_id = one.partition("/")
        if is_name(queue) and is_name(task_id):
            found.setdefault(queue, []).append(task_id)
    return found


async def _all(act: Act, wanted: Wanted) -> dict[str, list[str]]:
    return await ids_of(act.ask.readings, await queues_of(act.ask, wanted), wanted)


def _letters(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count} dead letters"
