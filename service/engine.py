"""The engine: forms batches and runs nets, on one thread that owns the device.

Pictures wait in buckets of one net and one exact padded size, because padding two different pictures to one size
would change the statistics of InstanceNorm. An idle device starts at once; while it is busy, buckets grow, and the one
whose first picture has waited longest goes next.
"""

import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from model_store.nets import TransformNet, pad_to_multiple
from service.problems import DeviceLost, InternalError, Problem, Unavailable

_log = logging.getLogger(__name__)

_Bucket = tuple[int, int, int]


class Output(NamedTuple):
    """What became of one picture."""

    pixels: Tensor
    """uint8 RGB on the CPU, `(H·factor, W·factor, 3)`."""
    queue_seconds: float
    net_seconds: float
    """Of the whole batch."""
    batch: int
    """Pictures computed together."""


@dataclass(slots=True)
class _Job:
    net: TransformNet
    pixels: Tensor
    future: "Future[Output]" = field(default_factory=Future)
    submitted: float = field(default_factory=time.perf_counter)

    @property
    def bucket(self) -> _Bucket:
        height, width, _ = self.pixels.shape
        multiple = self.net.multiple
        return id(self.net), height + -height % multiple, width + -width % multiple


class Engine:
    """Runs nets on pictures in batches.

    Args:
        device: where the nets are.
        max_batch: pictures in one batch.
        max_batch_pixels: output pixels in one batch; a single picture may have more.
    """

    def __init__(self, device: torch.device, max_batch: int, max_batch_pixels: int) -> None:
        self.device = device
        self._max_batch = max_batch
        self._max_batch_pixels = max_batch_pixels
        self._buckets: dict[_Bucket, deque[_Job]] = {}
        self._changed = threading.Condition()
        self._refusal: Problem | None = None
        self._thread = threading.Thread(target=self._run, name=f"engine-{device}", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the device still computes."""
        return self._thread.is_alive() and not isinstance(self._refusal, DeviceLost)

    def submit(self, net: TransformNet, pixels: Tensor) -> "Future[Output]":
        """Queues one picture.

        Args:
            net: in evaluation mode, on the device.
            pixels: uint8 RGB on the CPU, `(H, W, 3)`, both sides at least 16.

        Returns:
            A future that always resolves: to an `Output`, or to a `Problem`. Cancelling it takes the picture off the
            queue.
        """
        job = _Job(net, pixels)
        with self._changed:
            if self._refusal is not None:
                job.future.set_exception(self._refusal)
            else:
                self._buckets.setdefault(job.bucket, deque()).append(job)
                self._changed.notify()
        return job.future

    def close(self) -> None:
        """Takes no more, finishes what is queued, and returns when that is done."""
        with self._changed:
            self._refusal = self._refusal or Unavailable("the server is shutting down: try another", retry_after=5)
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    while not self._buckets and self._refusal is None:
                        self._changed.wait()
                    if not self._buckets:
                        return
                    batch = self._take_batch()
                if batch:
                    self._serve(batch)
        except BaseException:
            _log.exception("the engine stopped")
            self._lose_device("the engine stopped")

    def _take_batch(self) -> list[_Job]:
        """The next batch, of the bucket whose first picture has waited longest, without the cancelled."""
        bucket, jobs = min(self._buckets.items(), key=lambda item: item[1][0].submitted)
        output_pixels = bucket[1] * bucket[2] * jobs[0].net.factor ** 2
        most = max(1, min(self._max_batch, self._max_batch_pixels // output_pixels))
        batch: list[_Job] = []
        while jobs and len(batch) < most:
            job = jobs.popleft()
            if job.future.set_running_or_notify_cancel():
                batch.append(job)
        if not jobs:
            del self._buckets[bucket]
        return batch

    def _serve(self, batch: list[_Job]) -> None:
        """Computes a batch and resolves its futures, in smaller batches where the whole one fails."""
        started = time.perf_counter()
        try:
            pictures = self._compute(batch)
        except torch.AcceleratorError as error:
            _log.exception("the device failed")
            self._lose_device(f"the device failed ({error})", batch)
        except Exception as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                self._serve(batch[:middle])
                self._serve(batch[middle:])
                return
            batch[0].future.set_exception(_explain(error, batch[0]))
        else:
            seconds = time.perf_counter() - started
            for job, pixels in zip(batch, pictures, strict=True):
                job.future.set_result(Output(pixels, started - job.submitted, seconds, len(batch)))

    @torch.inference_mode()
    def _compute(self, batch: list[_Job]) -> list[Tensor]:
        net = batch[0].net
        pictures = torch.cat(
            [pad_to_multiple(_to_float(job.pixels.to(self.device, non_blocking=True)), net.multiple) for job in batch]
        )
        results = net(pictures).mul_(255).round_().byte().permute(0, 2, 3, 1).cpu()
        sizes = [(job.pixels.shape[0] * net.factor, job.pixels.shape[1] * net.factor) for job in batch]
        return [result[:height, :width].contiguous() for result, (height, width) in zip(results, sizes, strict=True)]

    def _lose_device(self, reason: str, batch: "list[_Job] | tuple[()]" = ()) -> None:
        """Fails everything there is and everything to come."""
        lost = DeviceLost(f"{reason}: restart the server")
        with self._changed:
            self._refusal = lost
            queued = [
                job for jobs in self._buckets.values() for job in jobs if job.future.set_running_or_notify_cancel()
            ]
            self._buckets.clear()
        for job in (*batch, *queued):
            job.future.set_exception(lost)


def _to_float(pixels: Tensor) -> Tensor:
    return pixels.permute(2, 0, 1)[None].float().div_(255)


def _explain(error: Exception, job: _Job) -> Problem:
    height, width, _ = job.pixels.shape
    if isinstance(error, torch.OutOfMemoryError) or "allocate" in str(error):
        torch.cuda.empty_cache()
        _log.warning("out of memory at %d×%d: %s", width, height, error)
        return Unavailable(f"there is not enough memory for {width}×{height} pixels now: try later or smaller", 10)
    _log.error("the net failed at %d×%d", width, height, exc_info=error)
    return InternalError("the net failed on this picture; the server's log says more")
