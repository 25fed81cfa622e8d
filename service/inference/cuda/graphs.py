"""Nets as CUDA graphs: a graph launches all kernels of a net at once, so that small batches never wait for Python."""

import logging
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

import torch
from torch import Tensor

from model_store.nets import TransformNet
from service.device.failures import answers, first_line, is_out_of_memory
from service.inference.cuda.graph_pool import GraphPool, Transform, give_back_unused_memory

_log = logging.getLogger(__name__)

_MOST_PIXELS = 2**21
"""Largest number of pixels, read or made, of a batch that is captured. Larger batches keep the device busy for longer
than Python takes to launch what comes next, and the memory that their graphs work in would not be given back."""
_MOST_GRAPHS = 32
"""Largest number of graphs of a lane."""
_MOST_BYTES = 512 * 1024**2
"""Largest number of bytes that the graphs of a lane read from and write to; the memory that they work in is shared."""
_MOST_POOL_BYTES = 2 * 1024**3
"""Largest number of bytes that the graphs of a lane take from the device in all. They need a few hundred megabytes; a
pool grows larger if each shape is a little larger than the last, because the memory of the last then fits nothing."""
_MOST_SEEN = 1024
"""Largest number of shapes seen once that are remembered."""
_MOST_DIFFERENCE = 1 / 255
"""Largest difference between the results of a graph and of its net, whose convolutions may use another algorithm."""


class Graph(Protocol):
    """A captured transform of pictures of one shape."""

    nbytes: int
    """Bytes of memory that the graph does not share."""

    def __call__(self, pictures: Tensor) -> Tensor:
        """Return the transformed pictures, in memory that the next call overwrites."""
        ...


class Pool(Protocol):
    """Memory that the graphs of a lane share."""

    @property
    def nbytes(self) -> int:
        """Bytes that the pool has taken from the device."""
        ...

    def capture(self, transform: Transform, pictures: Tensor) -> Graph:
        """Capture a transform for pictures like these."""
        ...


class GraphedNet(TransformNet):
    """A net that runs as CUDA graphs when it is called on a lane, and as it is elsewhere.

    Args:
        net: Net on CUDA, in evaluation mode; it must never change, and must do the same for all pictures of one shape.
    """

    def __init__(self, net: TransformNet) -> None:
        super().__init__()
        self.task, self.factor, self.multiple, self.halo = net.task, net.factor, net.multiple, net.halo
        self.net = net
        self.requires_grad_(requires_grad=False).eval()

    def is_large(self, height: int, width: int) -> bool:
        """Tell whether a picture is computed by `compute_in_pieces`, as the net does."""
        return self.net.is_large(height, width)

    def compute_in_pieces(self, pixels: Tensor) -> Tensor:
        """Compute one large picture, as the net does; see `TransformNet.compute_in_pieces`."""
        return self.net.compute_in_pieces(pixels)

    @torch.inference_mode()
    def transform(self, pictures: Tensor) -> Tensor:
        """Map `(N, 3, H, W)` to `(N, 3, H·factor, W·factor)`, as the net does.

        The next call on this lane may overwrite the result. Lanes need not care, because they call `forward`: it clamps
        the result, which makes a copy, and the copy to the host follows on the same stream, in order.
        """
        graphs = _of_this_lane.get()
        return self.net.transform(pictures) if graphs is None else graphs.run(self.net, pictures)


class LaneGraphs:
    """The graphs of one lane, for all nets that run there.

    A graph is captured when a net gets a shape for the second time, so that rare shapes cost nothing, and nothing is
    captured that has not run before. It is used only if its first result is that of the net.

    Args:
        make_pool: Function that makes the memory that the graphs share.
        most_pixels: Largest number of pixels, read or made, of a batch that is captured.
        most_graphs: Largest number of graphs; above it, the least recently used are dropped.
        most_bytes: Largest number of bytes that graphs do not share; above it, the least recently used are dropped.
        most_pool_bytes: Largest number of bytes of the shared memory; above it, all graphs are dropped, because this
            memory is given back only as a whole.
    """

    def __init__(
        self,
        make_pool: Callable[[], Pool] = GraphPool,
        most_pixels: int = _MOST_PIXELS,
        most_graphs: int = _MOST_GRAPHS,
        most_bytes: int = _MOST_BYTES,
        most_pool_bytes: int = _MOST_POOL_BYTES,
    ) -> None:
        self._make_pool = make_pool
        self._most_pixels, self._most_graphs = most_pixels, most_graphs
        self._most_bytes, self._most_pool_bytes = most_bytes, most_pool_bytes
        self._lock = threading.Lock()
        """Lock of the graphs, which other lanes may drop."""
        self._graphs: OrderedDict[_Key, Graph] = OrderedDict()
        self._pool: Pool | None = None
        self._seen: OrderedDict[_Key, None] = OrderedDict()
        self._refused: weakref.WeakSet[TransformNet] = weakref.WeakSet()
        """Nets that run without graphs, because one of theirs failed."""
        with _registering:
            _everywhere.add(self)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Run the nets that are called on this thread inside the block by these graphs."""
        token = _of_this_lane.set(self)
        try:
            yield
        finally:
            _of_this_lane.reset(token)

    def run(self, net: TransformNet, pictures: Tensor) -> Tensor:
        """Return the pictures as transformed by a net, in memory that the next run may overwrite.

        Raises:
            Exception: The net failed, there is not enough memory to launch a graph, or the device is lost. Graphs are
                kept then, because torch ends the process when their memory is freed on a lost device.
        """
        key = (weakref.ref(net), pictures.shape)
        graph = self._find(key)
        if graph is not None:
            try:
                return graph(pictures)
            except Exception as error:
                if is_out_of_memory(error) or not answers(pictures.device):
                    raise
                self._refuse(net, error)
        self._drop_where(lambda key: key[0]() is None)
        result = net.transform(pictures)
        if self._is_worthwhile(net, pictures):
            if key in self._seen:
                del self._seen[key]
                self._capture(key, net, pictures, result)
            else:
                self._seen[key] = None
                if len(self._seen) > _MOST_SEEN:
                    self._seen.popitem(last=False)
        return result

    def drop(self) -> None:
        """Drop all graphs and their memory; any thread may call this, and a graph that is running finishes."""
        self._drop_where(lambda _key: True)

    def _drop_where(self, is_dropped: "Callable[[_Key], bool]") -> None:
        with self._lock:
            gone: list[object] = [self._graphs.pop(key) for key in list(self._graphs) if is_dropped(key)]
            if not self._graphs:  # torch captures nothing more into a pool whose graphs are gone
                gone.append(self._pool)
                self._pool = None
        del gone  # after the lock is released, because freeing takes a while

    def _find(self, key: "_Key") -> Graph | None:
        """Return the graph of a net for a shape, if there is one."""
        with self._lock:
            graph = self._graphs.get(key)
            if graph is not None:
                self._graphs.move_to_end(key)
            return graph

    def _is_worthwhile(self, net: TransformNet, pictures: Tensor) -> bool:
        count, _, height, width = pictures.shape
        return count * height * width * net.factor**2 <= self._most_pixels and net not in self._refused

    def _capture(self, key: "_Key", net: TransformNet, pictures: Tensor, expected: Tensor) -> None:
        """Capture a graph, and keep it if its result is the expected one."""
        with self._lock:
            pool = self._pool = self._pool or self._make_pool()
        try:
            graph = pool.capture(net.transform, pictures)
            # Values that are NaN in both results count as equal.
            if not torch.allclose(graph(pictures), expected, atol=_MOST_DIFFERENCE, equal_nan=True):
                raise _WrongGraph("a graph does not give what the net gives")
        except Exception as error:
            if not answers(pictures.device):
                raise
            self.drop()  # torch captures nothing more into a pool after a failed capture
            if not is_out_of_memory(error):
                self._refuse(net, error)
            return
        with self._lock:
            if self._pool is not pool:  # another thread dropped all graphs meanwhile
                return
            self._graphs[key] = graph
            gone = self._excess()
            is_too_large = len(self._graphs) > 1 and pool.nbytes > self._most_pool_bytes
        del gone
        if is_too_large:
            self.drop()

    def _excess(self) -> list[Graph]:
        """Take out and return the least recently used graphs beyond the limits, but never the newest.

        None of them is running, because the newest came after them on the same stream and was waited for.
        """
        gone = []
        while len(self._graphs) > 1 and (
            len(self._graphs) > self._most_graphs
            or sum(graph.nbytes for graph in self._graphs.values()) > self._most_bytes
        ):
            gone.append(self._graphs.popitem(last=False)[1])
        return gone

    def _refuse(self, net: TransformNet, error: Exception) -> None:
        """Run a net without graphs from now on, and log why."""
        _log.warning(
            "a net runs without CUDA graphs from now on, and small batches of it take longer: %s: %s",
            type(error).__name__,
            first_line(error),
        )
        self._refused.add(net)
        self._drop_where(lambda key: key[0]() is net)


class _WrongGraph(Exception):
    """A graph makes something else than its net does."""


_Key = tuple["weakref.ref[TransformNet]", torch.Size]
"""Key of a graph, which is the net and the shape of its input."""

_of_this_lane: ContextVar[LaneGraphs | None] = ContextVar("graphs of this lane", default=None)
_everywhere: weakref.WeakSet[LaneGraphs] = weakref.WeakSet()
_registering = threading.Lock()


def free_memory() -> None:
    """Drop the graphs of all lanes, and then give all unused CUDA memory back."""
    with _registering:
        lanes = list(_everywhere)
    for graphs in lanes:
        graphs.drop()
    give_back_unused_memory()
