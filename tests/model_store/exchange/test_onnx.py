"""Models as ONNX."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from model_store.errors import CannotExport
from model_store.nets import SRCNN, FastNeuralStyleNet, Johnson2016StyleNet, StyleNet, SuperResolutionNet, TransformNet
from model_store.nets.interpolation import interpolate
from model_store.store import Store

from ...drafts import draft_of

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
exchange = pytest.importorskip("model_store.exchange.onnx")

pytestmark = pytest.mark.process
"""Making a graph takes seconds, as starting a process does."""

NETS = [StyleNet(8, 1), SuperResolutionNet(4, 8, 1), FastNeuralStyleNet(8, 1), Johnson2016StyleNet(8), SRCNN(2)]


def made_by(path: Path, picture: Tensor) -> Tensor:
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"picture": picture.numpy()})[0])


@pytest.mark.parametrize("net", NETS, ids=lambda net: type(net).__name__)
def test_a_graph_makes_what_its_net_makes_at_any_size(tmp_path: Path, net: TransformNet) -> None:
    net.eval().requires_grad_(requires_grad=False)
    path = tmp_path / "net.onnx"

    told = exchange.export(net, [], path)

    assert told < 1
    for shape in [(1, 3, 16, 16), (2, 3, 61, 47)]:
        picture = torch.rand(shape)
        torch.testing.assert_close(made_by(path, picture), net(picture), atol=1e-3, rtol=0)


def test_weights_in_half_precision_take_half_the_room(tmp_path: Path) -> None:
    net = StyleNet(16, 2).half().float().eval().requires_grad_(requires_grad=False)
    exchange.export(net, [], tmp_path / "whole.onnx")
    exchange.export(net, [], tmp_path / "half.onnx", half=True)
    picture = torch.rand(1, 3, 40, 30)

    sizes = [(tmp_path / f"{name}.onnx").stat().st_size for name in ("whole", "half")]

    assert sizes[1] < 0.6 * sizes[0]
    torch.testing.assert_close(made_by(tmp_path / "half.onnx", picture), net(picture), atol=1e-3, rtol=0)


def test_a_graph_says_what_it_is(tmp_path: Path) -> None:
    store, net = Store(tmp_path / "store"), StyleNet(4, 1)
    card = store.publish(draft_of("stylize", "tiny", title="Tiny", licence="CC0-1.0"), net.state_dict())
    path = tmp_path / "tiny.onnx"

    exchange.export(store.open("stylize", "tiny").net, [card], path)

    model = onnx.load(path)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert said["model"] == "stylize/tiny@1"
    assert (said["title"], said["licence"], said["sha256_of_the_weights"]) == ("Tiny", "CC0-1.0", card.sha256)
    assert [opset.version for opset in model.opset_import if not opset.domain] == [exchange.OPSET]


def test_a_graph_that_makes_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.onnx"
    net = StyleNet(4, 1).eval().requires_grad_(requires_grad=False)
    wrong = exchange._graph_of(interpolate([net, net], [1, 1]))
    for weights in wrong.graph.initializer:
        if len(weights.dims) == 4:
            changed: Any = onnx.numpy_helper.to_array(weights) * np.float32(1.5)
            weights.CopyFrom(onnx.numpy_helper.from_array(changed, weights.name))
    monkeypatch.setattr(exchange, "_graph_of", lambda _net: wrong)

    with pytest.raises(CannotExport, match="makes something else"):
        exchange.export(net, [], path)

    assert not path.exists()
