"""Memory of a device that runs out, on CUDA indeed and on a CPU by a stand-in."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from model_store.nets import TransformNet
from service.contract.problems import Unavailable
from service.engine.engine import Engine
from service.inference.cuda.graphs import GraphedNet, free_memory

from .nets import SECONDS, Gate, noise, result

MIB = 2**20
ROOM = 320 * MIB


class Hungry(TransformNet):
    """Needs memory for each picture."""

    def __init__(self, needed: int) -> None:
        super().__init__()
        self.needed = needed

    def transform(self, pictures: Tensor) -> Tensor:
        needed = len(pictures) * self.needed
        if pictures.is_cuda:
            torch.zeros(needed, dtype=torch.uint8, device=pictures.device)
        elif needed > ROOM:
            raise torch.OutOfMemoryError
        return pictures


@pytest.fixture
def device(each_device: torch.device) -> Iterator[torch.device]:
    """With little room."""
    if each_device.type == "cuda":
        free_memory()
        total = torch.cuda.get_device_properties(each_device).total_memory
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + ROOM) / total)
    yield each_device
    if each_device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(1.0)
        free_memory()


@pytest.fixture
def engine(device: torch.device) -> Iterator[Engine]:
    engine = Engine(device, 16, 2_000_000)
    yield engine
    engine.close()


def test_a_batch_that_does_not_fit_is_halved_until_it_does(engine: Engine) -> None:
    gate, net = Gate(), Hungry(100 * MIB)
    first = engine.submit(gate, noise(32, 32))
    assert gate.entered.wait(SECONDS)
    pictures = [noise(32, 32, seed) for seed in range(8)]
    futures = [engine.submit(net, picture) for picture in pictures]
    gate.opened.set()
    result(first)
    outputs = [result(future) for future in futures]
    assert [output.batch for output in outputs] == [2] * 8
    assert all(torch.equal(output.pixels, picture) for output, picture in zip(outputs, pictures, strict=True))


def test_a_picture_that_does_not_fit_is_refused_for_now_and_the_next_is_made(engine: Engine) -> None:
    error = engine.submit(Hungry(400 * MIB), noise(32, 32)).exception(SECONDS)
    assert isinstance(error, Unavailable)
    assert error.retry_after
    assert engine.is_alive
    assert result(engine.submit(Hungry(100 * MIB), noise(32, 32))).batch == 1


@pytest.mark.cuda
@pytest.mark.parametrize("each_device", ["cuda"], indirect=True)
def test_a_picture_fits_once_the_graphs_are_dropped(engine: Engine) -> None:
    graphed = [GraphedNet(Hungry(needed * MIB).cuda()) for needed in (30, 40, 50)]
    for net in graphed:
        for _ in range(3):
            result(engine.submit(net, noise(32, 32)))
    assert torch.cuda.memory_reserved() > 200 * MIB
    assert result(engine.submit(Hungry(300 * MIB), noise(32, 32))).batch == 1
    for net in graphed:
        assert result(engine.submit(net, noise(32, 32))).batch == 1
