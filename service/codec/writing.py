"""The writing of pictures to the bytes of a file."""

import io
import logging
from typing import Any

from PIL import Image, PngImagePlugin
from torch import Tensor

from service.codec.formats import check_room
from service.codec.picture import DecodedPicture

_LARGEST_SEGMENT = 65_000
"""The most bytes of EXIF or XMP that a JPEG has room for."""
_ROWS_AT_ONCE = 128
"""Rows of a picture that are put together with their alpha at a time."""
_log = logging.getLogger(__name__)


def encode(picture: DecodedPicture, quality: int) -> bytes:
    """Encode a picture in its format, with its profile and metadata.

    Args:
        picture: The picture. JPEG has no alpha: a picture with alpha is laid over white for it.
        quality: The quality of a JPEG, WebP or AVIF, from 1 to 100; PNG loses nothing.

    Raises:
        TooLarge: The format cannot hold a picture of this size.
    """
    height, width, _ = picture.pixels.shape
    check_room(picture.format, width, height)
    image = Image.fromarray(picture.pixels.numpy()) if picture.alpha is None else _with_alpha(picture, picture.alpha)
    options = _profile_and_metadata(picture)
    if picture.format != "png":
        options["quality"] = quality
    if picture.format == "jpeg":
        options["subsampling"] = "4:4:4"
    buffer = io.BytesIO()
    image.save(buffer, picture.format.upper(), **options)
    return buffer.getvalue()


def _with_alpha(picture: DecodedPicture, alpha: Tensor) -> Image.Image:
    """Return a picture with alpha, laid over white if its format is JPEG; some rows at a time, without whole copies."""
    height, width, _ = picture.pixels.shape
    is_flat = picture.format == "jpeg"
    image = Image.new("RGB" if is_flat else "RGBA", (width, height))
    for top in range(0, height, _ROWS_AT_ONCE):
        rows = slice(top, top + _ROWS_AT_ONCE)
        strip = Image.fromarray(picture.pixels[rows].numpy())
        strip.putalpha(Image.fromarray(alpha[rows].numpy()))
        if is_flat:
            strip = Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip).convert("RGB")
        image.paste(strip, (0, top))
    return image


def _profile_and_metadata(picture: DecodedPicture) -> dict[str, Any]:
    """Return Pillow's options for what is written beside the pixels."""
    contents = {"icc_profile": picture.profile, **picture.metadata._asdict()}
    options = {name: content for name, content in contents.items() if content is not None}
    if picture.format == "jpeg":
        for name in ("exif", "xmp"):
            if len(options.get(name, b"")) > _LARGEST_SEGMENT:
                _log.info("%s left out: a JPEG has no room for it", name.upper())
                del options[name]
    if picture.format == "png" and "xmp" in options:
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt("XML:com.adobe.xmp", options.pop("xmp").decode("utf-8", "replace"))
        options["pnginfo"] = chunks
    return options
