"""A net's better judgement: the mean of what it makes of a picture turned and mirrored in all eight ways."""

import itertools

from torch import Tensor

from model_store.nets.transform_net import TransformNet

_WAYS: list[tuple[int, tuple[int, ...]]] = list(itertools.product(range(4), [(), (-1,)]))
"""Turns by how many quarters, after mirroring along which axes."""


class SelfEnsemble(TransformNet):
    """The mean of a net's results on the eight turns and mirrorings of a picture, each turned back.

    Takes eight times as long as the net but no more memory: the eight are computed one after another. Known as
    enhanced prediction (Timofte, Rothe and Van Gool 2016, "Seven ways to improve example-based single image super
    resolution") and as geometric self-ensemble (Lim et al. 2017).

    Its own `multiple` is 1: pictures are turned before the net pads them, so that the result of a turned picture is
    the turned result whatever the size.

    Args:
        net: what to take the mean of; is shared, not copied, and put into evaluation mode.
    """

    def __init__(self, net: TransformNet) -> None:
        super().__init__()
        self.net = net
        self.task, self.factor = net.task, net.factor
        self.eval()

    def transform(self, pictures: Tensor) -> Tensor:
        """`(N, 3, H, W)` to `(N, 3, H·factor, W·factor)`."""
        total = self._transform_turned(pictures, *_WAYS[0])
        for way in _WAYS[1:]:
            total += self._transform_turned(pictures, *way)
        return total / len(_WAYS)

    def _transform_turned(self, pictures: Tensor, quarters: int, axes: tuple[int, ...]) -> Tensor:
        """Mirrors along axes, turns by quarters, transforms, and undoes both."""
        turned = pictures.flip(axes).rot90(quarters, (-2, -1))
        result: Tensor = self.net(turned)
        return result.rot90(-quarters, (-2, -1)).flip(axes)
