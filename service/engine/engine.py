"""The engine, which forms batches of the pictures that wait and has the lanes of a device compute them.

An idle lane starts at once with whatever waits; batches grow only while all lanes are busy.

A large picture is computed in pieces, on all cores. Between two of them it is paused while others wait and its share
of the device allows: then all lanes compute other pictures, and none does while it computes a piece.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from model_store.nets import TransformNet
from service.contract import request_id
from service.contract.observer import Observer
from service.contract.problems import DeviceLost, InternalError, Problem, Unavailable
from service.device.failures import first_line, is_out_of_memory
from service.engine.lane import Lane
from service.engine.pace import Pace
from service.engine.queue import Buckets, Output, QueuedPicture
from service.engine.share import Share
from service.inference import pieces
from service.inference.cuda.graphs import free_memory

_log = logging.getLogger(__name__)

_RESTART_S = 10
"""Seconds after which a server that lost its device may have been started again; clients are told to wait so long."""


class Engine:
    """The queue of a device and the threads of its lanes, which run nets on the queued pictures in batches.

    Args:
        device: Device on which the nets are.
        max_batch: Largest number of pictures in one batch.
        max_batch_pixels: Largest number of output pixels in one batch; a single picture may have more.
        lanes: Number of batches that are computed at the same time.
        max_bytes: Bytes of memory that all lanes of a CPU may compute in together (see
            `TransformNet.bytes_needed`), or None for no limit. A picture that does not fit beside those that are
            being computed waits, and so do all behind it; one that needs more than the limit is computed alone. Nothing
            waits for a large picture whose turn has not come because of another large one.
        relieve: Function that frees memory of the device, if it can; it is called when memory has run out.
        observer: Receiver of events, which is told of the queue, the batches and the loss of the device.
    """

    def __init__(
        self,
        device: torch.device,
        max_batch: int,
        max_batch_pixels: int,
        *,
        lanes: int = 1,
        max_bytes: int | None = None,
        relieve: Callable[[], None] = lambda: None,
        observer: Observer | None = None,
    ) -> None:
        self._max_batch = max_batch
        self._max_batch_pixels = max_batch_pixels
        self._max_bytes = max_bytes
        self._bytes = 0
        """Bytes of memory that the batches being computed need."""
        self._relieve = relieve
        self._observer = observer or Observer()
        self._cores = torch.get_num_threads()
        self.pace = Pace()
        """How fast the device computed so far."""
        self._small, self._large = Buckets(), Buckets()
        """Pictures that wait: those that are computed in pieces apart from others, whom they so never delay."""
        self._most_large = 1 if device.type == "cpu" else lanes
        """Largest number of large pictures at a time: one has all cores of a CPU, but not all of what CUDA offers."""
        self._changed = threading.Condition()
        self._busy = 0
        self._busy_large = 0
        """Number of lanes that compute anything, and of those that compute large pictures, paused or not."""
        self._paused: list[Share] = []
        """Shares of the large pictures that are paused."""
        self._is_lost = False
        self.lost: Future[None] = Future()
        """Future that is resolved when the device is lost, after all waiting pictures have their errors."""
        self._lanes: list[Lane] = []
        self._refuse: Callable[[], Problem] | None = None
        """Function that makes an error of its own for each refused picture; None while pictures are taken."""
        self._threads = [
            threading.Thread(target=self._run, args=[device], name=f"engine-{device}-{number}", daemon=True)
            for number in range(lanes)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the engine still computes: it is not closed, and its device is not lost."""
        return not self._is_lost and all(thread.is_alive() for thread in self._threads)

    def submit(self, net: TransformNet, pixels: Tensor) -> "Future[Output]":
        """Queue one picture.

        Args:
            net: Net in evaluation mode, on the device.
            pixels: Picture as uint8 RGB on the CPU, `(H, W, 3)`, both sides at least 16.

        Returns:
            A future that always resolves, to an `Output` or to a `Problem`. A picture whose future is cancelled before
            its turn comes is not computed; a large one that is being computed ends at its next piece.
        """
        picture = QueuedPicture(net, pixels)
        with self._changed:
            if self._refuse is not None:
                picture.future.set_exception(self._refuse())
            else:
                (self._large if picture.is_large else self._small).add(picture)
                self._observer.picture_queued()
                self._changed.notify_all()
        return picture.future

    def close(self) -> None:
        """Refuse new pictures, finish those that are queued, and return when that is done."""
        with self._changed:
            self._refuse = self._refuse or (lambda: Unavailable("the server is shutting down: try another", 5))
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._lanes.clear()

    def _run(self, device: torch.device) -> None:
        """Compute batches on one lane until the engine is closed or its device is lost."""
        batch: list[QueuedPicture] = []
        try:
            lane = Lane(device)
            self._lanes.append(lane)
            while True:
                with self._changed:
                    while (buckets := self._next()) is None and (self._small or self._large or self._refuse is None):
                        self._changed.wait()
                    if buckets is None:
                        return
                    batch, needed = self._take_batch(buckets)
                    is_large = buckets is self._large
                    self._busy += 1
                    self._busy_large += is_large
                    cores = self._cores if is_large else self._cores_each()
                if batch:
                    lane.use_cores(cores)
                    self._serve(lane, batch)
                batch = []
                with self._changed:
                    self._busy -= 1
                    self._busy_large -= is_large
                    self._bytes -= needed
                    self._changed.notify_all()
        except BaseException:
            _log.exception("the engine stopped")
            self._lose_device("the engine stopped", batch)

    def _next(self) -> Buckets | None:
        """Return the pictures of which the next batch may be taken now, or None; none overtakes the next one."""
        waiting: list[Buckets] = []
        if self._small and (not self._busy_large or any(share.is_others_turn() for share in self._paused)):
            waiting.append(self._small)
        if self._large and self._busy_large < self._most_large:
            waiting.append(self._large)
        first = min(waiting, key=lambda buckets: buckets.head.submitted, default=None)
        return first if first is not None and self._fits(first.head) else None

    def _fits(self, picture: QueuedPicture) -> bool:
        """Return whether there is memory for a picture, or it needs none because it is cancelled."""
        room = self._room_for(picture)
        return room is None or picture.bytes <= room or picture.future.cancelled()

    def _room_for(self, picture: QueuedPicture) -> int | None:
        """Return the bytes of memory that a batch may need that begins with a picture, or None if there is no limit."""
        if self._max_bytes is None:
            return None
        return self._max_bytes - self._bytes if self._bytes else max(self._max_bytes, picture.bytes)

    def _cores_each(self) -> int:
        """Return the number of cores for each lane that computes, or is about to, if they share all of them."""
        following = self._next()
        in_use = self._busy + (len(following) if following is not None else 0)
        return max(1, self._cores // min(len(self._threads), in_use))

    def _take_batch(self, buckets: Buckets) -> tuple[list[QueuedPicture], int]:
        """Take the next batch off the queue, without cancelled pictures, of which it may consist, and its memory.

        Returns:
            The batch, and the bytes of memory that it holds until they are subtracted again.
        """
        room = self._room_for(buckets.head)
        batch = self._dequeue(buckets.take(self._max_batch, self._max_batch_pixels, room))
        needed = 0 if self._max_bytes is None else sum(picture.bytes for picture in batch)
        self._bytes += needed
        return batch, needed

    def _let_others_in(self, lane: Lane, large: Sequence[QueuedPicture], share: Share) -> None:
        """Compute small pictures that wait, between two pieces of large ones, as far as the share of others allows.

        Raises:
            CancelledError: Nobody wants the large pictures any more.
        """
        if all(picture.future.is_unwanted for picture in large):
            raise CancelledError
        cores, for_request = torch.get_num_threads(), request_id.current.get()
        try:
            while (taken := self._take_in_pause(share)) is not None:
                self._serve_in_pause(lane, *taken)
        finally:
            with self._changed:
                if share.is_paused:
                    self._paused.remove(share)
                    share.resume()
            lane.use_cores(cores)
            request_id.current.set(for_request)

    def _take_in_pause(self, share: Share) -> tuple[list[QueuedPicture], int, int] | None:
        """Take a batch to be computed in the pause of a large picture, which begins with the first such batch.

        Returns:
            What `_take_batch` returns, and the number of cores for the batch, or None when the pause is over: no other
            picture waits, or has a turn, and all lanes have computed theirs.
        """
        with self._changed:
            self._dequeue(self._large.take_cancelled())
            while not self._is_lost:
                if share.is_others_turn() and self._small and self._fits(self._small.head):
                    if not share.is_paused:
                        share.pause()
                        self._paused.append(share)
                    batch, needed = self._take_batch(self._small)
                    self._changed.notify_all()
                    return batch, needed, self._cores_each()
                if not share.is_paused or self._busy == self._busy_large:
                    return None
                self._changed.wait()
        return None

    def _serve_in_pause(self, lane: Lane, batch: list[QueuedPicture], needed: int, cores: int) -> None:
        """Compute a batch on the lane of a large picture that is paused."""
        try:
            with pieces.paused_by(lambda: None):
                lane.use_cores(cores)
                if batch:
                    self._serve(lane, batch)
        except BaseException as error:
            for picture in batch:
                if not picture.future.done():
                    picture.future.set_exception(_explain(error, picture.pixels))
            raise
        finally:
            with self._changed:
                self._bytes -= needed
                self._changed.notify_all()

    def _serve(self, lane: Lane, batch: list[QueuedPicture], attempts: int = 2) -> None:
        """Compute a batch and resolve its futures, in smaller batches where the whole one fails.

        A single picture for which memory ran out is tried once more, after memory was freed.
        """
        failure = self._attempt(lane, batch)
        if failure is None:
            return
        ran_out = is_out_of_memory(failure)
        if ran_out:
            self._relieve()
            free_memory()
        elif lane.is_lost():
            self._lose_device(f"the device failed ({first_line(failure)})", batch)
            return
        if len(batch) > 1:
            middle = len(batch) // 2
            self._serve(lane, batch[:middle])
            self._serve(lane, batch[middle:])
        elif ran_out and attempts > 1:
            self._serve(lane, batch, attempts - 1)
        else:
            batch[0].future.set_exception(_explain(failure, batch[0].pixels))

    def _attempt(self, lane: Lane, batch: list[QueuedPicture]) -> Exception | None:
        """Compute a batch and resolve its futures, or return the error, which no longer keeps any of the memory."""
        started, share = time.perf_counter(), Share()
        request_id.current.set(",".join(picture.request_id for picture in batch if picture.request_id))
        try:
            with self._with_pauses(lane, batch, share), pieces.told_to(batch[0].on_progress):
                results = lane.compute(batch[0].net, [picture.pixels for picture in batch])
        except CancelledError:
            for picture in batch:
                picture.future.set_exception(CancelledError())
            return None
        except Exception as error:
            _log.exception("a batch of %d failed", len(batch))
            return _without_frames(error)
        seconds = time.perf_counter() - started - share.given
        height, width = batch[0].padded_size
        self.pace.record(batch[0].net, height * width, len(batch), seconds)
        self._observer.batch_computed(len(batch), sum(pixels.shape[0] * pixels.shape[1] for pixels in results))
        for picture, pixels in zip(batch, results, strict=True):
            waited = started - picture.submitted + share.given
            picture.future.set_result(Output(pixels, waited, seconds, len(batch)))
        return None

    def _with_pauses(self, lane: Lane, batch: Sequence[QueuedPicture], share: Share) -> AbstractContextManager[None]:
        """Let others in between the pieces of large pictures; small ones are computed without pauses."""
        if not batch[0].is_large:
            return nullcontext()
        return pieces.paused_by(lambda: self._let_others_in(lane, batch, share))

    def _lose_device(self, reason: str, batch: list[QueuedPicture]) -> None:
        """Fail the batch, all queued pictures, and all that are submitted later."""

        def lost() -> Problem:
            return DeviceLost(f"{reason}: restart the server", _RESTART_S)

        with self._changed:
            is_first, self._is_lost = not self._is_lost, True
            self._refuse = lost
            self._observer.device_lost()
            waiting = [*self._small.take_all(), *self._large.take_all()]
            self._changed.notify_all()
        for picture in (*batch, *self._dequeue(waiting)):
            if not picture.future.done():
                picture.future.set_exception(lost())
        if is_first:
            _log.error("%s: nothing is computed any more", reason)
            for lane in self._lanes:
                lane.abandon()
            self.lost.set_result(None)

    def _dequeue(self, pictures: Sequence[QueuedPicture]) -> list[QueuedPicture]:
        """Tell that pictures are no longer in the queue, and return those that are not cancelled."""
        for picture in pictures:
            self._observer.picture_dequeued(time.perf_counter() - picture.submitted)
        return [picture for picture in pictures if picture.future.set_running_or_notify_cancel()]


def _without_frames(error: Exception) -> Exception:
    """Remove the stack frames from an error and from those that led to it, because they keep the batch's memory."""
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__context__
    return error


def _explain(error: BaseException, pixels: Tensor) -> Problem:
    if is_out_of_memory(error):
        height, width, _ = pixels.shape
        return Unavailable(f"there is not enough memory for {width}×{height} pixels now: try later or smaller", 10)
    return InternalError("the net failed on this picture; the server's log says more")
