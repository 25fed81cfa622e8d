"""Luma of YCbCr (ITU-R BT.601, full range) beside untouched chroma, for methods that work on grey pictures."""

from torch import Tensor

_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114


def luma(pictures: Tensor) -> Tensor:
    """Y of RGB, `(N, 3, H, W)` to `(N, 1, H, W)`; in [0, 1] where RGB is."""
    return _RED * pictures[:, :1] + _GREEN * pictures[:, 1:2] + _BLUE * pictures[:, 2:]


def with_luma(pictures: Tensor, new_luma: Tensor) -> Tensor:
    """RGB `(N, 3, H, W)` with another luma, `(N, 1, H, W)`, and the same chroma.

    Cb and Cr are multiples of B - Y and R - Y, so that adding one number to R, G and B changes Y alone.
    """
    return pictures + (new_luma - luma(pictures))
