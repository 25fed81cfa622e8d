"""Tests of what becomes of pictures when a net or the device fails."""

import logging
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future

import pytest
import torch
from torch import Tensor

from model_store.nets import TransformNet
from service.contract.problems import DeviceLost, InternalError, Problem, Unavailable
from service.engine.engine import Engine
from service.engine.lane import Lane
from service.engine.queue import Output

from .nets import CPU, SECONDS, Negative, busy, picture, result


class FailsOn(Negative):
    """A net that raises an error when a picture of one level is in the batch."""

    def __init__(self, level: int, error: BaseException) -> None:
        super().__init__()
        self.level, self.error = level, error

    def transform(self, pictures: Tensor) -> Tensor:
        results = super().transform(pictures)
        if self.level in self.batches[-1]:
            raise self.error
        return results


class SmallMemory(Negative):
    """A net that has memory for a limited number of pictures at once."""

    def __init__(self, room_for: int, error: Exception | None = None) -> None:
        super().__init__()
        self.room_for, self.error = room_for, error or torch.OutOfMemoryError("CUDA out of memory.")

    def transform(self, pictures: Tensor) -> Tensor:
        if len(pictures) > self.room_for:
            raise self.error
        return super().transform(pictures)


class HugeLayer(TransformNet):
    """A net that asks for more memory than any machine has."""

    def transform(self, pictures: Tensor) -> Tensor:
        return torch.empty(len(pictures), 2**58)


def test_a_picture_that_the_net_fails_on_does_not_fail_its_neighbours(engine: Engine) -> None:
    net = FailsOn(3, ValueError("not this one"))
    with busy(engine):
        futures = [engine.submit(net, picture(level=level)) for level in range(7)]
    bad = futures.pop(3)
    assert isinstance(bad.exception(SECONDS), InternalError)
    levels = [0, 1, 2, 4, 5, 6]
    assert [int(result(future).pixels[0, 0, 0]) for future in futures] == [255 - level for level in levels]


def test_a_failure_reveals_nothing_internal(engine: Engine) -> None:
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


@pytest.mark.parametrize("pictures", [1, 2])
def test_out_of_memory_asks_for_relief_before_it_tries_again(pictures: int) -> None:
    net = SmallMemory(room_for=0)

    def relieve() -> None:
        net.room_for += 1

    engine = Engine(CPU, max_batch=16, max_batch_pixels=2_000_000, relieve=relieve)
    with busy(engine):
        futures = [engine.submit(net, picture(level=level)) for level in range(pictures)]
    engine.close()
    assert [result(future).batch for future in futures] == [1] * pictures


def test_out_of_memory_drops_the_graphs_of_all_lanes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    freed = []
    monkeypatch.setattr("service.engine.engine.free_memory", lambda: freed.append(1))
    engine.submit(SmallMemory(room_for=0), picture()).exception(SECONDS)
    assert freed


def test_out_of_memory_of_the_driver_halves_the_batch_as_well(
    engine: Engine, cuda_error: Callable[[str, int], Exception]
) -> None:
    net = SmallMemory(2, cuda_error("CUDA error: out of memory", 2))
    with busy(engine):
        futures = [engine.submit(net, picture(level=level)) for level in range(4)]
    assert [result(future).batch for future in futures] == [2] * 4
    assert engine.is_alive


class Holds(TransformNet):
    """A net that runs out of memory while it holds some, after another error that holds some as well."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[weakref.ref[Tensor]] = []
        self.freed: list[bool] = []

    def transform(self, pictures: Tensor) -> Tensor:
        self.freed.append(all(reference() is None for reference in self.held))
        self._fail(pictures)
        return pictures

    def _fail(self, pictures: Tensor) -> None:
        features = pictures + 1
        self.held.append(weakref.ref(features))
        try:
            raise ValueError
        except ValueError:
            more = pictures + 2
            self.held.append(weakref.ref(more))
            raise torch.OutOfMemoryError("CUDA out of memory.") from None


def test_the_memory_of_a_failed_attempt_is_freed_before_the_next(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "service.engine.engine")  # or pytest would hold on to the errors
    net = Holds()
    engine = Engine(CPU, max_batch=16, max_batch_pixels=2_000_000)
    engine.submit(net, picture()).exception(SECONDS)
    engine.close()
    assert net.freed == [True, True]


@pytest.mark.parametrize("net", [SmallMemory(room_for=0), HugeLayer()])
def test_out_of_memory_for_a_single_picture_says_when_to_come_back(engine: Engine, net: TransformNet) -> None:
    error = engine.submit(net, picture(32, 48)).exception(SECONDS)
    assert isinstance(error, Unavailable)
    assert error.retry_after is not None
    assert error.retry_after > 0
    assert "48×32" in error.detail
    assert engine.is_alive


@pytest.fixture
def lost_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every failure the loss of the device."""
    monkeypatch.setattr(Lane, "is_lost", lambda _lane: True)


def test_an_error_of_the_device_that_passes_fails_one_picture_alone(
    engine: Engine, cuda_error: Callable[[str, int], Exception]
) -> None:
    net = FailsOn(3, cuda_error("CUDA error: invalid argument", 1))
    with busy(engine):
        futures = [engine.submit(net, picture(level=level)) for level in range(4)]
    assert [type(future.exception(SECONDS)) for future in futures] == [type(None)] * 3 + [InternalError]
    assert engine.is_alive
    assert not engine.lost.done()


@pytest.mark.usefixtures("lost_device")
@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("Triton Error [CUDA]: an illegal memory access was encountered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ],
)
def test_a_lost_device_fails_all_waiting_and_all_later_pictures(engine: Engine, error: Exception) -> None:
    broken = FailsOn(0, error)
    with busy(engine):
        futures = [engine.submit(broken, picture(level=level)) for level in range(2)]
        futures.append(engine.submit(Negative(), picture(64, 64)))
    assert [type(future.exception(SECONDS)) for future in futures] == [DeviceLost] * 3
    assert isinstance(engine.submit(Negative(), picture()).exception(SECONDS), DeviceLost)
    assert not engine.is_alive
    engine.lost.result(SECONDS)


@pytest.mark.usefixtures("lost_device")
def test_the_loss_is_announced_after_all_waiting_pictures_have_their_errors(engine: Engine) -> None:
    with busy(engine):
        futures = [
            engine.submit(FailsOn(0, torch.AcceleratorError("CUDA error")), picture(level=0)),
            engine.submit(Negative(), picture(64, 64)),
        ]
        told: Future[bool] = Future()
        engine.lost.add_done_callback(lambda _: told.set_result(all(future.done() for future in futures)))
    assert told.result(SECONDS)


def test_whatever_stops_the_engine_leaves_no_future_unresolved(engine: Engine) -> None:
    with busy(engine):
        futures = [engine.submit(FailsOn(100, SystemExit()), picture()), engine.submit(Negative(), picture(64, 64))]
    assert [type(future.exception(SECONDS // 10)) for future in futures] == [DeviceLost] * 2
    assert not engine.is_alive


@pytest.mark.usefixtures("lost_device")
def test_every_refused_picture_has_an_error_of_its_own(engine: Engine) -> None:
    # Raising one error again and again would chain their tracebacks, and with them keep all those pictures in memory.
    engine.submit(FailsOn(100, torch.AcceleratorError("CUDA error")), picture()).exception(SECONDS)
    first, second = (engine.submit(Negative(), picture()).exception(SECONDS) for _ in range(2))
    assert isinstance(first, DeviceLost)
    assert first is not second


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
