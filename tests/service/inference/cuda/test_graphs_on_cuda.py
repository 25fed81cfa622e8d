import copy
import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from model_store.nets import SelfEnsemble, StyleNet, SuperResolutionNet, TransformNet
from service.engine.lane import Lane
from service.inference import inference_form
from service.inference.cuda.graphs import GraphedNet, LaneGraphs, free_memory

pytestmark = pytest.mark.cuda

CUDA = torch.device("cuda")


class Brighter(TransformNet):
    """A net that also runs a given function while it is captured."""

    def __init__(self, while_captured: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(0.25), requires_grad=False)
        self.while_captured = while_captured

    def transform(self, pictures: Tensor) -> Tensor:
        brighter = pictures + self.by
        if torch.cuda.is_current_stream_capturing():
            self.while_captured()
        return brighter


class Wide(Brighter):
    """A net that works on 96 channels, which take much memory."""

    def transform(self, pictures: Tensor) -> Tensor:
        features = pictures.repeat(1, 32, 1, 1) + self.by
        return (2 * features)[:, :3].contiguous()


def on_cuda(net: TransformNet) -> TransformNet:
    return net.to(CUDA).eval().requires_grad_(requires_grad=False)


def some_pictures(count: int, height: int, width: int) -> list[Tensor]:
    return [torch.randint(0, 256, (height, width, 3), dtype=torch.uint8) for _ in range(count)]


def assert_equal(found: list[Tensor], wanted: list[Tensor], most: int = 0) -> None:
    assert all((one.int() - other.int()).abs().max() <= most for one, other in zip(found, wanted, strict=True))


def test_on_a_lane_graphs_make_what_the_net_makes() -> None:
    net = on_cuda(StyleNet(8, 2))
    lane, graphed = Lane(CUDA), GraphedNet(net)

    for shape in [(1, 32, 48), (3, 32, 48), (1, 33, 47), (1, 32, 48)] * 3:
        pictures = some_pictures(*shape)
        assert_equal(lane.compute(graphed, pictures), lane.compute(net, pictures), most=1)


def test_on_a_lane_a_self_ensemble_makes_the_same_with_and_without_graphs() -> None:
    net = on_cuda(StyleNet(8, 1))
    lane, graphed = Lane(CUDA), SelfEnsemble(GraphedNet(net))
    pictures = some_pictures(1, 32, 48)

    for _ in range(3):
        assert_equal(lane.compute(graphed, pictures), lane.compute(SelfEnsemble(net), pictures), most=1)


def test_results_of_a_lane_are_in_ordinary_memory_that_later_batches_leave_alone() -> None:
    lane, net = Lane(CUDA), GraphedNet(on_cuda(Brighter()))
    dark, light = torch.zeros(32, 48, 3, dtype=torch.uint8), torch.full((32, 48, 3), 100, dtype=torch.uint8)

    for _ in range(3):
        (made,) = lane.compute(net, [dark])
        (next_made,) = lane.compute(net, [light])
        assert (made == 64).all()
        assert (next_made == 164).all()
        assert not made.is_pinned()


def test_pictures_of_one_padded_size_go_to_the_device_together() -> None:
    net = on_cuda(StyleNet(8, 1))
    lane, alone = Lane(CUDA), Lane(CUDA)
    pictures = [some_pictures(1, *size)[0] for size in ((32, 48), (31, 46), (29, 45))]

    together = lane.compute(net, pictures)

    assert [each.shape for each in together] == [each.shape for each in pictures]
    assert_equal(together, [alone.compute(net, [each])[0] for each in pictures], most=1)


def test_a_graph_that_was_dropped_does_not_disturb_those_that_are_left() -> None:
    graphs, net, stream = LaneGraphs(most_graphs=2), on_cuda(StyleNet(8, 1)), torch.cuda.Stream()

    with torch.cuda.stream(stream), torch.inference_mode():
        for width in (32, 36, 40, 44, 32, 44, 36, 44, 40) * 2:
            for _ in range(3):
                pictures = torch.rand(2, 3, 32, width, device=CUDA)
                torch.testing.assert_close(graphs.run(net, pictures), net.transform(pictures), atol=1e-3, rtol=0)


def test_shared_memory_that_has_grown_too_large_goes_back_to_the_device() -> None:
    limit = 128 * 2**20
    graphs, net, stream = LaneGraphs(most_pool_bytes=limit), on_cuda(Wide()), torch.cuda.Stream()
    free_memory()
    before = torch.cuda.memory_reserved()

    with torch.cuda.stream(stream), torch.inference_mode():
        for width in range(256, 512, 16):  # 25 to 50 MB for each layer
            for _ in range(3):
                pictures = torch.rand(1, 3, 256, width, device=CUDA)
                torch.testing.assert_close(graphs.run(net, pictures), net.transform(pictures))
            torch.cuda.empty_cache()
            assert torch.cuda.memory_reserved() - before < 2 * limit
        graphs.drop()
    del pictures
    free_memory()

    assert torch.cuda.memory_reserved() - before < 16 * 2**20


def test_lanes_capture_and_replay_at_the_same_time() -> None:
    net = on_cuda(StyleNet(8, 2))
    graphed = GraphedNet(net)
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            lane = Lane(CUDA)
            for width in [32 + 4 * ((seed + step) % 8) for step in range(64)]:
                pictures = some_pictures(2, 32, width)
                assert_equal(lane.compute(graphed, pictures), lane.compute(net, pictures), most=1)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=[seed]) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []


def test_a_lane_captures_while_models_are_loaded_and_memory_is_freed(caplog: pytest.LogCaptureFixture) -> None:
    nets = [StyleNet(8, 1).eval(), SuperResolutionNet(2, 8, 1).eval()]
    forms = [inference_form(copy.deepcopy(net).to(CUDA)) for net in nets]
    stop, failures = threading.Event(), list[BaseException]()

    def load() -> None:
        try:
            while not stop.is_set():
                for net in nets:
                    inference_form(copy.deepcopy(net).to(CUDA))
                free_memory()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        lane = Lane(CUDA)
        for number in range(60):
            for form in forms:
                lane.compute(form, some_pictures(1, 32, 32 + 4 * (number // 3)))
    finally:
        stop.set()
        thread.join()

    assert failures == []
    assert caplog.records == [], "a capture failed, or a form"


def test_a_net_that_cannot_be_captured_still_runs_and_others_are_captured(caplog: pytest.LogCaptureFixture) -> None:
    lane, net = Lane(CUDA), on_cuda(Brighter())
    waiting = on_cuda(Brighter(while_captured=net.by.item))  # waits for the device, which a graph cannot
    captured: list[int] = []
    other = on_cuda(Brighter(while_captured=lambda: captured.append(1)))

    for graphed in (GraphedNet(waiting), GraphedNet(other)):
        for _ in range(4):
            pictures = some_pictures(1, 32, 32)
            assert_equal(lane.compute(graphed, pictures), lane.compute(net, pictures))

    assert captured == [1]
    assert caplog.text.count("without CUDA graphs") == 1


@pytest.mark.parametrize("failure", ["out of memory", "not permitted", "nothing"])
def test_no_memory_of_a_capture_is_left_however_it_ended(failure: str) -> None:
    kept: list[Tensor] = []

    def fail() -> None:
        kept.append(torch.empty(64 * 2**20, dtype=torch.uint8, device=CUDA))
        kept.clear()
        if failure == "out of memory":
            torch.empty(2**50, dtype=torch.uint8, device=CUDA)
        if failure == "not permitted":
            torch.zeros(1, device=CUDA).item()

    lane = Lane(CUDA)
    for _ in range(2):
        lane.compute(GraphedNet(on_cuda(Brighter())), some_pictures(1, 32, 32))
    free_memory()
    before = torch.cuda.memory_reserved()

    for _ in range(3):
        graphed = GraphedNet(on_cuda(Brighter(fail)))
        for _ in range(3):
            lane.compute(graphed, some_pictures(1, 32, 32))
    free_memory()

    assert torch.cuda.memory_reserved() - before < 32 * 2**20
