"""Tests of large pictures, which are computed in pieces, and of what is let in between."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, wait

import pytest
import torch
from torch import Tensor

from model_store.nets import TransformNet
from service.contract.observer import Observer
from service.contract.problems import Problem
from service.engine import share
from service.engine.engine import Engine
from service.engine.queue import Output
from service.inference import pieces

from .nets import CPU, SECONDS, Gate, Negative, busy, picture, result

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


@pytest.fixture
def generous(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give others as much time as they like, however short the large picture has been computed."""
    monkeypatch.setattr(share, "_SECONDS_FOR_OTHERS", 1e6)
    monkeypatch.setattr(share, "_MOST_SAVED_S", 1e6)


@pytest.fixture
def lanes() -> Iterator[Engine]:
    """Yield an engine of two lanes."""
    engine = Engine(CPU, max_batch=1, max_batch_pixels=2_000_000, lanes=2)
    yield engine
    engine.close()


@pytest.mark.usefixtures("generous")
def test_the_seconds_of_a_pause_count_as_the_queue_of_the_large_picture_and_not_as_its_net(engine: Engine) -> None:
    net, gate = InPieces(), Gate()
    started = time.perf_counter()
    large = engine.submit(net, picture(*LARGE))
    assert net.entered.wait(SECONDS)
    small = engine.submit(gate, picture())
    assert gate.entered.wait(SECONDS)
    paused = time.perf_counter()
    time.sleep(0.1)
    pause = time.perf_counter() - paused
    gate.opened.set()
    net.ending.set()
    output = result(large)
    whole = time.perf_counter() - started
    assert output.queue_seconds >= pause
    assert output.net_seconds <= whole - pause
    assert output.queue_seconds + output.net_seconds <= whole
    assert result(small).net_seconds >= pause


@pytest.mark.usefixtures("generous")
def test_all_lanes_compute_small_pictures_in_a_pause_and_the_large_one_goes_on_after_them(lanes: Engine) -> None:
    net, gates = InPieces(), [Gate(), Gate()]
    large = lanes.submit(net, picture(*LARGE))
    assert net.entered.wait(SECONDS)
    small = [lanes.submit(gate, picture()) for gate in gates]
    assert all(gate.entered.wait(SECONDS) for gate in gates)
    computed = net.pieces
    gates[0].opened.set()
    result(small[0])
    time.sleep(0.05)
    assert net.pieces == computed
    gates[1].opened.set()
    net.ending.set()
    result(large)
    assert net.pieces > computed


class LongPieces(InPieces):
    """A net whose first piece lasts until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def compute_in_pieces(self, pixels: Tensor) -> Tensor:
        self.entered.set()
        assert self.let_go.wait(SECONDS)
        return super().compute_in_pieces(pixels)


def test_no_lane_computes_a_small_picture_during_a_piece_so_that_the_large_one_has_all_cores(lanes: Engine) -> None:
    net = LongPieces()
    large = lanes.submit(net, picture(*LARGE))
    assert net.entered.wait(SECONDS)
    small = lanes.submit(Negative(), picture())
    time.sleep(0.05)
    assert not small.done()
    net.let_go.set()
    result(small)
    assert not large.done()
    net.ending.set()
    result(large)


@pytest.mark.usefixtures("four_threads")
def test_a_large_picture_has_all_cores_also_if_another_picture_is_being_computed_when_it_begins(lanes: Engine) -> None:
    cores: list[int] = []

    class Watches(InPieces):
        def compute_in_pieces(self, pixels: Tensor) -> Tensor:
            cores.append(torch.get_num_threads())
            return super().compute_in_pieces(pixels)

    net, gate = Watches(), Gate()
    small = lanes.submit(gate, picture())
    assert gate.entered.wait(SECONDS)
    large = lanes.submit(net, picture(*LARGE))
    assert net.entered.wait(SECONDS)
    gate.opened.set()
    net.ending.set()
    result(small)
    result(large)
    assert cores == [4]


def test_small_pictures_pass_a_large_one_that_waits_for_another_large_one(lanes: Engine) -> None:
    first, second = InPieces(), InPieces()
    larges = [lanes.submit(net, picture(*LARGE)) for net in (first, second)]
    assert first.entered.wait(SECONDS)
    result(lanes.submit(Negative(), picture()))
    assert not second.entered.is_set()
    first.ending.set()
    assert second.entered.wait(SECONDS)
    result(lanes.submit(Negative(), picture()))
    second.ending.set()
    for large in larges:
        result(large)


def test_a_large_picture_does_not_wait_for_small_ones_that_came_after_it(engine: Engine) -> None:
    net = InPieces()
    begun: list[bool] = []

    class Watches(Negative):
        def transform(self, pictures: Tensor) -> Tensor:
            begun.append(net.entered.is_set())
            return super().transform(pictures)

    with busy(engine):
        large = engine.submit(net, picture(*LARGE))
        small = [engine.submit(Watches(), picture()) for _ in range(10)]
    net.ending.set()
    result(large)
    for each in small:
        result(each)
    assert begun == [True] * 10


def test_a_large_picture_that_is_given_up_while_it_waits_leaves_the_queue_at_the_next_piece_of_another() -> None:
    left = threading.Event()

    class Watches(Observer):
        def __init__(self) -> None:
            self.dequeued = 0

        def picture_dequeued(self, seconds: float) -> None:  # noqa: ARG002
            self.dequeued += 1
            if self.dequeued == 2:
                left.set()

    engine = Engine(CPU, 1, 2_000_000, observer=Watches())
    net = InPieces()
    large = engine.submit(net, picture(*LARGE))
    assert net.entered.wait(SECONDS)
    assert engine.submit(net, picture(*LARGE)).cancel()
    assert left.wait(SECONDS // 2)
    assert not large.done()
    net.ending.set()
    result(large)
    engine.close()


@pytest.mark.usefixtures("generous")
def test_small_pictures_are_let_in_between_the_tiles_of_a_large_one(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.inference.tiles.TILE_BYTES", 1)  # the smallest tiles
    submitted = threading.Event()
    small: list[Future[Output]] = []
    done: list[bool] = []

    class InTiles(Negative):
        halo = 4

        def transform(self, pictures: Tensor) -> Tensor:
            entered.set()
            assert submitted.wait(SECONDS)
            done.append(small[0].done())
            return super().transform(pictures)

    entered = threading.Event()
    large = engine.submit(InTiles(), picture(64, 192))
    assert entered.wait(SECONDS)
    small.append(engine.submit(Negative(), picture()))
    submitted.set()
    assert int(result(large).pixels.max()) == 155
    assert done == [False, True, True]


@pytest.mark.usefixtures("generous")
def test_a_small_picture_is_not_paused_for_others(engine: Engine) -> None:
    done: list[bool] = []

    class Pauses(Negative):
        def transform(self, pictures: Tensor) -> Tensor:
            pieces.pause()
            done.append(other.done())
            return super().transform(pictures)

    with busy(engine):
        small = engine.submit(Pauses(), picture())
        other = engine.submit(Negative(), picture())
    result(small)
    result(other)
    assert done == [False]


@pytest.mark.usefixtures("generous")
def test_a_large_picture_is_not_paused_for_ever_if_another_lane_stops(lanes: Engine) -> None:
    class Stops(Gate):
        def transform(self, pictures: Tensor) -> Tensor:
            super().transform(pictures)
            raise SystemExit

    net, gates = InPieces(), [Gate(), Stops()]
    large = lanes.submit(net, picture(*LARGE))
    assert net.entered.wait(SECONDS)
    futures = [large, *(lanes.submit(gate, picture()) for gate in gates)]
    assert all(gate.entered.wait(SECONDS) for gate in gates)
    for gate in reversed(gates):
        gate.opened.set()
    net.ending.set()
    assert not wait(futures, SECONDS).not_done
    assert isinstance(futures[2].exception(), Problem)


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


def test_a_picture_that_becomes_large_while_it_waits_holds_nobody_up(engine: Engine) -> None:
    class Becomes(InPieces):
        has_become = False

        def is_large(self, height: int, width: int) -> bool:
            return self.has_become and super().is_large(height, width)

    net = Becomes(at_least=2)
    net.ending.set()
    with busy(engine):
        becoming = engine.submit(net, picture(*LARGE))
        small = [engine.submit(Negative(), picture(level=level)) for level in (10, 20)]
        net.has_become = True

    assert [int(result(each).pixels[0, 0, 0]) for each in small] == [245, 235]
    assert result(becoming).pixels.shape == (*LARGE, 3)
