"""The engine: forms batches and runs nets, on one thread that owns the device.

Pictures wait in buckets of one net and one exact padded size, because padding two different pictures to one size
would change the statistics of InstanceNorm. An idle device starts at once; while it is busy, buckets grow, and the one
whose first picture has waited longest goes next.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from model_store.nets import TransformNet, pad_to_multiple
from service import request_id
from service.observer import Observer
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
    request_id: str = field(default_factory=request_id.current.get)

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
        observer: is told of the queue, the batches and the loss of the device.
    """

    def __init__(
        self, device: torch.device, max_batch: int, max_batch_pixels: int, observer: Observer | None = None
    ) -> None:
        self.device = device
        self._observer = observer or Observer()
        self._max_batch = max_batch
        self._max_batch_pixels = max_batch_pixels
        self._buckets: dict[_Bucket, deque[_Job]] = {}
        self._changed = threading.Condition()
        self._is_lost = False
        self._refuse: Callable[[], Problem] | None = None
        """Makes the error for what is refused, once something is; each future has one of its own."""
        self._thread = threading.Thread(target=self._run, name=f"engine-{device}", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the device still computes."""
        return self._thread.is_alive() and not self._is_lost

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
            if self._refuse is not None:
                job.future.set_exception(self._refuse())
            else:
                self._buckets.setdefault(job.bucket, deque()).append(job)
                self._observer.picture_queued()
                self._changed.notify()
        return job.future

    def close(self) -> None:
        """Takes no more, finishes what is queued, and returns when that is done."""
        with self._changed:
            self._refuse = self._refuse or (lambda: Unavailable("the server is shutting down: try another", 5))
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        batch: list[_Job] = []
        try:
            while True:
                with self._changed:
                    while not self._buckets and self._refuse is None:
                        self._changed.wait()
                    if not self._buckets:
                        return
                    batch = self._take_batch()
                if batch:
                    self._serve(batch)
                batch = []
        except BaseException:
            _log.exception("the engine stopped")
            self._lose_device("the engine stopped", batch)

    def _take_batch(self) -> list[_Job]:
        """The next batch, of the bucket whose first picture has waited longest, without the cancelled."""
        bucket, jobs = min(self._buckets.items(), key=lambda item: item[1][0].submitted)
        output_pixels = bucket[1] * bucket[2] * jobs[0].net.factor ** 2
        most = max(1, min(self._max_batch, self._max_batch_pixels // output_pixels))
        batch: list[_Job] = []
        while jobs and len(batch) < most:
            job = jobs.popleft()
            self._observer.picture_dequeued(time.perf_counter() - job.submitted)
            if job.future.set_running_or_notify_cancel():
                batch.append(job)
        if not jobs:
            del self._buckets[bucket]
        return batch

    def _serve(self, batch: list[_Job]) -> None:
        """Computes a batch and resolves its futures, in smaller batches where the whole one fails."""
        started = time.perf_counter()
        request_id.current.set(",".join(job.request_id for job in batch if job.request_id))
        failure: Exception | None = None
        try:
            pictures = self._compute(batch)
        except torch.AcceleratorError as error:
            _log.exception("the device failed")
            self._lose_device(f"the device failed ({error})", batch)
            return
        except Exception as error:
            _log.exception("a batch of %d failed", len(batch))
            failure = error.with_traceback(None)  # its frames hold the batch's memory
            torch.cuda.empty_cache()
        if failure is None:
            seconds = time.perf_counter() - started
            self._observer.batch_computed(len(batch), sum(pixels.shape[0] * pixels.shape[1] for pixels in pictures))
            for job, pixels in zip(batch, pictures, strict=True):
                job.future.set_result(Output(pixels, started - job.submitted, seconds, len(batch)))
        elif len(batch) > 1:
            middle = len(batch) // 2
            self._serve(batch[:middle])
            self._serve(batch[middle:])
        else:
            batch[0].future.set_exception(_explain(failure, batch[0]))

    @torch.inference_mode()
    def _compute(self, batch: list[_Job]) -> list[Tensor]:
        net = batch[0].net
        pictures = torch.cat(
            [pad_to_multiple(_to_float(job.pixels.to(self.device, non_blocking=True)), net.multiple) for job in batch]
        )
        results = net(pictures).mul_(255).round_().byte().permute(0, 2, 3, 1).cpu()
        sizes = [(job.pixels.shape[0] * net.factor, job.pixels.shape[1] * net.factor) for job in batch]
        return [result[:height, :width].contiguous() for result, (height, width) in zip(results, sizes, strict=True)]

    def _lose_device(self, reason: str, batch: list[_Job]) -> None:
        """Fails the batch, everything queued and everything to come."""

        def lost() -> Problem:
            return DeviceLost(f"{reason}: restart the server")

        with self._changed:
            self._is_lost, self._refuse = True, lost
            self._observer.device_lost()
            waiting = [job for jobs in self._buckets.values() for job in jobs]
            self._buckets.clear()
        for job in waiting:
            self._observer.picture_dequeued(time.perf_counter() - job.submitted)
        queued = [job for job in waiting if job.future.set_running_or_notify_cancel()]
        for job in (*batch, *queued):
            if not job.future.done():
                job.future.set_exception(lost())


def _to_float(pixels: Tensor) -> Tensor:
    return pixels.permute(2, 0, 1)[None].float().div_(255)


def _explain(error: Exception, job: _Job) -> Problem:
    height, width, _ = job.pixels.shape
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error):
        return Unavailable(f"there is not enough memory for {width}×{height} pixels now: try later or smaller", 10)
    return InternalError("the net failed on this picture; the server's log says more")
