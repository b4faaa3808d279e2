"""Fixtures of the middleware's tests."""

import pytest

from ltq.names import new_id


@pytest.fixture(params=["memory", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    """Where to send and to run: in this process, and on a real server."""
    if request.param == "memory":
        return f"memory://{new_id()}"
    redis_url: str = request.getfixturevalue("redis_url")
    return redis_url
