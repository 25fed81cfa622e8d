"""A training step that is captured as one CUDA graph, so that the device never waits for Python."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.data.batches import Batch

_WARM_UP = 3
"""Number of steps that run before the capture."""

Step = Callable[[Batch], dict[str, Tensor]]
"""A training step, which returns named scalars."""


class CapturedStep:
    """A training step that is captured for the size of its batches and then replayed.

    The first three batches of a size train outside the graph, because PyTorch demands a warm-up.

    Args:
        step: Function that trains on a batch; everything else that it reads or writes must keep its place in memory.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._size: torch.Size | None = None
        self._seen = 0
        self._graph: _Graph | None = None
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Train on a batch and return the results of the step, which the next step overwrites."""
        if batch.pictures.shape != self._size:
            self._size, self._seen, self._graph = batch.pictures.shape, 0, None
        self._seen += 1
        if self._seen <= _WARM_UP:
            return self._run_beside(batch)
        if self._graph is None:
            self._graph = self._capture(batch)
        for place, fresh in zip(self._graph.batch, batch, strict=True):
            place.copy_(fresh, non_blocking=True)
        self._graph.graph.replay()
        return self._graph.results

    def _run_beside(self, batch: Batch) -> dict[str, Tensor]:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            results = self._step(batch)
        torch.cuda.current_stream().wait_stream(self._stream)
        return results

    def _capture(self, batch: Batch) -> "_Graph":
        static = Batch(*(each.clone() for each in batch))
        graph = torch.cuda.CUDAGraph()
        # Other threads may use CUDA during the capture; one of them pins the memory of the next batches.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            results = self._step(static)
        return _Graph(graph, static, results)


class _Graph(NamedTuple):
    """A captured step and the memory that it uses."""

    graph: torch.cuda.CUDAGraph
    batch: Batch
    """Batch whose memory the graph reads."""
    results: dict[str, Tensor]
    """Results whose memory the graph writes."""
