from collections.abc import Iterator

import pytest

from service.engine.engine import Engine

from .nets import CPU


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(CPU, max_batch=16, max_batch_pixels=2_000_000)
    yield engine
    engine.close()
