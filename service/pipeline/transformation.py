"""The transformation of pixels: what the nets see of them, and what is made of the nets' output.

Pictures and the frames of films take this way alike. Pixels are uint8 RGB, `(H, W, 3)`, upright.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model_store.card import SMALLEST_SIDE
from model_store.nets import TransformNet
from service.codec import colour
from service.contract.options import Options, StylizeOptions
from service.contract.problems import TooLarge
from service.models.loaded import Loaded
from service.pipeline import retouching

_MEGABYTE = 1_000_000
"""Bytes of a megabyte."""


class Transformation(NamedTuple):
    """The transformation of pixels of one size."""

    options: Options
    """Options for this size; a `size` of an enlargement has become a `scale`."""
    model: str
    """Name and version of the net, or of each net of a blend with its share."""
    digest: str
    """Text that differs between nets whose weights differ."""
    net: TransformNet
    """The net that computes the pixels, on the device."""
    enlarger: TransformNet | None
    """The net that enlarges the painting, on the device, if it is painted smaller than it is answered."""
    width: int
    """Width in pixels of what is transformed, as stored: EXIF may say that a picture is turned by 90°."""
    height: int
    """Height in pixels of what is transformed, as stored."""
    factor: float
    """Factor of enlargement of the answer, 1 for a painting; the net's own factor may be larger."""

    @property
    def needs_net(self) -> bool:
        """Tell whether a net has to compute anything: a painting of strength 0 is the photo itself."""
        return not (isinstance(self.options, StylizeOptions) and self.options.strength == 0)

    @property
    def nets(self) -> list[TransformNet]:
        """Return the nets that compute the pixels one after the other."""
        return [self.net] if self.enlarger is None else [self.net, self.enlarger]

    @property
    def seen(self) -> tuple[int, int]:
        """Return the width and height in pixels of what the net sees, as stored."""
        if not isinstance(self.options, StylizeOptions):
            return self.width, self.height
        return self.options.painted(self.width, self.height)

    def prepare(self, pixels: Tensor, profile: bytes | None = None) -> Tensor:
        """Return what the net sees of the pixels.

        A photo is painted in sRGB, for which styles are trained. Pixels are enlarged in their own colour space, so that
        no colour is lost.

        Args:
            pixels: Pixels of the size that is transformed.
            profile: ICC profile of the pixels; None is sRGB.
        """
        if isinstance(self.options, StylizeOptions):
            height, width, _ = pixels.shape
            pixels = colour.to_srgb(retouching.resize(pixels, self.options.painted(width, height)), profile)
        return _padded(pixels) if self.needs_net else pixels

    def finish(self, output: Tensor, pixels: Tensor, profile: bytes | None = None) -> Tensor:
        """Return the result, made from the output of the last net.

        Args:
            output: Output of the last net, or what `prepare` returned if no net is needed.
            pixels: Pixels that `prepare` was given.
            profile: ICC profile of the pixels, and of the result.
        """
        options = self.options
        height, width, _ = pixels.shape
        if isinstance(options, StylizeOptions):
            output = _without_padding(output, options.painted(width, height), self.nets[-1])
            painting = colour.from_srgb(retouching.resize(output, (width, height)), profile)
            return retouching.mix(painting, pixels, options.strength, preserve_color=options.preserve_color)
        output = _without_padding(output, (width, height), self.net)
        return retouching.finish(output, self.factor, pixels, match_histogram=options.match_histogram)


def transformation_of(width: int, height: int, options: Options, model: Loaded) -> Transformation:
    """Return what the options make of pixels of a size.

    Args:
        width: Width in pixels, as stored.
        height: Height in pixels, as stored.
        options: Options for this size; see `PictureOptions.for_picture`.
        model: The net that the options name.
    """
    if isinstance(options, StylizeOptions):
        width, height = options.resized(width, height)
        net, factor = model.net, 1.0
    else:
        net, factor = model.self_ensemble if options.self_ensemble else model.net, options.enlargement
    return Transformation(options, model.label, model.digest, net, model.enlarger, width, height, factor)


def check_size(transformation: Transformation, max_pixels: int) -> None:
    """Check that the answer is not too large.

    Args:
        transformation: What is made.
        max_pixels: Largest number of pixels that the answer may have.

    Raises:
        TooLarge: The answer would have too many pixels.
    """
    width, height = (round(side * transformation.factor) for side in (transformation.width, transformation.height))
    if height * width > max_pixels:
        raise TooLarge(
            f"the answer would have {width:,}×{height:,} pixels; this server makes up to {max_pixels:,} in all: send a "
            "smaller picture, or ask for a smaller answer"
        )


def check_memory(transformation: Transformation, net_bytes: int) -> None:
    """Check that the pixels can be computed in the memory that nets may use.

    Args:
        transformation: What is made.
        net_bytes: Bytes of memory that nets may compute in.

    Raises:
        TooLarge: The nets would need more memory.
    """
    width, height = transformation.seen
    needed = max(net.bytes_needed(height, width) for net in transformation.nets)
    if needed > net_bytes:
        shrunk = ", or have it painted smaller by 'size'" if transformation.net.task == "stylize" else ""
        raise TooLarge(
            f"{width:,}×{height:,} pixels would need {needed / _MEGABYTE:,.0f} MB of memory with this model, "
            f"and this server has {net_bytes / _MEGABYTE:,.0f} MB for it: send a smaller picture{shrunk}, or give the "
            "server more memory"
        )


def _padded(pixels: Tensor) -> Tensor:
    """Mirror pixels at their right and lower sides until they are as many as the nets need."""
    height, width, _ = pixels.shape
    lacking = max(0, SMALLEST_SIDE - height), max(0, SMALLEST_SIDE - width)
    if not any(lacking):
        return pixels
    return torch.from_numpy(np.pad(pixels.numpy(), ((0, lacking[0]), (0, lacking[1]), (0, 0)), mode="symmetric"))


def _without_padding(output: Tensor, seen: tuple[int, int], net: TransformNet) -> Tensor:
    """Return what the last net made of `seen`, a width and a height in pixels, without what `_padded` added."""
    width, height = seen
    return output[: height * net.factor, : width * net.factor]
