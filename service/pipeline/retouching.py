"""Retouching of the output of a net: a painting is mixed with its photo, and an enlargement gets its size and colours.

All of it works on colours as they are stored, which follow the eye: at a strength of 0.5 a picture looks half painted.
In linear light, dark strokes would vanish long before light ones. Enlargements are shrunk in stored colours, too,
because so are the pictures that the nets are trained on. Pixels are uint8 RGB, `(H, W, 3)`, in one colour profile.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model_store.nets import histogram
from model_store.nets.luma import luma

_ROWS_AT_ONCE = 128
"""Rows of a picture that are mixed at once, because pixels need many times the memory as floats."""


def mix(painting: Tensor, photo: Tensor, strength: float, *, preserve_color: bool = False) -> Tensor:
    """Return a mix of a painting and its photo.

    Args:
        painting: Pixels of the painting, in the size of the photo.
        photo: Pixels of the photo that was painted.
        strength: Share of the painting, 0 to 1. 0 gives exactly the photo, and 1 the painting, exactly unless the
            colours of the photo are preserved.
        preserve_color: Whether to take only the luma of the painting, and the colours of the photo.
    """
    if strength == 0:
        return photo
    if strength == 1 and not preserve_color:
        return painting
    strips = (slice(start, start + _ROWS_AT_ONCE) for start in range(0, len(photo), _ROWS_AT_ONCE))
    return torch.cat([_mix(painting[each], photo[each], strength, preserve_color=preserve_color) for each in strips])


def finish(enlargement: Tensor, factor: float, upload: Tensor, *, match_histogram: bool = False) -> Tensor:
    """Return an enlargement in the size, and with the colours, that were asked for.

    Args:
        enlargement: Pixels of the upload enlarged by the factor or by more; they may be overwritten.
        factor: Factor that was asked for. An enlargement by more is shrunk (bicubic, antialiased), as pictures are
            shrunk to train the nets. Lanczos's filter is not better: 33.88 against 33.95 dB on Set5 for a factor of 3.
        upload: Pixels that were enlarged.
        match_histogram: Whether to give the result the distribution of colours of the upload.
    """
    height, width, _ = upload.shape
    enlargement = resize(enlargement, (round(width * factor), round(height * factor)))
    if match_histogram:
        histogram.match_bytes(enlargement, upload)
    return enlargement


def resize(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize pixels, bicubic and antialiased; pixels of this size are returned as they are.

    Args:
        pixels: Pixels of any size.
        size: Width and height in pixels.
    """
    if pixels.shape[:2] == size[::-1]:
        return pixels
    return torch.from_numpy(np.array(Image.fromarray(pixels.numpy()).resize(size, Image.Resampling.BICUBIC)))


def _mix(painting: Tensor, photo: Tensor, strength: float, *, preserve_color: bool) -> Tensor:
    colours, wanted = _planes(photo), _planes(painting)
    return _to_bytes(colours.lerp(_with_luma(colours, luma(wanted)) if preserve_color else wanted, strength))


def _with_luma(photo: Tensor, new_luma: Tensor) -> Tensor:
    """Return a photo with another luma; where its chroma does not fit, it is weakened, which keeps luma and hue."""
    chroma = photo - luma(photo)
    room_above = (1 - new_luma) / chroma.amax(1, keepdim=True).clamp_min(1e-6)
    room_below = new_luma / (-chroma.amin(1, keepdim=True)).clamp_min(1e-6)
    return new_luma + chroma * torch.minimum(room_above, room_below).clamp_max(1)


def _planes(pixels: Tensor) -> Tensor:
    return pixels.permute(2, 0, 1)[None] / 255


def _to_bytes(planes: Tensor) -> Tensor:
    return planes[0].mul(255).round_().clamp_(0, 255).byte().permute(1, 2, 0).contiguous()
