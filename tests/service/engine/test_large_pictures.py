"""Tests of large pictures, which are computed in pieces, and of what is let in between."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError

import pytest
import torch
from torch import Tensor

from model_store.nets import TransformNet
from service.engine.engine import Engine
from service.inference import pieces

from .nets import CPU, SECONDS, Negative, picture, result

LARGE = (64, 64)


class InPieces(TransformNet):
    """A net that computes pictures of 64² in pieces, until it is told to end."""

    def __init__(self, at_least: int = 5) -> None:
        super().__init__()
        self.entered, self.ending = threading.Event(), threading.Event()
        self.at_least, self.pieces = at_least, 0

    def is_large(self, height: int, width: int) -> bool:
        return (height, width) == LARGE

    def compute_in_pieces(self, pixels: Tensor) -> Tensor:
        ends = time.monotonic() + SECONDS
        while (self.pieces < self.at_least or not self.ending.is_set()) and time.monotonic() < ends:
            self.pieces += 1
            self.entered.set()
            time.sleep(0.005)
            pieces.pause(self.pieces / self.at_least)
        return 255 - pixels


class Slow(Negative):
    """A net that takes a twentieth of a second."""

    def transform(self, pictures: Tensor) -> Tensor:
        time.sleep(0.05)
        return super().transform(pictures)


class Fails(Negative):
    """A net that takes no picture."""

    def transform(self, pictures: Tensor) -> Tensor:
        raise ValueError(f"not these {len(pictures)}")


@pytest.fixture
def painting(engine: Engine) -> Iterator[tuple[InPieces, Callable[[], Tensor]]]:
    """Have a large picture computed; yield its net, and a function that ends it and returns the result."""
    net = InPieces()
    future = engine.submit(net, picture(*LARGE))
    assert net.entered.wait(SECONDS)

    def end() -> Tensor:
        net.ending.set()
        return result(future).pixels

    yield net, end
    end()


def test_small_pictures_are_let_in_between_the_pieces_of_a_large_one(
    engine: Engine, painting: tuple[InPieces, Callable[[], Tensor]]
) -> None:
    _, end = painting
    small = [result(engine.submit(Negative(), picture(level=level))).pixels for level in (10, 20)]
    assert [int(each[0, 0, 0]) for each in small] == [245, 235]
    assert int(end()[0, 0, 0]) == 155


def test_whoever_submits_a_large_picture_is_told_of_it_alone(engine: Engine) -> None:
    net = InPieces(at_least=2)
    net.ending.set()
    told: list[float] = []
    with pieces.told_to(told.append), pieces.as_part(0.5, 1):
        future = engine.submit(net, picture(*LARGE))
    result(future)
    result(engine.submit(net, picture(*LARGE)))
    assert told == [0.75, 1]


def test_a_small_picture_that_fails_between_the_pieces_does_not_fail_the_large_one(
    engine: Engine, painting: tuple[InPieces, Callable[[], Tensor]]
) -> None:
    _, end = painting
    assert engine.submit(Fails(), picture()).exception(SECONDS) is not None
    assert int(end()[0, 0, 0]) == 155


def test_a_large_picture_that_is_cancelled_ends_at_its_next_piece(engine: Engine) -> None:
    net = InPieces()
    future = engine.submit(net, picture(*LARGE))
    assert net.entered.wait(SECONDS)
    assert not future.cancel()
    with pytest.raises(CancelledError):
        future.result(SECONDS)
    assert int(result(engine.submit(Negative(), picture())).pixels[0, 0, 0]) == 155


def test_a_large_picture_keeps_most_of_its_speed_and_its_seconds_are_its_own(engine: Engine) -> None:
    net, slow = InPieces(at_least=60), Slow()
    started = time.perf_counter()
    large = engine.submit(net, picture(*LARGE))
    assert net.entered.wait(SECONDS)
    small = [engine.submit(slow, picture(16 + 4 * number)) for number in range(40)]
    net.ending.set()
    output = result(large)
    whole = time.perf_counter() - started
    given = 0.05 * sum(future.done() for future in small)
    assert 0 < given < whole / 3 + 0.1
    assert output.net_seconds <= whole - given + 0.01


def test_small_pictures_are_let_in_only_if_they_fit_into_memory_beside_the_large_one() -> None:
    net = InPieces()
    engine = Engine(CPU, 1, 2_000_000, max_bytes=net.bytes_per_pixel * LARGE[0] * LARGE[1])
    large = engine.submit(net, picture(*LARGE))
    assert net.entered.wait(SECONDS)
    small = engine.submit(Negative(), picture())
    time.sleep(0.1)
    assert not small.done()
    net.ending.set()
    result(large)
    result(small)
    engine.close()


def test_the_number_of_cores_is_the_same_after_others_were_let_in(engine: Engine) -> None:
    cores: list[int] = []

    class Watches(InPieces):
        def compute_in_pieces(self, pixels: Tensor) -> Tensor:
            torch.set_num_threads(1)
            made = super().compute_in_pieces(pixels)
            cores.append(torch.get_num_threads())
            return made

    net = Watches()
    large = engine.submit(net, picture(*LARGE))
    assert net.entered.wait(SECONDS)
    result(engine.submit(Negative(), picture()))
    net.ending.set()
    result(large)
    assert cores == [1]
