"""A Django project in this process, for the time of a test."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django
from django.conf import settings
from django.test.utils import override_settings

from ltq.contrib.django.project import project_app

BACKEND = "ltq.contrib.django.LtqBackend"
LETTERS, PLAIN = "tests.contrib.letters", "tests.contrib.plain"


def configure() -> None:
    """Let this process have settings: those of whichever test is the first."""
    if not settings.configured:
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": "set by each test"}
        settings.configure(DATABASES={"default": database}, LOGGING_CONFIG=None)
        django.setup()


def backend(url: str, **options: Any) -> dict[str, Any]:
    """The setting of one backend."""
    options = {"broker_url": url, **options}
    return {"BACKEND": BACKEND, "QUEUES": ["default", "emails"], "OPTIONS": options}


@contextmanager
def project(*apps: str, **others: Any) -> Iterator[None]:
    """A project of these apps, with these settings."""
    configure()
    with override_settings(INSTALLED_APPS=["ltq.contrib.django", *apps], USE_TZ=True, **others):
        yield


def work(*names: str, concurrency: int = 10) -> None:
    """Run the workers of the project until nothing is due."""
    app = project_app(names)
    for worker in app.workers:
        worker.concurrency = concurrency
    asyncio.run(app.run(burst=True))
