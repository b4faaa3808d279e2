import sys

import pytest

from ltq._codec.codec import Codec
from tests.codec.samples import CODECS

collect_ignore = [] if sys.version_info >= (3, 12) else ["test_pep695.py"]
"""What this Python cannot even read."""


@pytest.fixture(params=list(CODECS))
def codec(request: pytest.FixtureRequest) -> Codec:
    return CODECS[request.param]
