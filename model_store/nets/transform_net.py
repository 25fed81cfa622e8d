"""The base class of all transform nets, which holds their contract of sizes and ranges."""

import torch.nn.functional as F
from torch import Tensor, nn

from model_store.card import SMALLEST_SIDE, Task

TILE_BYTES = 640_000_000
"""Bytes of memory that the tile of a large picture may need, if the net can compute in tiles."""


class TransformNet(nn.Module):
    """A feed-forward net from pictures to pictures (Johnson et al. 2016, section 3.1).

    It takes and returns float RGB in [0, 1] of shape `(N, 3, H, W)` for any H and W from 16; the result is `factor`
    times as wide and high. In training mode the result is not clamped, so that its gradient survives at the ends of the
    range.

    Subclasses implement `transform`, which gets only sizes that are multiples of `multiple`.
    """

    task: Task = "stylize"
    """The task that the net is for."""
    multiple: int = 1
    """The number that divides the height and width of every picture that `transform` gets."""
    factor: int = 1
    """The factor of enlargement; 1 for style nets."""

    halo: int | None = None
    """Pixels around a part of a picture on which the result of that part depends, so that a large picture can be
    computed in tiles; None if the result of a part depends on the whole picture."""

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes of memory that a CPU needs at once, with the copies around the net, for each pixel of the input.

        Counted by the features that exist at the same time, as measured on pictures of 1 to 8 megapixels, and a quarter
        more for what the allocator keeps. A net that says nothing else is taken to have four features at once, all as
        large as its output and as wide as its widest layer.
        """
        widest = max((layer.out_channels for layer in self.modules() if isinstance(layer, nn.Conv2d)), default=3)
        return 16 * widest * self.factor**2

    def bytes_needed(self, height: int, width: int) -> int:
        """Return the bytes of memory that a CPU needs at once, with the copies around the net, for one picture.

        A net that has a halo needs it for a tile only, and 3 bytes for each pixel that it makes. Another net whose
        needs do not grow with the picture's pixels says here what it needs.

        Args:
            height: Height of the picture in pixels.
            width: Width of the picture in pixels.
        """
        needed = height * width * self.bytes_per_pixel
        return needed if self.halo is None else min(needed, TILE_BYTES + 3 * height * width * self.factor**2)

    def is_large(self, height: int, width: int) -> bool:  # noqa: ARG002
        """Tell whether `compute_in_pieces` is to compute a picture of this size, in pixels, to need less memory."""
        return False

    def compute_in_pieces(self, pixels: Tensor) -> Tensor:
        """Compute one large picture without whole copies of it in float.

        Args:
            pixels: Picture as uint8 RGB on the CPU, `(H, W, 3)`, of a size of which `is_large` is true.

        Returns:
            Picture as uint8 RGB, `(H·factor, W·factor, 3)`.
        """
        raise NotImplementedError

    def transform(self, pictures: Tensor) -> Tensor:
        """Compute the net itself, for pictures whose height and width are multiples of `multiple`."""
        raise NotImplementedError

    def forward(self, pictures: Tensor) -> Tensor:
        """Pad pictures to a size that the net takes, transform them, and crop the result.

        Raises:
            ValueError: A side is shorter than 16 pixels.
        """
        height, width = pictures.shape[-2:]
        if min(height, width) < SMALLEST_SIDE:
            raise ValueError(f"a picture of {width}×{height} is too small: both sides must be at least {SMALLEST_SIDE}")
        result = self.transform(pad_to_multiple(pictures, self.multiple))
        result = result[..., : height * self.factor, : width * self.factor]
        return result if self.training else result.clamp(0, 1)


def pad_to_multiple(pictures: Tensor, multiple: int) -> Tensor:
    """Pad `(N, C, H, W)` by reflection at the right and the bottom so that `multiple` divides H and W."""
    height, width = pictures.shape[-2:]
    right, bottom = -width % multiple, -height % multiple
    return F.pad(pictures, (0, right, 0, bottom), mode="reflect") if right or bottom else pictures
