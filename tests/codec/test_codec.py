"""The wire format of a worker."""

from typing import (
    Annotated,
    Any,
)

import pytest

from ltq._codec.codec import Codec
from ltq.codec import Serializer
from ltq.errors import (
    ConfigurationError,
)
from tests.codec.samples import (
    PlainJson,
    Repo,
    arrive,
    taking,
)


class TestCodec:
    @pytest.mark.parametrize("serializer", ["pickle", "", None, 5, object()])
    def test_any_other_serializer_is_a_configuration_error(self, serializer: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"serializer=.* is not allowed") as caught:
            Codec(serializer)
        assert '"json", "msgpack", or an object with dumps and loads' in str(caught.value)

    def test_an_object_with_dumps_and_loads_is_a_serializer(self) -> None:
        serializer: Serializer = PlainJson()
        assert taking(int, Codec(serializer)).encode_call((1,), {}) == b"[[1], {}]"

    def test_a_decoder_is_made_once_per_type(self) -> None:
        codec = Codec()
        assert codec.decoder(list[Repo]) is codec.decoder(list[Repo])

    def test_a_type_that_cannot_be_hashed_has_a_decoder(self) -> None:
        assert arrive(taking(Annotated[int, []]), 5) == 5
