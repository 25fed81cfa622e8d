"""Nets as CUDA graphs: a graph launches all kernels of a net at once, so that small batches never wait for Python."""

import logging
import threading
import weakref
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import torch
from torch import Tensor

from model_store.nets import TransformNet

_log = logging.getLogger(__name__)

_MOST_PIXELS = 2**21
"""In a batch, read or made. More keep the device busy for longer than Python takes to launch what comes next, and the
memory that a graph works in is not given back."""
_MOST_GRAPHS = 32
_MOST_BYTES = 512 * 1024**2
"""Of what the graphs of a lane read from and write to; what they work in they share."""
_MOST_SEEN = 1024
_MOST_DIFFERENCE = 1 / 255
"""Between what a graph makes and what the net made, where a convolution should be computed in another way."""

Transform = Callable[[Tensor], Tensor]


class Graph(Protocol):
    """A transform of pictures of one shape, captured."""

    nbytes: int
    """Of memory that it does not share."""

    def __call__(self, pictures: Tensor) -> Tensor:
        """What the transform makes of pictures, in memory that the next call overwrites."""
        ...


Capture = Callable[[Transform, Tensor, Graph | None], Graph]
"""Captures a transform for pictures like these, to work in the same memory as another graph of the lane."""


class GraphedNet(TransformNet):
    """Does what a net does, by CUDA graphs where it runs on a lane.

    Args:
        net: on CUDA, in evaluation mode; must never change, and do the same for all pictures of one shape.
    """

    def __init__(self, net: TransformNet) -> None:
        super().__init__()
        self.task, self.factor, self.multiple = net.task, net.factor, net.multiple
        self.net = net
        self.requires_grad_(requires_grad=False).eval()

    @torch.inference_mode()
    def transform(self, pictures: Tensor) -> Tensor:
        """As the net's.

        The result may be overwritten by the next on this lane. Whoever calls the net itself, as lanes do, need not
        care: that clamps, which makes a copy, and what is copied from there to the host is copied on the same stream,
        in order.
        """
        stream = torch.cuda.current_stream()
        if stream == torch.cuda.default_stream():  # it cannot be captured, and is no lane's
            return self.net.transform(pictures)
        return _lanes.graphs[stream].run(self.net, pictures)


class LaneGraphs:
    """The graphs of one lane, of all nets that run there.

    A graph is captured when a net sees a shape for the second time, so that rare shapes cost nothing, and nothing is
    captured that has not run before. It is used once it has been seen to give the same.

    Args:
        capture: captures a graph.
        most_pixels: in a batch, read or made; larger ones are not captured.
        most_graphs: that are kept; the least recently used are dropped.
        most_bytes: likewise, of memory that they do not share.
    """

    def __init__(
        self,
        capture: Capture,
        most_pixels: int = _MOST_PIXELS,
        most_graphs: int = _MOST_GRAPHS,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        self._capture: Capture | None = capture
        self._most_pixels, self._most_graphs, self._most_bytes = most_pixels, most_graphs, most_bytes
        self._graphs: OrderedDict[_Key, Graph] = OrderedDict()
        self._seen: OrderedDict[_Key, None] = OrderedDict()

    def run(self, net: TransformNet, pictures: Tensor) -> Tensor:
        """What a net makes of pictures, in memory that the next run may overwrite.

        Raises:
            Exception: whatever the net raises.
        """
        key = (weakref.ref(net), pictures.shape)
        try:
            if key in self._graphs:
                self._graphs.move_to_end(key)
                return self._graphs[key](pictures)
            result = net.transform(pictures)
        except torch.OutOfMemoryError:
            self._graphs.clear()
            raise
        count, _, height, width = pictures.shape
        if self._capture is None or count * height * width * net.factor**2 > self._most_pixels:
            return result
        if key in self._seen:
            del self._seen[key]
            graph = self._try(self._capture, net, pictures, result)
            if graph is not None:
                self._graphs[key] = graph
                self._drop_excess()
        else:
            self._seen[key] = None
            if len(self._seen) > _MOST_SEEN:
                self._seen.popitem(last=False)
        return result

    def _try(self, capture: Capture, net: TransformNet, pictures: Tensor, expected: Tensor) -> Graph | None:
        """A graph that gives what is expected, if there can be one."""
        try:
            graph = capture(net.transform, pictures, next(iter(self._graphs.values()), None))
            if torch.allclose(graph(pictures), expected, atol=_MOST_DIFFERENCE):
                return graph
            reason = "a graph does not give what the net gives"
        except torch.OutOfMemoryError:
            self._graphs.clear()
            return None
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
        _log.warning("nets run without CUDA graphs from now on, and small batches take longer: %s", reason)
        self._capture = None
        self._graphs.clear()
        return None

    def _drop_excess(self) -> None:
        """Drops graphs of nets that are gone, and the least recently used, but never the newest.

        None of them runs: the newest was waited for, after them on the same stream.
        """
        for key in [key for key in self._graphs if key[0]() is None]:
            del self._graphs[key]
        while len(self._graphs) > 1 and (
            len(self._graphs) > self._most_graphs
            or sum(graph.nbytes for graph in self._graphs.values()) > self._most_bytes
        ):
            self._graphs.popitem(last=False)


_Key = tuple["weakref.ref[TransformNet]", torch.Size]
"""The net and the shape of its input."""


class _CudaGraph:
    """A graph of the current stream; see `Capture`."""

    def __init__(self, transform: Transform, pictures: Tensor, beside: Graph | None) -> None:
        self._pictures = torch.empty_like(pictures)
        self._graph = torch.cuda.CUDAGraph()
        pool = beside._graph.pool() if isinstance(beside, _CudaGraph) else None
        try:
            # Not by `torch.cuda.graph`: it would wait for the other lanes and give their memory back.
            with _capturing:
                # Other lanes go on meanwhile, and models are loaded.
                self._graph.capture_begin(pool, capture_error_mode="thread_local")
                try:
                    self._result = transform(self._pictures)
                finally:
                    self._graph.capture_end()
        except BaseException:
            _broken.append(self._graph)
            raise
        self.nbytes = self._pictures.nbytes + self._result.nbytes

    def __call__(self, pictures: Tensor) -> Tensor:
        self._pictures.copy_(pictures)
        self._graph.replay()
        return self._result


class _Lanes(threading.local):
    """The lanes of a thread."""

    def __init__(self) -> None:
        self.graphs: defaultdict[torch.cuda.Stream, LaneGraphs] = defaultdict(lambda: LaneGraphs(_CudaGraph))


_lanes = _Lanes()
_capturing = threading.Lock()
"""Torch captures one graph at a time."""
_broken: list[torch.cuda.CUDAGraph] = []
"""What could not be captured: torch's allocator may still ask it about later allocations, so that it must not go."""


def free_memory() -> None:
    """Gives memory of CUDA that nothing uses back to the device, but not while a graph is captured."""
    with _capturing, suppress(RuntimeError):  # torch refuses it after a capture that failed
        torch.cuda.empty_cache()
