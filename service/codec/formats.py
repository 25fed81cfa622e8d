"""The file formats that are read and written, and their limits."""

import importlib.util
import logging
import warnings

from PIL import Image

from service.codec import libtiff
from service.contract.options import Format, RequestedFormat
from service.contract.problems import TooLarge

MEDIA_TYPES: dict[Format, str] = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "avif": "image/avif",
}
"""The media types of the formats that are written."""
ANSWERS: dict[str, Format] = {
    "JPEG": "jpeg",
    "MPO": "jpeg",
    "PNG": "png",
    "WEBP": "webp",
    "AVIF": "avif",
    "TIFF": "png",
    "GIF": "png",
    "BMP": "png",
}
"""The formats that are read, by Pillow's names, each with the one that `auto` answers it in."""

# What these libraries tell of broken files would fill the log; the answer says what is wrong.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("tifffile").setLevel(logging.CRITICAL)
libtiff.silence()
Image.MAX_IMAGE_PIXELS = None  # the limits of an upload are checked by `read_header`, for the server that sets them

if importlib.util.find_spec("pillow_heif") is not None:
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)
    ANSWERS["HEIF"] = "jpeg"

NAMES = ", ".join(name for name in ANSWERS if name != "MPO")
"""The names of the formats that are read, as a list for people."""
_LONGEST_SIDES: dict[Format, int] = {"jpeg": 65_500, "webp": 16_383, "avif": 65_535}
"""The most pixels that a side can have, for the formats that have a limit."""
_RANGES: dict[str, RequestedFormat] = {
    "*/*": "auto",
    "image/*": "auto",
    **{media_type: format for format, media_type in MEDIA_TYPES.items()},  # noqa: A001
}
"""The formats that the media ranges of an `Accept` header ask for."""


def preferred(accept: str) -> RequestedFormat:
    """Return the format that an `Accept` header (RFC 9110, section 12.5.1) asks for.

    Args:
        accept: The value of the header: media ranges, such as `image/avif, image/webp;q=0.8`.

    Returns:
        The format with the highest weight, the first if there are several; `auto` if `image/*` or `*/*` has the same
        weight, or if the header names no format that is written.
    """
    best: RequestedFormat = "auto"
    highest = 0.0
    for item in accept.lower().split(","):
        media_range, *parameters = (part.strip() for part in item.split(";"))
        named, weight = _RANGES.get(media_range), _weight(parameters)
        if named is not None and (weight > highest or (weight == highest and named == "auto")):
            best, highest = named, weight
    return best


def check_room(format: Format, width: int, height: int) -> None:  # noqa: A002
    """Check that a format can hold a picture of this width and height in pixels.

    Raises:
        TooLarge: A side is longer than the format allows.
    """
    longest = _LONGEST_SIDES.get(format)
    if longest is not None and max(width, height) > longest:
        raise TooLarge(
            f"{format.upper()} holds up to {longest:,} pixels a side, and the answer would have {width:,}×{height:,}: "
            "ask for format=png"
        )


def _weight(parameters: list[str]) -> float:
    """Return the weight among the parameters of a media range: 1 if there is none, and 0 if it cannot be read."""
    try:
        return next((float(each[2:]) for each in parameters if each.startswith("q=")), 1.0)
    except ValueError:
        return 0.0
