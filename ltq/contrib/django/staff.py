"""The dashboard for those who are signed in to Django's admin.

    dashboard(worker, authorize=staff_may)

Needs the extra `ltq[web]`, and the apps `django.contrib.auth` and `django.contrib.sessions`.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from ltq.web import Access


class HasCookies(Protocol):
    """A request of Starlette's, as `authorize` gets it."""

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies that it came with."""
        ...


async def staff_may(request: HasCookies) -> Access | None:
    """Who is signed in to Django: superusers may act, other staff may look, nobody else may.

    It is for `dashboard(..., authorize=staff_may)`, on the host of the Django site: the session
    cookie says who it is, and each request asks the session's store and the database.
    """
    key = request.cookies.get(settings.SESSION_COOKIE_NAME)
    return None if key is None else await sync_to_async(_access)(key)


def _access(session_key: str) -> Access | None:
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user: Any = get_user(request)
    if not (user.is_active and user.is_staff):
        return None
    return Access("write" if user.is_superuser else "read", str(user.get_username()))
