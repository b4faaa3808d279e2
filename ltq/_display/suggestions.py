"""What somebody may have meant who gave an unknown option, or a name that nothing has."""

import functools
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar, cast

from ltq.errors import ConfigurationError

F = TypeVar("F", bound=Callable[..., Any])

_OTHER_WORDS = {
    # options of tasks and sends
    **dict.fromkeys(("max_retries", "retries", "retry", "max_attempts", "attempts"), "max_tries"),
    **dict.fromkeys(("tries", "retry_limit", "max_retry", "stop_max_attempt"), "max_tries"),
    **dict.fromkeys(("retry_backoff", "retry_delay", "default_retry_delay"), "backoff"),
    **dict.fromkeys(("min_backoff", "retry_interval", "retry_wait"), "backoff"),
    **dict.fromkeys(("autoretry_for", "retry_for", "retry_when", "throws"), "retry_on"),
    **dict.fromkeys(("countdown", "defer_by", "wait", "delay_seconds", "in_", "after"), "delay"),
    **dict.fromkeys(("defer_until", "run_at", "at", "schedule_at", "scheduled"), "eta"),
    **dict.fromkeys(("expires", "expire", "ttl", "message_ttl", "expires_in"), "max_age"),
    **dict.fromkeys(("rate_limit", "rate", "throttle"), "max_rate"),
    **dict.fromkeys(("time_limit", "soft_time_limit", "job_timeout", "task_timeout"), "timeout"),
    **dict.fromkeys(("soft_timeout", "hard_timeout", "run_timeout", "max_time"), "timeout"),
    **dict.fromkeys(("keep_result", "result_expires", "result_timeout"), "result_ttl"),
    **dict.fromkeys(("task_id", "job_id", "message_id", "_job_id"), "id"),
    **dict.fromkeys(("task_name", "actor_name", "func_name"), "name"),
    **dict.fromkeys(("former_names", "former_name", "old_names", "old_name"), "aliases"),
    **dict.fromkeys(("previous_names", "also_known_as", "formerly"), "aliases"),
    **dict.fromkeys(("queue_name", "routing_key", "_queue_name"), "queue"),
    **dict.fromkeys(("concurrency", "max_concurrency", "concurrency_limit"), "max_running"),
    **dict.fromkeys(("max_queue_size", "queue_size", "maxsize", "max_length"), "max_pending"),
    **dict.fromkeys(("unique", "once", "dedupe", "dedup", "singleton", "lock"), "unique_for"),
    **dict.fromkeys(("reject_on_worker_lost", "max_stalled_count"), "max_deliveries"),
    # options of workers
    **dict.fromkeys(("url", "redis_url", "broker_uri", "redis", "dsn"), "broker_url"),
    **dict.fromkeys(("max_workers", "max_jobs", "pool_size", "threads"), "concurrency"),
    **dict.fromkeys(("prefetch_multiplier", "prefetch", "workers"), "concurrency"),
    **dict.fromkeys(("middleware", "plugins"), "middlewares"),
    **dict.fromkeys(("visibility_timeout", "lock_timeout", "lease_time"), "lease"),
    **dict.fromkeys(("grace_period", "graceful_timeout", "stop_timeout"), "shutdown_timeout"),
    **dict.fromkeys(("on_startup", "on_shutdown", "startup", "shutdown"), "lifespan"),
    **dict.fromkeys(("task_serializer", "encoder", "json"), "serializer"),
    # options of schedules
    **dict.fromkeys(("timezone", "time_zone", "zone", "zoneinfo"), "tz"),
    **dict.fromkeys(("schedule", "crontab", "cron", "expression", "spec"), "expr"),
    **dict.fromkeys(("coalesce", "catchup", "catch_up", "misfire_policy"), "misfire"),
    **dict.fromkeys(("schedule_id", "schedule_name"), "name"),
    "ignore_result": "result_ttl",
    "store_results": "result_ttl",
}
"""What other libraries call these options."""

_NEEDLESS = {
    **dict.fromkeys(("acks_late", "acks_on_failure_or_timeout"), "tasks are acknowledged late"),
    **dict.fromkeys(("jitter", "retry_jitter", "backoff_jitter"), "pauses have full jitter"),
    "bind": "ltq.current() is the running task",
}
"""Options of other libraries for what LTQ always does."""

_SHORT = 4
"""Letters of a word that comes near to many: what is meant begins with the same one."""

_MOST_NAMES = 3
"""Most names that are suggested."""

_NEAR = 0.75
"""How much two names must have in common, 1 being all."""


def suggestion(option: str, allowed: Collection[str], elsewhere: Mapping[str, str]) -> str:
    """What an unknown option may mean: a sentence and a space, or empty.

    `elsewhere` has the options that are allowed in another place, and that place.
    """
    from difflib import get_close_matches  # only a wrong name needs it

    if option in _NEEDLESS:
        return f"{_NEEDLESS[option]}. "
    word = option.lower()
    known = [*allowed, *(one for one in elsewhere if one not in allowed)]
    meant = word if word in known else _OTHER_WORDS.get(word)
    if meant not in known:
        near = get_close_matches(word, known, 1)
        is_near = near and (len(word) > _SHORT or near[0][0] == word[0])
        meant = near[0] if is_near else None
    if meant is None:
        near = get_close_matches(word, _OTHER_WORDS, 1, 0.8)
        meant = _OTHER_WORDS[near[0]] if near else None
    if meant in allowed:
        return f"did you mean {meant!r}? "
    if meant is not None and meant in elsewhere:
        return f"{meant!r} belongs to {elsewhere[meant]}. "
    return ""


def names_options(fn: F) -> F:
    """A constructor, or another method, that says what an unknown option may mean.

    It then raises `ConfigurationError`, where Python has a `TypeError`.
    """
    allowed = [*inspect.signature(fn).parameters][1:]

    @functools.wraps(fn)
    def checked(*args: Any, **kwargs: Any) -> Any:
        for name in kwargs:
            if name not in allowed:
                raise ConfigurationError(
                    f"unknown option {name!r}: {suggestion(name, allowed, {})}"
                    f"allowed are {', '.join(allowed)}"
                )
        return fn(*args, **kwargs)

    return cast(F, checked)


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """At most three of the known names that come near to a wrong one, whatever their case.

    Those that it is a part of come first. If none comes near, they are those that contain it, or
    else those with the same part before the colon: that of a worker.
    """
    from difflib import get_close_matches  # only a wrong name needs it

    by_lower = {one.lower(): one for one in known}
    word = name.lower()
    parts = [one for one in by_lower if word in one.split(":")]
    if len(word) > _SHORT:
        alike = get_close_matches(word, by_lower, _MOST_NAMES, _NEAR)
    else:
        alike = [one for one in get_close_matches(word, by_lower) if one[0] == word[0]]
    near = [*parts, *alike]
    wider = [one for one in by_lower if len(word) > 2 and word in one]
    first = word.partition(":")[0]
    siblings = [one for one in by_lower if one.partition(":")[0] == first]
    return [by_lower[one] for one in dict.fromkeys(near or wider or siblings)][:_MOST_NAMES]
