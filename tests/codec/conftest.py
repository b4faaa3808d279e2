import pytest

from ltq._codec.codec import Codec
from tests.codec.samples import CODECS


@pytest.fixture(params=list(CODECS))
def codec(request: pytest.FixtureRequest) -> Codec:
    return CODECS[request.param]
