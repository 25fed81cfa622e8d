import gc
import logging
import threading
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from model_store.nets import StyleNet, TransformNet
from service.inference.cuda.graph_pool import Transform
from service.inference.cuda.graphs import Graph, GraphedNet, LaneGraphs, free_memory


class Brighter(TransformNet):
    """A net that counts how often it runs."""

    def __init__(self, by: float = 0.25) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by), requires_grad=False)
        self.runs = 0

    def transform(self, pictures: Tensor) -> Tensor:
        self.runs += 1
        return pictures + self.by


class StandIn:
    """A stand-in for a graph, which runs the transform again but always writes to the same memory."""

    def __init__(self, pool: "StandInPool", transform: Transform, pictures: Tensor) -> None:
        self.pool, self.transform = pool, transform
        self.result = torch.empty_like(transform(pictures))
        self.nbytes = pictures.nbytes + self.result.nbytes
        self.replays = 0
        self.error: Exception | None = None
        """Error that the next call raises."""

    def __call__(self, pictures: Tensor) -> Tensor:
        self.replays += 1
        if self.error is not None:
            raise self.error
        return self.result.copy_(self.transform(pictures))


class StandInPool:
    """A stand-in for the memory that graphs share, which never shrinks."""

    def __init__(self, capture: "Capture") -> None:
        self._capture = capture
        self.nbytes = 0

    def capture(self, transform: Transform, pictures: Tensor) -> Graph:
        return self._capture.one(self, transform, pictures)


class Capture:
    """The captures of a test, which make stand-ins and remember them."""

    def __init__(self) -> None:
        self.made: list[StandIn] = []
        self.attempts = 0
        self.error: Exception | None = None
        """Error that every attempt raises."""

    def pool(self) -> StandInPool:
        return StandInPool(self)

    def one(self, pool: StandInPool, transform: Transform, pictures: Tensor) -> Graph:
        self.attempts += 1
        if self.error is not None:
            raise self.error
        pool.nbytes += pictures.nbytes
        self.made.append(StandIn(pool, transform, pictures))
        return self.made[-1]

    @property
    def alive(self) -> int:
        """Number of graphs that something else still holds; all others are forgotten."""
        kept = [weakref.ref(graph) for graph in self.made]
        self.made.clear()
        gc.collect()
        return sum(graph() is not None for graph in kept)


def some_pictures(width: int = 16, count: int = 1) -> Tensor:
    return torch.rand(count, 3, 16, width)


@pytest.fixture
def capture() -> Capture:
    return Capture()


def see(graphs: LaneGraphs, net: TransformNet, width: int, times: int = 2) -> None:
    for _ in range(times):
        graphs.run(net, some_pictures(width))


def test_a_shape_is_captured_when_it_is_seen_again_and_replayed_from_then_on(capture: Capture) -> None:
    graphs, net = LaneGraphs(capture.pool), Brighter()

    captured, results = [], []
    for _ in range(4):
        pictures = some_pictures()
        results.append(torch.equal(graphs.run(net, pictures), pictures + net.by))
        captured.append(len(capture.made))

    assert results == [True] * 4
    assert captured == [0, 1, 1, 1]
    assert capture.made[0].replays == 1 + 2  # one replay was to compare it with the net


def test_each_net_and_each_shape_has_a_graph_of_its_own(capture: Capture) -> None:
    graphs, nets = LaneGraphs(capture.pool), (Brighter(0.25), Brighter(0.5))

    for _ in range(3):
        for net in nets:
            for width in (16, 20):
                pictures = some_pictures(width)
                assert torch.equal(graphs.run(net, pictures), pictures + net.by)

    assert len(capture.made) == 4


def test_graphs_of_a_lane_share_the_memory_that_they_work_in(capture: Capture) -> None:
    graphs, net = LaneGraphs(capture.pool), Brighter()

    see(graphs, net, 16)
    see(graphs, net, 20)

    assert capture.made[0].pool is capture.made[1].pool


def test_batches_that_keep_the_device_busy_anyway_are_not_captured(capture: Capture) -> None:
    graphs, net = LaneGraphs(capture.pool, most_pixels=16 * 16), Brighter()

    see(graphs, net, 17)
    assert capture.made == []
    see(graphs, net, 16)
    assert len(capture.made) == 1


def test_the_pixels_that_an_enlarging_net_makes_count_as_well(capture: Capture) -> None:
    graphs, net = LaneGraphs(capture.pool, most_pixels=16 * 16), Brighter()
    net.factor = 2

    see(graphs, net, 16)

    assert capture.made == []


def test_the_least_recently_used_graph_is_dropped_when_there_are_too_many(capture: Capture) -> None:
    graphs, net = LaneGraphs(capture.pool, most_graphs=2), Brighter()
    see(graphs, net, 16)
    see(graphs, net, 20)
    see(graphs, net, 16, times=1)
    see(graphs, net, 24)

    replays = [graph.replays for graph in capture.made]
    for width in (16, 20, 24):
        see(graphs, net, width, times=1)

    assert [graph.replays - before for graph, before in zip(capture.made, replays, strict=True)] == [1, 0, 1]


def test_the_least_recently_used_graphs_are_dropped_when_they_take_too_much(capture: Capture) -> None:
    one = 2 * some_pictures(16).nbytes
    graphs, net = LaneGraphs(capture.pool, most_bytes=2 * one), Brighter()
    see(graphs, net, 16)
    see(graphs, net, 17)  # a little too much together

    replays = [graph.replays for graph in capture.made]
    see(graphs, net, 16, times=1)
    see(graphs, net, 17, times=1)

    assert [graph.replays - before for graph, before in zip(capture.made, replays, strict=True)] == [0, 1]


def test_a_dropped_graph_is_captured_again_when_its_shape_is_seen_twice(capture: Capture) -> None:
    graphs, net = LaneGraphs(capture.pool, most_graphs=1), Brighter()
    see(graphs, net, 16)
    see(graphs, net, 20)

    see(graphs, net, 16)

    assert len(capture.made) == 3


def test_graphs_of_nets_that_are_gone_are_dropped_with_the_next_picture_of_another(capture: Capture) -> None:
    graphs, net, gone = LaneGraphs(capture.pool), Brighter(), Brighter()
    see(graphs, gone, 16)
    forget_nets(capture, net)
    del gone
    gc.collect()

    see(graphs, net, 16, times=1)

    assert capture.alive == 0


def test_graphs_are_dropped_with_the_memory_that_they_share_when_it_has_grown_too_large(capture: Capture) -> None:
    one = some_pictures(16).nbytes
    graphs, net = LaneGraphs(capture.pool, most_pool_bytes=2 * one), Brighter()
    for width in (16, 17):  # a little too much together
        see(graphs, net, width)
    see(graphs, net, 16)

    assert capture.made[2].pool is not capture.made[0].pool
    assert capture.alive == 1


def test_a_graph_that_needs_too_much_by_itself_is_kept(capture: Capture) -> None:
    graphs, net = LaneGraphs(capture.pool, most_pool_bytes=1), Brighter()

    see(graphs, net, 16, times=4)

    assert capture.attempts == 1


def test_a_net_that_cannot_be_captured_runs_as_it_is_and_the_log_says_so_once(
    capture: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    graphs, net = LaneGraphs(capture.pool), Brighter()
    capture.error = RuntimeError("operation not permitted when stream is capturing")
    for width in (16, 20, 24):
        for _ in range(3):
            pictures = some_pictures(width)
            assert torch.equal(graphs.run(net, pictures), pictures + net.by)

    assert capture.attempts == 1
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "not permitted when stream is capturing" in caplog.text


def test_a_net_that_cannot_be_captured_does_not_keep_others_from_being_captured(capture: Capture) -> None:
    graphs, net, other = LaneGraphs(capture.pool), Brighter(), Brighter()
    see(graphs, other, 16)
    capture.error = RuntimeError("operation not permitted when stream is capturing")
    see(graphs, net, 16)
    capture.error = None
    for width in (16, 20):
        see(graphs, other, width, times=3)

    assert [graph.replays for graph in capture.made] == [1, 2, 2]
    assert capture.made[0].pool is not capture.made[1].pool, "torch captures nothing more where it failed to"


class Blank(Brighter):
    """A net whose results are NaN."""

    def transform(self, pictures: Tensor) -> Tensor:
        return super().transform(pictures) * float("nan")


def test_a_result_of_nan_is_no_reason_to_do_without_graphs(capture: Capture, caplog: pytest.LogCaptureFixture) -> None:
    graphs, net = LaneGraphs(capture.pool), Blank()

    see(graphs, net, 16, times=3)

    assert capture.made[0].replays == 2
    assert caplog.records == []


def test_a_graph_that_makes_something_else_is_not_used(capture: Capture, caplog: pytest.LogCaptureFixture) -> None:
    class Wrong(StandInPool):
        def capture(self, _transform: Transform, pictures: Tensor) -> Graph:
            return super().capture(torch.zeros_like, pictures)

    graphs, net = LaneGraphs(lambda: Wrong(capture)), Brighter()
    for _ in range(4):
        pictures = some_pictures()
        assert torch.equal(graphs.run(net, pictures), pictures + net.by)

    assert capture.attempts == 1
    assert "does not give what the net gives" in caplog.text


def test_a_graph_that_fails_is_dropped_and_the_picture_is_made(
    capture: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    graphs, net = LaneGraphs(capture.pool), Brighter()
    see(graphs, net, 16)
    capture.made[0].error = RuntimeError("invalid argument")

    pictures = some_pictures()
    assert torch.equal(graphs.run(net, pictures), pictures + net.by)

    see(graphs, net, 16)
    assert capture.made[0].replays == 2
    assert "invalid argument" in caplog.text


@pytest.mark.parametrize("is_torchs", [True, False], ids=["torch's", "the driver's"])
def test_without_memory_to_capture_a_graph_the_others_are_dropped_and_the_picture_is_made(
    capture: Capture, caplog: pytest.LogCaptureFixture, is_torchs: bool, cuda_error: Callable[[str, int], Exception]
) -> None:
    graphs, net = LaneGraphs(capture.pool), Brighter()
    see(graphs, net, 16)
    capture.error = torch.OutOfMemoryError() if is_torchs else cuda_error("CUDA error: out of memory", 2)
    pictures = some_pictures(20)
    graphs.run(net, pictures)
    assert torch.equal(graphs.run(net, pictures), pictures + net.by)
    assert capture.alive == 0

    capture.error = None
    see(graphs, net, 20)
    assert len(capture.made) == 1
    assert caplog.records == []


def test_without_memory_to_launch_a_graph_the_error_is_raised(
    capture: Capture, cuda_error: Callable[[str, int], Exception]
) -> None:
    graphs, net = LaneGraphs(capture.pool), Brighter()
    see(graphs, net, 16)
    capture.made[0].error = cuda_error("CUDA error: out of memory", 2)

    with pytest.raises(torch.AcceleratorError):
        graphs.run(net, some_pictures())


@pytest.mark.parametrize("is_captured", [True, False], ids=["replayed", "captured"])
def test_on_a_lost_device_graphs_are_kept_because_torch_would_end_the_process(
    capture: Capture,
    is_captured: bool,
    cuda_error: Callable[[str, int], Exception],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    graphs, net = LaneGraphs(capture.pool), Brighter()
    see(graphs, net, 16)
    see(graphs, net, 20, times=1)
    capture.made[0].error = capture.error = cuda_error("CUDA error: device-side assert triggered", 710)
    monkeypatch.setattr("service.inference.cuda.graphs.answers", lambda _device: False)

    with pytest.raises(torch.AcceleratorError, match="device-side assert"):
        graphs.run(net, some_pictures(16 if is_captured else 20))

    assert capture.alive == 1
    assert caplog.records == []


def forget_nets(capture: Capture, net: TransformNet) -> None:
    """Have stand-ins hold one net only, because real graphs hold memory and no net."""
    for graph in capture.made:
        graph.transform = net.transform


def test_freeing_memory_drops_the_graphs_of_all_lanes_also_those_of_nets_that_are_gone(
    capture: Capture,
) -> None:
    lanes, net, gone = [LaneGraphs(capture.pool), LaneGraphs(capture.pool)], Brighter(), Brighter()
    for graphs in lanes:
        see(graphs, net, 16)
        see(graphs, gone, 16)
    forget_nets(capture, net)
    del gone

    free_memory()

    assert capture.alive == 0
    see(lanes[0], net, 16)
    assert len(capture.made) == 1


def test_nothing_more_is_captured_into_memory_whose_graphs_are_gone(capture: Capture) -> None:
    graphs, net, gone = LaneGraphs(capture.pool), Brighter(), Brighter()
    see(graphs, gone, 16)
    forget_nets(capture, net)
    del gone
    gc.collect()

    see(graphs, net, 16)

    assert capture.made[1].pool is not capture.made[0].pool


def test_graphs_may_be_dropped_while_another_lane_runs_them(capture: Capture) -> None:
    graphs, net, stop = LaneGraphs(capture.pool), Brighter(), threading.Event()

    def drop() -> None:
        while not stop.is_set():
            free_memory()

    thread = threading.Thread(target=drop)
    thread.start()
    try:
        for number in range(2000):
            pictures = some_pictures(16 + number % 3)
            assert torch.equal(graphs.run(net, pictures), pictures + net.by)
    finally:
        stop.set()
        thread.join()


def test_a_graphed_net_has_the_contract_of_its_net() -> None:
    net = StyleNet(4, 1)

    graphed = GraphedNet(net)

    assert (graphed.task, graphed.factor, graphed.multiple) == ("stylize", 1, 4)
    assert not graphed.training
