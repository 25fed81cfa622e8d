"""The super-resolution net with its tail folded: all that follows the body is linear, so one convolution can do it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.convolutions.folding import fold_tail
from model_store.nets import SuperResolutionNet, TransformNet, bicubic

_STRIP = 3
"""Cells: the outermost one, which differs, and the two beside it that its pixels are made from as well."""


class FoldedSuperResolutionNet(TransformNet):
    """Does what a `SuperResolutionNet` does, to rounding, without features of the enlarged size.

    Args:
        net: on any device, in any precision; is shared, not copied.
    """

    def __init__(self, net: SuperResolutionNet) -> None:
        super().__init__()
        self.task, self.factor = net.task, net.factor
        self.net = net
        self.folded = fold_tail([conv for conv in net.upsample if isinstance(conv, nn.Conv2d)], net.last)
        for part in (self.net, self.folded):
            part.to(memory_format=torch.channels_last)
        self.requires_grad_(requires_grad=False).eval()

    def transform(self, pictures: Tensor) -> Tensor:
        """`(N, 3, H, W)` to `(N, 3, H·factor, W·factor)`."""
        features = self.net.features(pictures.contiguous(memory_format=torch.channels_last))
        detail = F.pixel_shuffle(self.folded(features), self.factor)
        self._correct_border(detail, features)
        del features
        # In float32 also where the detail is in half precision, which would round the picture itself.
        return detail.float().add_(bicubic.enlarge(pictures, self.factor))

    def _correct_border(self, detail: Tensor, features: Tensor) -> None:
        """Computes the outermost cells as the net does."""
        cell = self.factor
        detail[:, :, :cell] = self.net.detail(features[:, :, :_STRIP])[:, :, :cell]
        detail[:, :, -cell:] = self.net.detail(features[:, :, -_STRIP:])[:, :, -cell:]
        detail[..., :cell] = self.net.detail(features[..., :_STRIP])[..., :cell]
        detail[..., -cell:] = self.net.detail(features[..., -_STRIP:])[..., -cell:]
