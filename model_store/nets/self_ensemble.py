"""The self-ensemble of a net: the mean of its results on the eight turns and mirrorings of a picture."""

import itertools

from torch import Tensor

from model_store.nets.transform_net import TransformNet

_WAYS: list[tuple[int, tuple[int, ...]]] = list(itertools.product(range(4), [(), (-1,)]))
"""The eight ways to turn and mirror: the number of quarter turns, and the axes to mirror along before."""


class SelfEnsemble(TransformNet):
    """A net that takes the mean of another net's results on the eight turns and mirrorings of a picture.

    It takes eight times as long as the net but no more memory, because the eight are computed one after another. The
    method is known as enhanced prediction (Timofte, Rothe and Van Gool 2016, "Seven ways to improve example-based
    single image super resolution") and as geometric self-ensemble (Lim et al. 2017).

    Its own `multiple` is 1, so that pictures are turned before the net pads them, and the result of a turned picture is
    the turned result for every size.

    Args:
        net: The net whose results are averaged. It is shared, not copied, and put into evaluation mode.
    """

    def __init__(self, net: TransformNet) -> None:
        super().__init__()
        self.net = net
        self.task, self.factor, self.halo = net.task, net.factor, net.halo
        self.eval()

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes of memory for each pixel of the input: those of the net, and the sum of the results beside it."""
        return self.net.bytes_per_pixel + 16 * self.factor**2

    def transform(self, pictures: Tensor) -> Tensor:
        """Map `(N, 3, H, W)` to `(N, 3, H·factor, W·factor)`."""
        total = self._transform_turned(pictures, *_WAYS[0])
        for way in _WAYS[1:]:
            total += self._transform_turned(pictures, *way)
        return total / len(_WAYS)

    def _transform_turned(self, pictures: Tensor, quarters: int, axes: tuple[int, ...]) -> Tensor:
        """Mirror pictures along axes, turn them by quarters, transform them, and undo the turn and the mirroring."""
        turned = pictures.flip(axes).rot90(quarters, (-2, -1))
        result: Tensor = self.net(turned)
        return result.rot90(-quarters, (-2, -1)).flip(axes)
