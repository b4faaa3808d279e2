"""TLS: files that the URL names and that cannot be read are told at once, by name."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from ltq import Broker, BrokerError, Worker
from ltq.brokers.redis._server.link import CALL_PATIENCE


async def refusal(parameters: str) -> str:
    """What a call over a URL with these parameters raises."""
    texts: list[str] = []
    async with Broker.from_url(f"rediss://localhost:1/0?{parameters}") as broker:
        for _ in range(2):  # the second call finds the error of the first
            async with asyncio.timeout(CALL_PATIENCE / 2):
                with pytest.raises(BrokerError) as caught:
                    await broker.ping()
            assert not caught.value.is_away
            texts.append(str(caught.value))
    assert texts[0] == texts[1]
    return texts[0]


@pytest.mark.parametrize("name", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_ca_path"])
async def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / "gone.pem"
    text = await refusal(f"{name}={path}")
    assert text == (
        f"Redis at localhost:1/0 cannot be called: {name}={str(path)!r} cannot be read: "
        "No such file or directory"
    )


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.mkdir(), "cannot be read: Is a directory"),
        (lambda path: path.write_text("no certificate"), "its TLS files cannot be used: "),
        (lambda path: path.write_text(""), "its TLS files cannot be used: "),
    ],
    ids=["directory", "text", "empty"],
)
async def test_so_is_a_wrong_one(make: Callable[[Path], object], says: str, tmp_path: Path) -> None:
    make(tmp_path / "ca.pem")
    assert says in await refusal(f"ssl_ca_certs={tmp_path / 'ca.pem'}")


async def test_a_worker_ends_with_it(tmp_path: Path) -> None:
    worker = Worker("shop", broker_url=f"rediss://localhost:1?ssl_ca_certs={tmp_path}/gone.pem")

    @worker.task
    async def pay() -> None: ...

    with pytest.raises(BrokerError, match="No such file or directory"):
        await worker.run()
    await worker.aclose()
