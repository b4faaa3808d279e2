"""The parameter `prefix`: applications that share a server and see nothing of each other."""

import pytest

from ltq import Broker, ConfigurationError
from ltq.brokers.redis import RedisBroker
from ltq.message import Published
from tests.conformance.factories import QUEUE, claim_ids, make_envelope, make_worker_entry


class TestPrefix:
    @pytest.mark.parametrize(("one", "other"), [("shop", "ltq"), ("ltq:a", "ltq"), ("a.b", "a-b")])
    async def test_brokers_with_different_ones_do_not_see_each_other(
        self, redis_url: str, one: str, other: str
    ) -> None:
        async with (
            RedisBroker(f"{redis_url}?prefix={one}") as here,
            RedisBroker(f"{redis_url}?prefix={other}") as there,
        ):
            envelope = make_envelope()
            assert await here.publish([envelope]) == [Published.CREATED]
            await here.announce(make_worker_entry())
            assert await there.queues() == []
            assert await there.workers() == []
            assert await there.find(envelope.id) is None
            assert await there.publish([envelope]) == [Published.CREATED]
            async with there.consumer([QUEUE]) as consumer:
                assert await claim_ids(consumer, 1) == [envelope.id]
            (stats,) = await here.stats([QUEUE])
            assert stats.pending == 1
            assert [one.name for one in await here.workers()] != []

    async def test_the_doctor_looks_at_its_own_keys(self, redis_url: str) -> None:
        async with (
            RedisBroker(f"{redis_url}?prefix=ltq:other") as other,
            RedisBroker(redis_url) as broker,
        ):
            await other.publish([make_envelope()])
            keys = [one.text for one in await broker.examine() if one.name == "keys"]
            assert keys == ["keys under ltq: 0, all as they should be"]
            (own,) = [one.text for one in await other.examine() if one.name == "keys"]
            assert own.startswith("keys under ltq:other: ")
            assert own.endswith("all as they should be")

    @pytest.mark.parametrize("prefix", ["a{b", "a b", "a*", "ä", "a" * 65, "a/b"])
    def test_another_text_is_refused_by_its_name(self, prefix: str) -> None:
        with pytest.raises(ConfigurationError, match="is not allowed in a broker URL: 1 to 64"):
            Broker.from_url(f"redis://localhost?prefix={prefix}")
