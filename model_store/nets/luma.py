"""The luma of YCbCr (ITU-R BT.601, full range), for methods that change the luma and keep the chroma."""

from torch import Tensor

_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114


def luma(pictures: Tensor) -> Tensor:
    """Return the luma of RGB pictures, `(N, 3, H, W)` to `(N, 1, H, W)`; it is in [0, 1] if RGB is."""
    return _RED * pictures[:, :1] + _GREEN * pictures[:, 1:2] + _BLUE * pictures[:, 2:]


def with_luma(pictures: Tensor, new_luma: Tensor) -> Tensor:
    """Return RGB pictures, `(N, 3, H, W)`, with another luma, `(N, 1, H, W)`, and the same chroma.

    Cb and Cr are multiples of B - Y and R - Y, so adding the same number to R, G and B changes only Y.
    """
    return pictures + (new_luma - luma(pictures))
