"""The small JPEG that shows what a model does."""

import io
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from model_store.nets import TransformNet, bicubic
from trainer.degradation import degrade
from trainer.photos import load_picture

_SHORTER_SIDE = 384


def style_preview(net: TransformNet, photo: Path) -> bytes:
    """The photo after the net.

    Raises:
        BadPhotos: the photo cannot be read.
    """
    return _jpeg(_run(net, load_picture(photo, _SHORTER_SIDE)))


def super_resolution_preview(net: TransformNet, photo: Path) -> bytes:
    """The photo shrunk and enlarged again: bicubic on the left, the net on the right.

    Raises:
        BadPhotos: the photo cannot be read.
    """
    picture = load_picture(photo, _SHORTER_SIDE)
    height, width = (side - side % net.factor for side in picture.shape[-2:])
    small = degrade(picture[..., :height, :width], net.factor)
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
