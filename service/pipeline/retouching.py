"""What is done to the output of a net before it is written: a painting mixed with its photo, an enlargement finished.

All of it works on colours as they are stored, which follow the eye: at a strength of 0.5 a picture looks half painted,
and halving undoes what enlarging was trained to undo. In linear light, dark strokes would go long before light ones.
Pixels are uint8 RGB, `(H, W, 3)`, in one profile.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from model_store.nets import histogram
from model_store.nets.luma import luma

_ROWS_AT_ONCE = 128
"""Of a picture, which in float needs many times the memory."""


def mix(painting: Tensor, photo: Tensor, strength: float, *, preserve_color: bool = False) -> Tensor:
    """A painting over its photo.

    Args:
        painting: of the size of the photo.
        photo: what was painted.
        strength: 0 for the photo, 1 for the painting, each exactly.
        preserve_color: whether the painting gives its luma only.
    """
    if strength == 0:
        return photo
    if strength == 1 and not preserve_color:
        return painting
    strips = (slice(start, start + _ROWS_AT_ONCE) for start in range(0, len(photo), _ROWS_AT_ONCE))
    return torch.cat([_mix(painting[each], photo[each], strength, preserve_color=preserve_color) for each in strips])


def finish(enlargement: Tensor, factor: int, upload: Tensor, *, match_histogram: bool = False) -> Tensor:
    """An enlargement in the size that was asked for.

    Args:
        enlargement: of the upload, by the factor or a multiple of it.
        factor: that was asked for; what is larger is shrunk (bicubic, antialiased), as pictures are to train the nets.
        upload: what was enlarged.
        match_histogram: whether to give the result the distribution of colours of the upload.
    """
    height, width, _ = upload.shape
    size = (width * factor, height * factor)
    if enlargement.shape[:2] != size[::-1]:
        shrunk = Image.fromarray(enlargement.numpy()).resize(size, Image.Resampling.BICUBIC)
        enlargement = torch.from_numpy(np.array(shrunk))
    if match_histogram:
        enlargement = _to_bytes(histogram.match(_planes(enlargement), _planes(upload)))
    return enlargement


def _mix(painting: Tensor, photo: Tensor, strength: float, *, preserve_color: bool) -> Tensor:
    colours, wanted = _planes(photo), _planes(painting)
    return _to_bytes(colours.lerp(_with_luma(colours, luma(wanted)) if preserve_color else wanted, strength))


def _with_luma(photo: Tensor, new_luma: Tensor) -> Tensor:
    """The chroma of a photo beside another luma; weaker where they do not fit together, which keeps luma and hue."""
    chroma = photo - luma(photo)
    room_above = (1 - new_luma) / chroma.amax(1, keepdim=True).clamp_min(1e-6)
    room_below = new_luma / (-chroma.amin(1, keepdim=True)).clamp_min(1e-6)
    return new_luma + chroma * torch.minimum(room_above, room_below).clamp_max(1)


def _planes(pixels: Tensor) -> Tensor:
    return pixels.permute(2, 0, 1)[None] / 255


def _to_bytes(planes: Tensor) -> Tensor:
    return planes[0].mul(255).round_().clamp_(0, 255).byte().permute(1, 2, 0).contiguous()
