"""Deep network interpolation (Wang et al. 2019; ESRGAN, Wang et al. 2018, section 3.4), which blends nets.

Nets that were fine-tuned from one another, or from a common net, have weights so close together that a net with their
weighted mean makes pictures between theirs.
"""

import copy
import math
from collections.abc import Sequence

import torch

from model_store.nets.transform_net import TransformNet


@torch.no_grad()
def interpolate(nets: Sequence[TransformNet], shares: Sequence[float]) -> TransformNet:
    """Return the net whose weights and floating-point buffers are the weighted mean of those of other nets.

    Args:
        nets: The nets, at least one, all of one architecture with the same parameters. They are not changed.
        shares: The share of each net, finite, at least 0 and not all 0; they are divided by their sum. If only one
            share is not 0, the result is exactly that net.

    Returns:
        A new net in evaluation mode, float32, without gradients, on the device of the first net.

    Raises:
        ValueError: There are no nets, they are of different kinds, or the shares do not fit.
    """
    if not nets:
        raise ValueError("there are no nets to interpolate: give at least one")
    if len(nets) != len(shares):
        raise ValueError(f"{len(nets)} nets need as many shares, not {len(shares)}")
    total = sum(shares)
    if min(shares) < 0 or not 0 < total < math.inf:
        raise ValueError(f"shares must be finite, at least 0 and not all 0: {', '.join(map(str, shares))} will not do")
    for net in nets[1:]:
        _check_same_kind(nets[0], net)
    weights = [net.state_dict() for net in nets]
    result = copy.deepcopy(nets[0]).float().eval().requires_grad_(requires_grad=False)
    for key, mean in result.state_dict().items():
        if mean.is_floating_point():
            parts = [share / total * each[key].to(mean) for share, each in zip(shares, weights, strict=True)]
            mean.copy_(torch.stack(parts).sum(0))
    return result


def _check_same_kind(first: TransformNet, other: TransformNet) -> None:
    if type(first) is not type(other) or first.factor != other.factor:
        raise ValueError(
            f"{type(first).__name__} ×{first.factor} and {type(other).__name__} ×{other.factor} cannot be "
            "interpolated: their architectures differ"
        )
    shapes, others = ({key: tensor.shape for key, tensor in net.state_dict().items()} for net in (first, other))
    different = sorted(key for key in shapes.keys() | others.keys() if shapes.get(key) != others.get(key))
    if different:
        raise ValueError(
            f"two nets of {type(first).__name__} cannot be interpolated: their widths or depths differ, as at "
            f"{different[0]}"
        )
