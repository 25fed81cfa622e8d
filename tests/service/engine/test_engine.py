import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from model_store.nets import StyleNet, SuperResolutionNet, TransformNet
from service.contract.problems import DeviceLost, InternalError, Problem, Unavailable
from service.engine.engine import Engine
from service.engine.queue import Output
from service.inference import bytes_per_pixel

CPU = torch.device("cpu")
SECONDS = 30


def picture(height: int = 32, width: int = 48, level: int = 100) -> Tensor:
    return torch.full((height, width, 3), level, dtype=torch.uint8)


def noise(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def result(future: Future[Output]) -> Output:
    return future.result(SECONDS)


class Negative(TransformNet):
    """Remembers the batches that it saw, by the level of their pictures' first pixels."""

    multiple: ClassVar[int] = 4

    def __init__(self) -> None:
        super().__init__()
        self.eval()
        self.batches: list[list[int]] = []

    def transform(self, pictures: Tensor) -> Tensor:
        self.batches.append((pictures[:, 0, 0, 0] * 255).round().int().tolist())
        return 1 - pictures


class Gate(TransformNet):
    """Keeps the device busy until opened."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.opened = threading.Event(), threading.Event()

    def transform(self, pictures: Tensor) -> Tensor:
        self.entered.set()
        assert self.opened.wait(SECONDS)
        return pictures


class FailsOn(Negative):
    """Raises an error when a picture of a level is in the batch."""

    def __init__(self, level: int, error: BaseException) -> None:
        super().__init__()
        self.level, self.error = level, error

    def transform(self, pictures: Tensor) -> Tensor:
        results = super().transform(pictures)
        if self.level in self.batches[-1]:
            raise self.error
        return results


class SmallMemory(Negative):
    """Has memory for so many pictures at once."""

    def __init__(self, room_for: int) -> None:
        super().__init__()
        self.room_for = room_for

    def transform(self, pictures: Tensor) -> Tensor:
        if len(pictures) > self.room_for:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return super().transform(pictures)


class HugeLayer(TransformNet):
    """Asks for more memory than any machine has."""

    def transform(self, pictures: Tensor) -> Tensor:
        return torch.empty(len(pictures), 2**58)


@contextmanager
def busy(engine: Engine) -> Iterator[None]:
    """What is submitted inside waits until the block is left."""
    gate = Gate()
    future = engine.submit(gate, picture())
    assert gate.entered.wait(SECONDS)
    try:
        yield
    finally:
        gate.opened.set()
    result(future)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(CPU, max_batch=16, max_batch_pixels=2_000_000)
    yield engine
    engine.close()


# One picture


@pytest.mark.parametrize("net", [StyleNet(width=4, residual_blocks=1), SuperResolutionNet(2, 4, 1)])
@pytest.mark.parametrize(("height", "width"), [(32, 48), (33, 47), (16, 16)])
def test_a_picture_becomes_what_the_net_makes_of_it(engine: Engine, net: TransformNet, height: int, width: int) -> None:
    pixels = noise(height, width)
    made = result(engine.submit(net.eval(), pixels)).pixels
    with torch.inference_mode():
        expected = net(pixels.permute(2, 0, 1)[None] / 255)[0].permute(1, 2, 0) * 255
    assert made.dtype == torch.uint8
    assert made.shape == (height * net.factor, width * net.factor, 3)
    assert (made - expected).abs().max() <= 1


def test_an_idle_engine_starts_at_once_with_a_single_picture(engine: Engine) -> None:
    output = result(engine.submit(Negative(), picture()))
    assert output.batch == 1
    assert output.net_seconds > 0
    assert output.queue_seconds >= 0


def test_the_picture_given_is_left_as_it_was(engine: Engine) -> None:
    pixels = noise(32, 48)
    before = pixels.clone()
    result(engine.submit(Negative(), pixels))
    assert torch.equal(pixels, before)


# Batches


def test_while_the_device_is_busy_a_batch_grows(engine: Engine) -> None:
    net = Negative()
    with busy(engine):
        futures = [engine.submit(net, picture(level=level)) for level in range(5)]
    assert [result(future).batch for future in futures] == [5] * 5
    assert net.batches == [[0, 1, 2, 3, 4]]


def test_each_picture_of_a_batch_gets_its_own_result(engine: Engine) -> None:
    net = StyleNet(width=4, residual_blocks=1).eval()
    pictures = [noise(32, 48, seed) for seed in range(4)]
    alone = [result(engine.submit(net, each)).pixels for each in pictures]
    with busy(engine):
        together = [engine.submit(net, each) for each in pictures]
    for one, future in zip(alone, together, strict=True):
        assert (one.int() - result(future).pixels.int()).abs().max() <= 1


def test_pictures_of_one_padded_size_share_a_batch_and_keep_their_sizes(engine: Engine) -> None:
    net = Negative()
    sizes = [(32, 48), (31, 48), (30, 45)]
    with busy(engine):
        futures = [engine.submit(net, picture(*size)) for size in sizes]
    outputs = [result(future) for future in futures]
    assert [output.batch for output in outputs] == [3, 3, 3]
    assert [tuple(output.pixels.shape[:2]) for output in outputs] == sizes


def test_pictures_of_different_padded_sizes_do_not_share_a_batch(engine: Engine) -> None:
    net = Negative()
    with busy(engine):
        futures = [engine.submit(net, picture(*size)) for size in [(32, 48), (48, 32), (32, 49)]]
    assert [result(future).batch for future in futures] == [1, 1, 1]


def test_pictures_for_different_nets_do_not_share_a_batch(engine: Engine) -> None:
    with busy(engine):
        futures = [engine.submit(Negative(), picture()) for _ in range(3)]
    assert [result(future).batch for future in futures] == [1, 1, 1]


def test_the_bucket_that_has_waited_longest_goes_first(engine: Engine) -> None:
    net = Negative()
    with busy(engine):
        futures = [
            engine.submit(net, picture(32, 48, level=1)),
            engine.submit(net, picture(64, 64, level=2)),
            engine.submit(net, picture(32, 48, level=3)),
            engine.submit(net, picture(16, 16, level=4)),
            engine.submit(net, picture(64, 64, level=5)),
        ]
    wait(futures, SECONDS)
    assert net.batches == [[1, 3], [2, 5], [4]]


def test_a_flood_for_one_net_does_not_starve_another(engine: Engine) -> None:
    order: list[str] = []

    class Named(Negative):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def transform(self, pictures: Tensor) -> Tensor:
            order.append(self.name)
            return super().transform(pictures)

    flood, other = Named("flood"), Named("other")
    with busy(engine):
        futures = [engine.submit(flood, picture(16 + 4 * number)) for number in range(8)]
        futures += [engine.submit(other, picture(16 + 4 * number)) for number in range(2)]
    wait(futures, SECONDS)
    assert order[:4] == ["flood", "other", "flood", "other"]


@contextmanager
def _lanes(number: int) -> Iterator[Engine]:
    engine = Engine(CPU, max_batch=1, max_batch_pixels=2_000_000, lanes=number)
    yield engine
    engine.close()


def test_each_lane_computes_a_batch_of_its_own_at_the_same_time() -> None:
    gates = [Gate() for _ in range(3)]
    with _lanes(2) as engine:
        futures = [engine.submit(gate, picture()) for gate in gates]
        assert all(gate.entered.wait(SECONDS) for gate in gates[:2])
        assert not gates[2].entered.is_set()
        for gate in gates:
            gate.opened.set()
        wait(futures, SECONDS)
    assert all(future.exception() is None for future in futures)


class CountsCores(TransformNet):
    """Remembers how many cores each picture could use."""

    def __init__(self) -> None:
        super().__init__()
        self.cores: list[int] = []

    def transform(self, pictures: Tensor) -> Tensor:
        self.cores.append(torch.get_num_threads())
        return pictures


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_threads")
def test_a_single_picture_uses_all_cores_and_several_share_them() -> None:
    net, gates = CountsCores(), [Gate() for _ in range(2)]
    with _lanes(2) as engine:
        result(engine.submit(net, picture()))
        futures = [engine.submit(gate, picture()) for gate in gates]
        assert all(gate.entered.wait(SECONDS) for gate in gates)
        futures += [engine.submit(net, picture()) for _ in range(2)]
        gates[0].opened.set()
        wait(futures[2:], SECONDS)
        gates[1].opened.set()
    assert net.cores == [4, 2, 2]


class Recorder(TransformNet):
    """Waits in each picture until it is let through; remembers the levels of those that entered."""

    def __init__(self) -> None:
        super().__init__()
        self.entered: queue.Queue[int] = queue.Queue()
        self.let = [threading.Event() for _ in range(256)]

    def transform(self, pictures: Tensor) -> Tensor:
        level = int((pictures[0, 0, 0, 0] * 255).round())
        self.entered.put(level)
        assert self.let[level].wait(SECONDS)
        return pictures


LARGE, SMALL = (60, 60), (16, 16)


@contextmanager
def _room_for_one_large() -> Iterator[tuple[Engine, Recorder]]:
    """Of two lanes, and a little room besides."""
    net = Recorder()
    room = bytes_per_pixel(net) * (60 * 60 + 2 * 16 * 16)
    engine = Engine(CPU, max_batch=1, max_batch_pixels=2_000_000, lanes=2, max_bytes=room)
    try:
        yield engine, net
    finally:
        for event in net.let:
            event.set()
        engine.close()


def test_two_pictures_that_do_not_fit_into_memory_together_are_computed_one_after_the_other() -> None:
    with _room_for_one_large() as (engine, net):
        futures = [engine.submit(net, picture(*LARGE, level=level)) for level in (1, 2)]
        assert net.entered.get(timeout=SECONDS) == 1
        net.let[1].set()
        result(futures[0])
        assert net.entered.get(timeout=SECONDS) == 2
        net.let[2].set()
        result(futures[1])


def test_of_pictures_that_do_not_fit_together_none_begins_before_another_ends() -> None:
    at_once, most = 0, 0
    lock = threading.Lock()

    class Counting(Negative):
        def transform(self, pictures: Tensor) -> Tensor:
            nonlocal at_once, most
            with lock:
                at_once += 1
                most = max(most, at_once)
            results = StyleNet(width=8, residual_blocks=1)(pictures)
            with lock:
                at_once -= 1
            return results

    net = Counting()
    room = bytes_per_pixel(net) * 100 * 100
    engine = Engine(CPU, max_batch=1, max_batch_pixels=2_000_000, lanes=2, max_bytes=room)
    futures = [engine.submit(net, picture(96, 96)) for _ in range(20)]
    engine.close()
    assert all(result(future).batch == 1 for future in futures)
    assert most == 1


def test_a_small_picture_is_computed_beside_a_large_one() -> None:
    with _room_for_one_large() as (engine, net):
        engine.submit(net, picture(*LARGE, level=1))
        small = [engine.submit(net, picture(*SMALL, level=level)) for level in (2, 3)]
        assert {net.entered.get(timeout=SECONDS) for _ in range(2)} == {1, 2}
        for number, future in zip((2, 3), small, strict=True):
            net.let[number].set()
            result(future)
        assert not net.let[1].is_set()


def test_small_pictures_do_not_overtake_a_large_one_that_waits_for_memory() -> None:
    with _room_for_one_large() as (engine, net):
        for level in (1, 2):
            engine.submit(net, picture(*LARGE, level=level))
        small = [engine.submit(net, picture(*SMALL, level=level)) for level in range(3, 20)]
        assert net.entered.get(timeout=SECONDS) == 1
        net.let[1].set()
        assert {net.entered.get(timeout=SECONDS) for _ in range(2)} == {2, 3}
        for event in net.let:
            event.set()
        assert [result(future).batch for future in small] == [1] * 17


def test_a_cancelled_picture_that_does_not_fit_keeps_nobody_waiting() -> None:
    with _room_for_one_large() as (engine, net):
        engine.submit(net, picture(*LARGE, level=1))
        assert net.entered.get(timeout=SECONDS) == 1
        assert engine.submit(net, picture(*LARGE, level=2)).cancel()
        net.let[3].set()
        result(engine.submit(net, picture(*SMALL, level=3)))


def test_a_batch_has_no_more_pictures_than_memory_holds() -> None:
    net = Negative()
    room = bytes_per_pixel(net) * 2 * 32 * 48
    engine = Engine(CPU, max_batch=16, max_batch_pixels=2_000_000, max_bytes=room)
    with busy(engine):
        futures = [engine.submit(net, picture()) for _ in range(5)]
    engine.close()
    assert [result(future).batch for future in futures] == [2, 2, 2, 2, 1]


def test_a_picture_that_needs_more_memory_than_there_is_keeps_nobody_waiting_forever() -> None:
    engine = Engine(CPU, max_batch=1, max_batch_pixels=2_000_000, lanes=2, max_bytes=1)
    futures = [engine.submit(Negative(), picture()) for _ in range(3)]
    engine.close()
    assert [result(future).batch for future in futures] == [1, 1, 1]


@pytest.mark.usefixtures("four_threads")
def test_a_picture_that_nothing_fits_beside_uses_all_cores() -> None:
    net, gate = CountsCores(), Gate()
    room = bytes_per_pixel(net) * 32 * 48
    engine = Engine(CPU, max_batch=1, max_batch_pixels=2_000_000, lanes=2, max_bytes=room)
    first = engine.submit(gate, picture())
    assert gate.entered.wait(SECONDS)
    futures = [engine.submit(net, picture()) for _ in range(3)]
    gate.opened.set()
    wait([first, *futures], SECONDS)
    engine.close()
    assert net.cores == [4, 4, 4]


def test_a_batch_has_no_more_pictures_than_allowed() -> None:
    engine, net = Engine(CPU, max_batch=2, max_batch_pixels=2_000_000), Negative()
    with busy(engine):
        futures = [engine.submit(net, picture(level=level)) for level in range(5)]
    wait(futures, SECONDS)
    engine.close()
    assert net.batches == [[0, 1], [2, 3], [4]]


def test_a_batch_has_no_more_output_pixels_than_allowed() -> None:
    net = SuperResolutionNet(2, 4, 1).eval()
    engine = Engine(CPU, max_batch=16, max_batch_pixels=3 * (2 * 32) * (2 * 48))
    with busy(engine):
        futures = [engine.submit(net, picture()) for _ in range(4)]
    engine.close()
    assert [result(future).batch for future in futures] == [3, 3, 3, 1]


def test_a_single_picture_may_have_more_pixels_than_a_batch() -> None:
    engine = Engine(CPU, max_batch=16, max_batch_pixels=1)
    assert result(engine.submit(Negative(), picture())).batch == 1
    engine.close()


def test_a_cancelled_picture_is_not_computed(engine: Engine) -> None:
    net = Negative()
    with busy(engine):
        futures = [engine.submit(net, picture(level=level)) for level in range(3)]
        assert futures[1].cancel()
    assert result(futures[0]).batch == result(futures[2]).batch == 2
    assert net.batches == [[0, 2]]


def test_a_bucket_of_nothing_but_cancelled_pictures_is_passed_over(engine: Engine) -> None:
    net = Negative()
    with busy(engine):
        engine.submit(net, picture(level=1)).cancel()
        last = engine.submit(net, picture(64, 64, level=2))
    assert result(last).batch == 1
    assert net.batches == [[2]]


# What goes wrong


def test_a_picture_that_the_net_fails_on_does_not_fail_its_neighbours(engine: Engine) -> None:
    net = FailsOn(3, ValueError("not this one"))
    with busy(engine):
        futures = [engine.submit(net, picture(level=level)) for level in range(7)]
    bad = futures.pop(3)
    assert isinstance(bad.exception(SECONDS), InternalError)
    levels = [0, 1, 2, 4, 5, 6]
    assert [int(result(future).pixels[0, 0, 0]) for future in futures] == [255 - level for level in levels]


def test_a_failure_tells_nothing_of_our_insides(engine: Engine) -> None:
    error = engine.submit(FailsOn(100, ValueError("secret")), picture()).exception(SECONDS)
    assert isinstance(error, InternalError)
    assert "secret" not in error.detail


def test_after_a_failure_the_engine_goes_on(engine: Engine) -> None:
    net = FailsOn(3, ValueError("not this one"))
    engine.submit(net, picture(level=3)).exception(SECONDS)
    assert engine.is_alive
    assert result(engine.submit(net, picture())).batch == 1


def test_out_of_memory_halves_the_batch(engine: Engine) -> None:
    net = SmallMemory(room_for=2)
    with busy(engine):
        futures = [engine.submit(net, picture(level=level)) for level in range(8)]
    assert [result(future).batch for future in futures] == [2] * 8
    assert net.batches == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_out_of_memory_asks_for_relief_before_it_tries_again() -> None:
    net = SmallMemory(room_for=0)

    def relieve() -> None:
        net.room_for += 1

    engine = Engine(CPU, max_batch=16, max_batch_pixels=2_000_000, relieve=relieve)
    with busy(engine):
        futures = [engine.submit(net, picture(level=level)) for level in range(2)]
    engine.close()
    assert [result(future).batch for future in futures] == [1, 1]


@pytest.mark.parametrize("net", [SmallMemory(room_for=0), HugeLayer()])
def test_out_of_memory_for_a_single_picture_says_when_to_come_back(engine: Engine, net: TransformNet) -> None:
    error = engine.submit(net, picture(32, 48)).exception(SECONDS)
    assert isinstance(error, Unavailable)
    assert error.retry_after is not None
    assert error.retry_after > 0
    assert "48×32" in error.detail
    assert engine.is_alive


def test_a_failed_device_fails_all_that_wait_and_all_to_come(engine: Engine) -> None:
    broken = FailsOn(0, torch.AcceleratorError("CUDA error: an illegal memory access was encountered"))
    with busy(engine):
        futures = [engine.submit(broken, picture(level=level)) for level in range(2)]
        futures.append(engine.submit(Negative(), picture(64, 64)))
    assert [type(future.exception(SECONDS)) for future in futures] == [DeviceLost] * 3
    assert isinstance(engine.submit(Negative(), picture()).exception(SECONDS), DeviceLost)
    assert not engine.is_alive


def test_whatever_stops_the_engine_leaves_no_future_unresolved(engine: Engine) -> None:
    with busy(engine):
        futures = [engine.submit(FailsOn(100, SystemExit()), picture()), engine.submit(Negative(), picture(64, 64))]
    assert [type(future.exception(SECONDS)) for future in futures] == [DeviceLost] * 2
    assert not engine.is_alive


def test_every_refused_picture_has_an_error_of_its_own(engine: Engine) -> None:
    # Raising one error again and again would chain their tracebacks, and with them keep all those pictures in memory.
    engine.submit(FailsOn(100, torch.AcceleratorError("CUDA error")), picture()).exception(SECONDS)
    first, second = (engine.submit(Negative(), picture()).exception(SECONDS) for _ in range(2))
    assert isinstance(first, DeviceLost)
    assert first is not second


# The end


def test_an_open_engine_is_alive(engine: Engine) -> None:
    assert engine.is_alive


def test_closing_finishes_what_is_queued() -> None:
    engine, net = Engine(CPU, max_batch=2, max_batch_pixels=2_000_000), Negative()
    with busy(engine):
        futures = [engine.submit(net, picture(level=level)) for level in range(5)]
        closing = threading.Thread(target=engine.close)
        closing.start()
    closing.join(SECONDS)
    assert not closing.is_alive()
    assert [int(future.result(0).pixels[0, 0, 0]) for future in futures] == [255, 254, 253, 252, 251]


def test_a_closed_engine_takes_no_more(engine: Engine) -> None:
    engine.close()
    error = engine.submit(Negative(), picture()).exception(SECONDS)
    assert type(error) is Unavailable
    assert error.retry_after is not None


def test_closing_twice_does_no_harm(engine: Engine) -> None:
    engine.close()
    engine.close()
    assert not engine.is_alive


def test_no_future_is_left_unresolved() -> None:
    engine = Engine(CPU, max_batch=4, max_batch_pixels=2_000_000)
    nets = [Negative(), SmallMemory(2), SmallMemory(0), FailsOn(3, ValueError("not this one"))]
    futures: list[Future[Output]] = []

    def submit(first: int) -> None:
        for number in range(first, first + 50):
            future = engine.submit(nets[number % 4], picture(16 + number % 3, 20, level=number % 11))
            if number % 7 == 0:
                future.cancel()
            futures.append(future)

    threads = [threading.Thread(target=submit, args=[first]) for first in range(0, 200, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.close()
    assert len(futures) == 200
    assert all(future.done() for future in futures)
    errors = [future.exception() for future in futures if not future.cancelled()]
    assert all(error is None or isinstance(error, Problem) for error in errors)
    assert errors.count(None) > 50
