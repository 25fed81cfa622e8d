"""The capture of CUDA graphs into memory of their own, which is given back even after a capture that failed."""

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor

Transform = Callable[[Tensor], Tensor]

_capturing = threading.RLock()
"""Lock that is held during a capture, of which torch does one at a time and gives no memory back meanwhile."""
_unended: list[torch.cuda.CUDAGraph] = []
"""Graphs whose capture failed, which torch 2.11 and 2.12 still ask about page-locked memory; they hold no memory."""


class CapturedGraph:
    """A transform of pictures of one shape as a CUDA graph, which keeps the pool of its memory alive.

    Args:
        pool: Pool into which the graph was captured.
        graph: Captured graph.
        pictures: Tensor from which the graph reads its pictures.
        result: Tensor to which the graph writes its result.
    """

    def __init__(self, pool: "GraphPool", graph: torch.cuda.CUDAGraph, pictures: Tensor, result: Tensor) -> None:
        self._pool, self._graph, self._pictures, self._result = pool, graph, pictures, result
        self.nbytes = pictures.nbytes + result.nbytes
        """Bytes of memory that this graph shares with no other graph of the pool."""

    def __call__(self, pictures: Tensor) -> Tensor:
        """Return the transformed pictures, in memory that the next call overwrites."""
        self._pictures.copy_(pictures)
        self._graph.replay()
        return self._result


class GraphPool:
    """Memory on the current device that graphs work in, one after the other, on one stream.

    It is given back to the device once the pool and all its graphs are gone.
    """

    def __init__(self) -> None:
        self._memory = torch.cuda.MemPool()

    def __del__(self) -> None:
        # Torch ends the process if this memory is freed while another lane captures.
        with _capturing:
            vars(self).clear()

    @property
    def nbytes(self) -> int:
        """Bytes that the pool has taken from the device, whether or not a graph still needs them."""
        segments = self._memory.snapshot(include_traces=False)  # type: ignore[no-untyped-call]
        return sum(segment["total_size"] for segment in segments)

    def capture(self, transform: Transform, pictures: Tensor) -> CapturedGraph:
        """Capture a transform on the current stream, which must not be the default one.

        Args:
            transform: Transform that has run on pictures of this shape, so that nothing is left to load or to plan.
            pictures: Pictures of the shape to capture, on the device.

        Raises:
            Exception: The transform or the capture failed; nothing of the attempt is left.
        """
        static = torch.empty_like(pictures)
        graph = torch.cuda.CUDAGraph()
        # `torch.cuda.graph` would wait for the other lanes and give their memory back.
        with _capturing, _without_collection():
            users = self._memory.use_count()
            try:
                # The mode is thread-local, because other lanes compute and models are loaded meanwhile.
                pool = torch.cuda._POOL_HANDLE(self._memory.id)
                graph.capture_begin(pool, capture_error_mode="thread_local")
                try:
                    result = transform(static)
                except BaseException:
                    with suppress(RuntimeError):  # the first error is the one to raise
                        graph.capture_end()
                    raise
                graph.capture_end()
            except BaseException:
                self._release(graph, users)
                raise
        return CapturedGraph(self, graph, static, result)

    def _release(self, graph: torch.cuda.CUDAGraph, users: int) -> None:
        """Undo what a failed capture left; since torch 2.14, `reset` alone does that.

        Before 2.14 the memory stays in use for ever, and up to 2.12 torch behaves as if the capture went on, and frees
        no memory of the whole process any more.
        """
        graph.reset()
        device, pool = torch.cuda.current_device(), self._memory.id
        with suppress(RuntimeError):  # torch has ended it already, as it should
            torch._C._cuda_endAllocateToPool(device, pool)
            _unended.append(graph)
        while self._memory.use_count() > users:
            torch._C._cuda_releasePool(device, pool)


def give_back_unused_memory() -> None:
    """Give unused CUDA memory back to the device, and unused page-locked memory back to the host."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        with _capturing:
            torch.cuda.empty_cache()
            torch._C._host_emptyCache()


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep Python's garbage collector from freeing CUDA objects, which a capture may not survive."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
