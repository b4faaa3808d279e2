"""The worker that decides who gets which notification; the other worker sends the emails."""

from dataclasses import dataclass

import ltq
from examples.app.emails import send_email

worker = ltq.Worker("notifications")

FOLLOWERS = {
    "redis": ["ada@example.org", "grace@example.org"],
    "python": ["ada@example.org", "guido@example.org", "grace@example.org"],
}


@dataclass(frozen=True)
class Notified:
    """The topic, and the ids of the tasks that send the emails."""

    topic: str
    emails: list[str]


@worker.task
async def notify(topic: str, news: str) -> Notified:
    """Send an email task for each follower of a topic, all in one call."""
    if topic not in FOLLOWERS:
        raise ltq.RejectError(f"nobody knows the topic {topic}")
    subject = f"{topic}: {news}"
    handles = await send_email.send_many(
        [send_email.message(follower, subject) for follower in FOLLOWERS[topic]]
    )
    return Notified(topic, [handle.id for handle in handles])
