"""Previews: pictures that show what a model makes of a photo."""

import io

import torch
from torch import Tensor

from model_store.nets import TransformNet, bicubic
from trainer.data.degradation import degrade
from trainer.pictures.contact_sheet import to_image

PREVIEW_SIDE = 384
"""Shorter side of the photos that previews are made from, in pixels."""


def preview(net: TransformNet, photo: Tensor) -> Tensor:
    """Return the picture that a net makes of a photo: float RGB in [0, 1], `(1, 3, H, W)`, on the CPU.

    For super-resolution the photo is shrunk and enlarged again; bicubic interpolation is on the left, the net on the
    right.

    Args:
        net: Net in evaluation mode.
        photo: Float RGB in [0, 1], `(1, 3, H, W)`.
    """
    if net.task == "stylize":
        return _run(net, photo)
    height, width = (side - side % net.factor for side in photo.shape[-2:])
    small = degrade(photo[..., :height, :width], net.factor)
    return torch.cat((bicubic.enlarge(small, net.factor).clamp(0, 1), _run(net, small)), dim=-1)


def to_jpeg(picture: Tensor) -> bytes:
    """Return a picture, float RGB in [0, 1], `(1, 3, H, W)`, as a JPEG of moderate quality."""
    buffer = io.BytesIO()
    to_image(picture).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _run(net: TransformNet, picture: Tensor) -> Tensor:
    device = next(net.parameters()).device
    with torch.inference_mode():
        result: Tensor = net(picture.to(device)).cpu()
    return result
