"""The worker that decides who is told what; the telling is the other worker's."""

from dataclasses import dataclass

import ltq
from examples.app.emails import send_email

worker = ltq.Worker("notifications")

FOLLOWERS = {
    "redis": ["ada@example.org", "grace@example.org"],
    "python": ["ada@example.org", "guido@example.org", "grace@example.org"],
}


@dataclass(frozen=True)
class Told:
    """Who is told, and the ids of the emails' tasks."""

    topic: str
    emails: list[str]


@worker.task
async def notify(topic: str, news: str) -> Told:
    """Send an email task for each follower of a topic, all in one call to Redis."""
    if topic not in FOLLOWERS:
        raise ltq.RejectError(f"nobody knows the topic {topic}")
    subject = f"{topic}: {news}"
    handles = await send_email.send_many(
        [send_email.message(follower, subject) for follower in FOLLOWERS[topic]]
    )
    return Told(topic, [handle.id for handle in handles])
