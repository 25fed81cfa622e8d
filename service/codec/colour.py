"""ICC profiles: the colours of an upload, sRGB for the nets, and back.

A picture stays in its own RGB where its profile works in both directions, so that what sRGB cannot hold is not lost.
"""

import io
import logging
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageCms
from torch import Tensor

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
SRGB: bytes = _SRGB.tobytes()
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""Of the pictures that a profile of each colour space is for."""
_LARGEST_PROFILE = 4 * 1024**2
"""In bytes; those of printers have up to three million."""
_MOST_DIFFERENCE = 2
"""Levels of 255 by which what is called sRGB may differ from ours."""
_log = logging.getLogger(__name__)


class _Transforms(NamedTuple):
    """Of an RGB profile; None for both where it is sRGB itself."""

    to_srgb: ImageCms.ImageCmsTransform | None
    from_srgb: ImageCms.ImageCmsTransform | None


def to_rgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, bytes | None]:
    """The colours of an opaque picture as RGB, and the profile that these are in.

    Args:
        image: of mode L, RGB, CMYK or LAB.
        profile: that came with it; one that cannot be used is as none.

    Returns:
        The profile is that of the upload where it is of RGB and can be written to, sRGB where it had another one, and
        None where it had none.
    """
    if profile is None or len(profile) > _LARGEST_PROFILE:
        return _plainly(image), None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = opened.profile.xcolor_space.strip()
        if space == "RGB" and image.mode in ("RGB", "L"):
            rgb = _plainly(image)
            if _transforms(profile) is not None:
                return rgb, profile
            return _converted(rgb, opened), SRGB
        if _MODES.get(space) == image.mode:
            return _converted(image, opened), SRGB
        _log.info("ICC profile ignored: it is of %s, and the picture of %s", space, image.mode)
    except (ImageCms.PyCMSError, OSError) as error:
        _log.info("ICC profile ignored: %s", error)
    return _plainly(image), None


def to_srgb(pixels: Tensor, profile: bytes | None) -> Tensor:
    """Converts uint8 RGB, `(H, W, 3)`, from a profile that `to_rgb` gave."""
    transforms = _transforms(profile)
    return _apply(pixels, transforms.to_srgb if transforms else None)


def from_srgb(pixels: Tensor, profile: bytes | None) -> Tensor:
    """Converts uint8 RGB, `(H, W, 3)`, to a profile that `to_rgb` gave."""
    transforms = _transforms(profile)
    return _apply(pixels, transforms.from_srgb if transforms else None)


@lru_cache(maxsize=16)
def _transforms(profile: bytes | None) -> _Transforms | None:
    """None for a profile that works in one direction only."""
    if profile is None or profile == SRGB:
        return _Transforms(None, None)
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    to_srgb = ImageCms.buildTransform(opened, _SRGB, "RGB", "RGB")
    try:
        from_srgb = ImageCms.buildTransform(_SRGB, opened, "RGB", "RGB")
    except ImageCms.PyCMSError:
        return None
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    lattice = Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3))
    converted = np.asarray(ImageCms.applyTransform(lattice, to_srgb)).astype(np.int16)
    if np.abs(converted - np.asarray(lattice)).max() <= _MOST_DIFFERENCE:
        return _Transforms(None, None)
    return _Transforms(to_srgb, from_srgb)


def _converted(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    """To sRGB."""
    transform = ImageCms.buildTransform(profile, _SRGB, image.mode, "RGB")
    return ImageCms.applyTransform(image, transform) or image


def _plainly(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")


def _apply(pixels: Tensor, transform: ImageCms.ImageCmsTransform | None) -> Tensor:
    if transform is None:
        return pixels
    converted = ImageCms.applyTransform(Image.fromarray(pixels.numpy()), transform)
    return torch.from_numpy(np.array(converted))
