"""ICC colour profiles: the conversion from an upload's colours to sRGB for the nets, and back.

A picture stays in its own RGB if its profile can convert in both directions, so that colours outside sRGB are not lost.
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
"""An ICC profile of sRGB."""
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""The mode of Pillow that a profile's colour space belongs to."""
_LARGEST_PROFILE = 4 * 1024**2
"""The most bytes that a profile may have; those of printers have up to three million."""
_LARGEST_KEPT = 1_000_000
"""The most bytes of a profile that an answer keeps; many programs refuse larger ones."""
_MOST_DIFFERENCE = 2
"""The largest difference, in levels of 255, by which a profile may differ from sRGB and still be taken for it."""
_log = logging.getLogger(__name__)


class _Transforms(NamedTuple):
    """The conversions between an RGB profile and sRGB; both are None if the profile is sRGB itself."""

    to_srgb: ImageCms.ImageCmsTransform | None
    from_srgb: ImageCms.ImageCmsTransform | None


def to_rgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, bytes | None]:
    """Convert an opaque picture to RGB.

    Args:
        image: A picture of mode L, RGB, CMYK or LAB.
        profile: The ICC profile in its file, or None. A profile that cannot be used is ignored.

    Returns:
        The picture, and the profile that its RGB is in: the upload's if that is an RGB profile that can convert in both
        directions and is not very large, sRGB if the upload had another one, and None if it had none.
    """
    if profile is None or len(profile) > _LARGEST_PROFILE:
        return _without_profile(image), None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = opened.profile.xcolor_space.strip()
        if space == "RGB" and image.mode in ("RGB", "L"):
            rgb = _without_profile(image)
            if len(profile) <= _LARGEST_KEPT and _transforms(profile) is not None:
                return rgb, profile
            return _converted(rgb, opened), SRGB
        if _MODES.get(space) == image.mode:
            return _converted(image, opened), SRGB
        _log.info("ICC profile ignored: it is of %s, and the picture of %s", space, image.mode)
    except (ImageCms.PyCMSError, OSError) as error:
        _log.info("ICC profile ignored: %s", error)
    return _without_profile(image), None


def from_gamma(image: Image.Image, gamma: float) -> Image.Image:
    """Convert RGB from an encoding by an exponent, such as 1 for linear light, to that of sRGB.

    Args:
        image: A picture of mode RGB.
        gamma: The exponent by which light was encoded: 0.45455 is about that of sRGB.
    """
    light = np.linspace(0, 1, 256) ** (1 / gamma)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return image.point([round(255 * level) for level in encoded] * 3)


def to_srgb(pixels: Tensor, profile: bytes | None) -> Tensor:
    """Convert uint8 RGB, `(H, W, 3)`, from a profile that `to_rgb` returned to sRGB."""
    transforms = _transforms(profile)
    return _apply(pixels, transforms.to_srgb if transforms else None)


def from_srgb(pixels: Tensor, profile: bytes | None) -> Tensor:
    """Convert uint8 RGB, `(H, W, 3)`, from sRGB to a profile that `to_rgb` returned."""
    transforms = _transforms(profile)
    return _apply(pixels, transforms.from_srgb if transforms else None)


@lru_cache(maxsize=16)
def _transforms(profile: bytes | None) -> _Transforms | None:
    """Return the conversions of an RGB profile, or None if it can convert in one direction only."""
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
    """Convert a picture from its profile to sRGB."""
    transform = ImageCms.buildTransform(profile, _SRGB, image.mode, "RGB")
    return ImageCms.applyTransform(image, transform) or image


def _without_profile(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")


def _apply(pixels: Tensor, transform: ImageCms.ImageCmsTransform | None) -> Tensor:
    if transform is None:
        return pixels
    converted = ImageCms.applyTransform(Image.fromarray(pixels.numpy()), transform)
    return torch.from_numpy(np.array(converted))
