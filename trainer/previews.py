"""The small JPEG that shows what a model does."""

import io

import torch
from PIL import Image
from torch import Tensor

from model_store.nets import TransformNet, bicubic
from trainer.degradation import degrade

PREVIEW_SIDE = 384
"""Shorter side of the photos that previews are made of, in pixels."""


def style_preview(net: TransformNet, photo: Tensor) -> bytes:
    """The photo, float RGB in [0, 1], `(1, 3, H, W)`, after the net."""
    return _jpeg(_run(net, photo))


def super_resolution_preview(net: TransformNet, photo: Tensor) -> bytes:
    """The photo shrunk and enlarged again: bicubic on the left, the net on the right."""
    height, width = (side - side % net.factor for side in photo.shape[-2:])
    small = degrade(photo[..., :height, :width], net.factor)
    return _jpeg(torch.cat((bicubic.enlarge(small, net.factor), _run(net, small)), dim=-1))


def _run(net: TransformNet, picture: Tensor) -> Tensor:
    device = next(net.parameters()).device
    with torch.inference_mode():
        result: Tensor = net(picture.to(device)).cpu()
    return result


def _jpeg(picture: Tensor) -> bytes:
    pixels = picture[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
