from collections.abc import Iterator

import pytest
import torch

from service.engine.engine import Engine

from .nets import CPU


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(CPU, max_batch=16, max_batch_pixels=2_000_000)
    yield engine
    engine.close()


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)
