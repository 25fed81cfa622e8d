import queue
import threading
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from model_store.nets import StyleNet, SuperResolutionNet, TransformNet
from service.contract.problems import Unavailable
from service.engine.engine import Engine

from .nets import CPU, SECONDS, Gate, Negative, busy, noise, picture, result

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
    """A net that remembers how many cores each picture could use."""

    def __init__(self) -> None:
        super().__init__()
        self.cores: list[int] = []

    def transform(self, pictures: Tensor) -> Tensor:
        self.cores.append(torch.get_num_threads())
        return pictures


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
    """A net that tells the level of each picture that entered, and computes it only when it is let through."""

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
    """Yield an engine of two lanes, with memory for one large picture and two small ones, and a net for it."""
    net = Recorder()
    room = net.bytes_per_pixel * (60 * 60 + 2 * 16 * 16)
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


def test_pictures_that_do_not_fit_into_memory_together_never_overlap() -> None:
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
    room = net.bytes_per_pixel * 100 * 100
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
    room = net.bytes_per_pixel * 2 * 32 * 48
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
def test_a_picture_that_leaves_no_memory_for_others_uses_all_cores() -> None:
    net, gate = CountsCores(), Gate()
    room = net.bytes_per_pixel * 32 * 48
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


# Closing


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
