"""What all transform nets have in common: the contract of sizes and ranges."""

import torch.nn.functional as F
from torch import Tensor, nn

from model_store.card import SMALLEST_SIDE, Task


class TransformNet(nn.Module):
    """A feed-forward net from pictures to pictures (Johnson et al. 2016, section 3.1).

    Takes and returns float RGB in [0, 1] of shape `(N, 3, H, W)`, any H and W from 16 up; the result is
    `factor` times as large. In training mode the result is not clamped, so that its gradient survives at the
    ends of the range.

    Subclasses implement `transform`, which sees sizes that are multiples of `multiple`.
    """

    task: Task = "stylize"
    multiple: int = 1
    factor: int = 1

    def transform(self, pictures: Tensor) -> Tensor:
        """The net itself, on a size that is a multiple of `multiple`."""
        raise NotImplementedError

    def forward(self, pictures: Tensor) -> Tensor:
        """Pads to what the net needs, transforms, crops back.

        Raises:
            ValueError: a side is shorter than 16 pixels.
        """
        height, width = pictures.shape[-2:]
        if min(height, width) < SMALLEST_SIDE:
            raise ValueError(f"a picture of {width}×{height} is too small: both sides must be at least {SMALLEST_SIDE}")
        result = self.transform(pad_to_multiple(pictures, self.multiple))
        result = result[..., : height * self.factor, : width * self.factor]
        return result if self.training else result.clamp(0, 1)


def pad_to_multiple(pictures: Tensor, multiple: int) -> Tensor:
    """Pads `(N, C, H, W)` by reflection at the right and the bottom so that `multiple` divides H and W."""
    height, width = pictures.shape[-2:]
    right, bottom = -width % multiple, -height % multiple
    return F.pad(pictures, (0, right, 0, bottom), mode="reflect") if right or bottom else pictures
