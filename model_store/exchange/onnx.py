"""Nets as ONNX, which ONNX Runtime runs elsewhere: on phones, in browsers, in other languages.

The graph takes `picture`, float RGB in [0, 1] of shape `(n, 3, height, width)` with sides from 16, and makes `result`,
`(n, 3, factor·height, factor·width)` in [0, 1]. Needs the extra `onnx`.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import onnxscript  # noqa: F401  (torch needs it)
import torch
import torch.nn.functional as F
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from model_store.card import SMALLEST_SIDE, Card
from model_store.errors import CannotExport
from model_store.nets import TransformNet

OPSET = 18
"""Version of ONNX's operators in the graph."""
_SIZES = ((64, 64), (83, 122), (192, 256))
"""Heights and widths of the pictures for which the graph is compared with the net."""
_MOST_DIFFERENCE = 1.0
"""Largest difference of a value between the graph and the net, in 255ths."""
_LARGEST_SIDE = 2**15


class _Padded(nn.Module):
    """A net for pictures of any size, without branches on the size."""

    def __init__(self, net: TransformNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor) -> Tensor:
        height, width = picture.shape[-2:]
        multiple, factor = self.net.multiple, self.net.factor
        if multiple > 1:
            picture = F.pad(picture, (0, -width % multiple, 0, -height % multiple), mode="reflect")
        return self.net.transform(picture)[..., : height * factor, : width * factor].clamp(0, 1)


def export(net: TransformNet, cards: Sequence[Card], path: Path, *, half: bool = False) -> float:
    """Write a net as ONNX, if ONNX Runtime makes the same with it.

    Args:
        net: Net on the CPU, in float32, in evaluation mode.
        cards: Cards of the net, or of the nets that it is a blend of; what they say becomes metadata of the graph.
        path: File to write.
        half: Whether to keep the weights in float16; the graph computes in float32 nevertheless.

    Returns:
        The largest difference between what the graph and the net make, in 255ths.

    Raises:
        CannotExport: The difference is larger than 1.
        OSError: The file cannot be written.
    """
    model = _graph_of(net)
    if half:
        _keep_in_half_precision(model)
    for key, value in _metadata(net, cards).items():
        model.metadata_props.add(key=key, value=value)
    data = model.SerializeToString()
    difference = _difference(net, data)
    if not difference <= _MOST_DIFFERENCE:
        raise CannotExport(f"ONNX Runtime makes something else, by {difference:.3g}/255: {path} was not written")
    path.write_bytes(data)
    return difference


def _graph_of(net: TransformNet) -> ModelProto:
    count, height, width = (
        torch.export.Dim(name, min=least, max=_LARGEST_SIDE)
        for name, least in (("n", 1), ("height", SMALLEST_SIDE), ("width", SMALLEST_SIDE))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Padded(net).eval(),
            (torch.rand(2, 3, 67, 90),),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=({0: count, 2: height, 3: width},),
            input_names=["picture"],
            output_names=["result"],
            verbose=False,
        )
    if program is None:
        raise CannotExport("torch made no graph of the net")
    model = program.model_proto
    for dimension, name in zip((0, 2, 3), ("n", "result_height", "result_width"), strict=True):
        model.graph.output[0].type.tensor_type.shape.dim[dimension].dim_param = name
    return model


def _keep_in_half_precision(model: ModelProto) -> None:
    """Replace the weights by others in float16, which the graph converts when it starts."""
    casts = []
    for weights in model.graph.initializer:
        if weights.data_type == TensorProto.FLOAT and weights.dims:
            name = weights.name
            weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights).astype(np.float16), f"{name}.half"))
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)


def _metadata(net: TransformNet, cards: Sequence[Card]) -> dict[str, str]:
    return {
        "model": ", ".join(f"{card.task}/{card.label}" for card in cards),
        "title": ", ".join(card.title for card in cards),
        "licence": ", ".join(dict.fromkeys(card.licence for card in cards)),
        "author": ", ".join(dict.fromkeys(card.author for card in cards)),
        "sha256_of_the_weights": ", ".join(card.sha256 for card in cards),
        "factor": str(net.factor),
        "range": "RGB from 0 to 1",
    }


@torch.inference_mode()
def _difference(net: TransformNet, data: bytes) -> float:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    largest = 0.0
    for height, width in _SIZES:
        picture = torch.rand(1, 3, height, width, generator=generator)
        (made,) = session.run(None, {"picture": picture.numpy()})
        largest = max(largest, (torch.from_numpy(made) - net(picture)).abs().max().item() * 255)
    return largest
