"""The super-resolution net with its tail folded: all layers after the body are linear, so one convolution does."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.convolutions.folding import fold_tail
from model_store.nets import SuperResolutionNet, TransformNet, bicubic

_STRIP = 3
"""Width of the border in cells: the outermost cell, which differs, and two more that its pixels depend on."""


class FoldedSuperResolutionNet(TransformNet):
    """A net that makes what a `SuperResolutionNet` makes, up to rounding, without features of the enlarged size.

    Args:
        net: Net on any device and in any precision; it is shared, not copied.
    """

    def __init__(self, net: SuperResolutionNet) -> None:
        super().__init__()
        self.task, self.factor, self.halo = net.task, net.factor, net.halo
        self.net = net
        self.folded = fold_tail([conv for conv in net.upsample if isinstance(conv, nn.Conv2d)], net.last)
        for part in (self.net, self.folded):
            part.to(memory_format=torch.channels_last)
        self.requires_grad_(requires_grad=False).eval()

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes of memory for each pixel of the input; see `TransformNet.bytes_per_pixel`."""
        channels = self.net.head.out_channels
        return max(20 * channels, 5 * channels + 36 * self.factor**2)

    def transform(self, pictures: Tensor) -> Tensor:
        """Map `(N, 3, H, W)` to `(N, 3, H·factor, W·factor)`."""
        features = self.features(pictures)
        detail = F.pixel_shuffle(self.folded(features), self.factor)
        self._correct_border(detail, features)
        del features
        # The sum is in float32 even if the detail is in half precision, which would round the picture itself.
        return detail.float().add_(bicubic.enlarge(pictures, self.factor))

    def features(self, pictures: Tensor) -> Tensor:
        """Map pictures, `(N, 3, H, W)`, to features, `(N, C, H, W)`, laid out channels-last."""
        return self.net.features(pictures.contiguous(memory_format=torch.channels_last))

    def _correct_border(self, detail: Tensor, features: Tensor) -> None:
        """Replace the outermost cells, which the folded tail makes otherwise, by those that the net makes."""
        cell = self.factor
        detail[:, :, :cell] = self.net.detail(features[:, :, :_STRIP])[:, :, :cell]
        detail[:, :, -cell:] = self.net.detail(features[:, :, -_STRIP:])[:, :, -cell:]
        detail[..., :cell] = self.net.detail(features[..., :_STRIP])[..., :cell]
        detail[..., -cell:] = self.net.detail(features[..., -_STRIP:])[..., -cell:]
