import gc
import logging
import threading

import pytest
import torch
from torch import Tensor, nn

from model_store.nets import SelfEnsemble, StyleNet, TransformNet
from service.engine.lane import Lane
from service.inference.cuda.graphs import Graph, GraphedNet, LaneGraphs, Transform

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class Brighter(TransformNet):
    """Counts how often it runs."""

    def __init__(self, by: float = 0.25) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by), requires_grad=False)
        self.runs = 0

    def transform(self, pictures: Tensor) -> Tensor:
        self.runs += 1
        return pictures + self.by


class StandIn:
    """Takes the place of a graph: computes anew, but always to the same place."""

    def __init__(self, transform: Transform, pictures: Tensor, beside: Graph | None) -> None:
        self.transform = transform
        self.beside = beside
        self.result = torch.empty_like(transform(pictures))
        self.nbytes = pictures.nbytes + self.result.nbytes
        self.replays = 0

    def __call__(self, pictures: Tensor) -> Tensor:
        self.replays += 1
        return self.result.copy_(self.transform(pictures))


class Capture:
    """Makes stand-ins and remembers them."""

    def __init__(self) -> None:
        self.made: list[StandIn] = []

    def __call__(self, transform: Transform, pictures: Tensor, beside: Graph | None) -> Graph:
        self.made.append(StandIn(transform, pictures, beside))
        return self.made[-1]


def some_pictures(width: int = 16, count: int = 1) -> Tensor:
    return torch.rand(count, 3, 16, width)


@pytest.fixture
def capture() -> Capture:
    return Capture()


def see(graphs: LaneGraphs, net: TransformNet, width: int, times: int = 2) -> None:
    for _ in range(times):
        graphs.run(net, some_pictures(width))


def test_a_shape_is_captured_when_it_is_seen_again_and_replayed_from_then_on(capture: Capture) -> None:
    graphs, net = LaneGraphs(capture), Brighter()

    captured, results = [], []
    for _ in range(4):
        pictures = some_pictures()
        results.append(torch.equal(graphs.run(net, pictures), pictures + net.by))
        captured.append(len(capture.made))

    assert results == [True] * 4
    assert captured == [0, 1, 1, 1]
    assert capture.made[0].replays == 1 + 2  # one to see whether it works


def test_each_net_and_each_shape_has_a_graph_of_its_own(capture: Capture) -> None:
    graphs, nets = LaneGraphs(capture), (Brighter(0.25), Brighter(0.5))

    for _ in range(3):
        for net in nets:
            for width in (16, 20):
                pictures = some_pictures(width)
                assert torch.equal(graphs.run(net, pictures), pictures + net.by)

    assert len(capture.made) == 4


def test_graphs_of_a_lane_share_the_memory_that_they_work_in(capture: Capture) -> None:
    graphs, net = LaneGraphs(capture), Brighter()

    see(graphs, net, 16)
    see(graphs, net, 20)

    assert capture.made[0].beside is None
    assert capture.made[1].beside is capture.made[0]


def test_batches_that_keep_the_device_busy_anyway_are_not_captured(capture: Capture) -> None:
    graphs, net = LaneGraphs(capture, most_pixels=16 * 16), Brighter()

    see(graphs, net, 17)
    assert capture.made == []
    see(graphs, net, 16)
    assert len(capture.made) == 1


def test_what_an_enlarging_net_makes_counts_as_well(capture: Capture) -> None:
    graphs, net = LaneGraphs(capture, most_pixels=16 * 16), Brighter()
    net.factor = 2

    see(graphs, net, 16)

    assert capture.made == []


def test_the_least_recently_used_graph_is_dropped_when_there_are_too_many(capture: Capture) -> None:
    graphs, net = LaneGraphs(capture, most_graphs=2), Brighter()
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
    graphs, net = LaneGraphs(capture, most_bytes=2 * one), Brighter()
    see(graphs, net, 16)
    see(graphs, net, 17)  # a little too much together

    replays = [graph.replays for graph in capture.made]
    see(graphs, net, 16, times=1)
    see(graphs, net, 17, times=1)

    assert [graph.replays - before for graph, before in zip(capture.made, replays, strict=True)] == [0, 1]


def test_a_dropped_graph_is_captured_again_when_its_shape_is_seen_twice(capture: Capture) -> None:
    graphs, net = LaneGraphs(capture, most_graphs=1), Brighter()
    see(graphs, net, 16)
    see(graphs, net, 20)

    see(graphs, net, 16)

    assert len(capture.made) == 3


def test_graphs_of_nets_that_are_gone_are_dropped(capture: Capture) -> None:
    graphs, net = LaneGraphs(capture, most_graphs=2), Brighter()
    see(graphs, net, 16)
    gone = Brighter()
    see(graphs, gone, 16)

    capture.made[1].transform = net.transform  # a graph holds memory, not the net
    del gone
    gc.collect()
    see(graphs, net, 20)
    see(graphs, net, 16, times=1)

    assert capture.made[0].replays == 2, "the graph of a living net was dropped instead"


def test_without_a_graph_nets_run_as_they_are_and_the_log_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    attempts = []

    def fail(*_args: object) -> Graph:
        attempts.append(1)
        raise RuntimeError("operation not permitted when stream is capturing")

    graphs, net = LaneGraphs(fail), Brighter()
    for width in (16, 20, 24):
        for _ in range(3):
            pictures = some_pictures(width)
            assert torch.equal(graphs.run(net, pictures), pictures + net.by)

    assert len(attempts) == 1
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "not permitted when stream is capturing" in caplog.text


def test_a_graph_that_makes_something_else_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    def wrong(_transform: Transform, pictures: Tensor, _beside: Graph | None) -> Graph:
        return StandIn(torch.zeros_like, pictures, None)

    graphs, net = LaneGraphs(wrong), Brighter()
    for _ in range(4):
        pictures = some_pictures()
        assert torch.equal(graphs.run(net, pictures), pictures + net.by)

    assert "does not give what the net gives" in caplog.text


def test_where_there_is_no_memory_for_a_graph_the_others_are_dropped_and_the_picture_is_made(
    capture: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    def capture_little(transform: Transform, pictures: Tensor, beside: Graph | None) -> Graph:
        if pictures.shape[-1] > 16 and len(capture.made) == 1:
            capture.made.append(StandIn(transform, pictures, beside))
            raise torch.OutOfMemoryError
        return capture(transform, pictures, beside)

    graphs, net = LaneGraphs(capture_little), Brighter()
    see(graphs, net, 16)
    pictures = some_pictures(20)
    graphs.run(net, pictures)
    assert torch.equal(graphs.run(net, pictures), pictures + net.by)

    see(graphs, net, 20)
    assert capture.made[2].beside is None
    assert caplog.records == []


def test_graphs_are_dropped_where_a_net_has_no_memory_left(capture: Capture) -> None:
    class Hungry(Brighter):
        def transform(self, pictures: Tensor) -> Tensor:
            raise torch.OutOfMemoryError(f"no memory for {pictures.shape}")

    graphs, net = LaneGraphs(capture), Brighter()
    see(graphs, net, 16)

    with pytest.raises(torch.OutOfMemoryError):
        graphs.run(Hungry(), some_pictures())

    see(graphs, net, 16, times=1)
    assert capture.made[0].replays == 1


def test_a_graphed_net_has_the_contract_of_its_net() -> None:
    net = StyleNet(4, 1)

    graphed = GraphedNet(net)

    assert (graphed.task, graphed.factor, graphed.multiple) == ("stylize", 1, 4)
    assert not graphed.training


def uint8_pictures(count: int, height: int, width: int) -> list[Tensor]:
    return [torch.randint(0, 256, (height, width, 3), dtype=torch.uint8) for _ in range(count)]


@needs_cuda
def test_on_a_lane_graphs_make_what_the_net_makes() -> None:
    device = torch.device("cuda")
    net = StyleNet(8, 2).to(device).eval()
    lane, graphed = Lane(device), GraphedNet(net)

    for shape in [(1, 32, 48), (3, 32, 48), (1, 33, 47), (1, 32, 48)] * 3:
        pictures = uint8_pictures(*shape)
        for found, wanted in zip(lane.compute(graphed, pictures), lane.compute(net, pictures), strict=True):
            assert (found.int() - wanted.int()).abs().max() <= 1


@needs_cuda
def test_on_a_lane_the_mean_of_turned_pictures_is_that_of_the_net() -> None:
    device = torch.device("cuda")
    net = StyleNet(8, 1).to(device).eval()
    lane, graphed = Lane(device), SelfEnsemble(GraphedNet(net))
    pictures = uint8_pictures(1, 32, 48)

    for _ in range(3):
        (found,), (wanted,) = lane.compute(graphed, pictures), lane.compute(SelfEnsemble(net), pictures)
        assert (found.int() - wanted.int()).abs().max() <= 1


@needs_cuda
def test_lanes_capture_and_replay_at_the_same_time() -> None:
    device = torch.device("cuda")
    net = StyleNet(8, 2).to(device).eval()
    graphed = GraphedNet(net)
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            lane = Lane(device)
            for width in [32 + 4 * ((seed + step) % 8) for step in range(64)]:
                pictures = uint8_pictures(2, 32, width)
                found, wanted = lane.compute(graphed, pictures), lane.compute(net, pictures)
                assert all((a.int() - b.int()).abs().max() <= 1 for a, b in zip(found, wanted, strict=True))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=[seed]) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []


@needs_cuda
def test_memory_stays_bounded_over_many_shapes() -> None:
    device = torch.device("cuda")
    net = StyleNet(8, 1).to(device).eval()
    graphed = GraphedNet(net)
    reserved = []

    def work() -> None:
        lane = Lane(device)
        for side in range(16, 16 + 4 * 96, 4):
            for _ in range(2):
                lane.compute(graphed, uint8_pictures(1, 64, side))
            reserved.append(torch.cuda.memory_allocated(device))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert max(reserved[64:]) < 2 * max(reserved[32:64])


@needs_cuda
def test_a_net_that_cannot_be_captured_still_runs(caplog: pytest.LogCaptureFixture) -> None:
    class Waits(Brighter):
        def transform(self, pictures: Tensor) -> Tensor:
            return pictures + self.by.item()  # waits for the device, which a graph cannot

    device = torch.device("cuda")
    failures: list[BaseException] = []

    def work() -> None:
        try:
            lane, net = Lane(device), Waits().to(device).eval()
            plain = Brighter().to(device).eval()
            for _ in range(4):
                pictures = uint8_pictures(1, 32, 32)
                (found,), (wanted,) = lane.compute(GraphedNet(net), pictures), lane.compute(plain, pictures)
                assert torch.equal(found, wanted)
                (found,) = lane.compute(net_again, pictures)
                assert torch.equal(found, wanted)
        except BaseException as error:
            failures.append(error)

    net_again = GraphedNet(Waits().to(device).eval())
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert failures == []
    assert "without CUDA graphs" in caplog.text
