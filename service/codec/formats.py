"""The formats that pictures come in and go out in."""

import importlib.util

from service.contract.options import Format, RequestedFormat
from service.contract.problems import TooLarge

MEDIA_TYPES: dict[Format, str] = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "avif": "image/avif",
}
ANSWERS: dict[str, Format] = {
    "JPEG": "jpeg",
    "MPO": "jpeg",
    "PNG": "png",
    "WEBP": "webp",
    "AVIF": "avif",
    "TIFF": "png",
    "GIF": "png",
}
"""What `auto` stands for: the formats that we read, as Pillow calls them, and those in which they are answered."""

if importlib.util.find_spec("pillow_heif") is not None:
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)
    ANSWERS["HEIF"] = "jpeg"

NAMES = ", ".join(name for name in ANSWERS if name != "MPO")
"""Of the formats that we read, for people."""
_LONGEST_SIDES: dict[Format, int] = {"jpeg": 65_500, "webp": 16_383, "avif": 65_535}
"""In pixels; of the formats that have a limit."""
_RANGES: dict[str, RequestedFormat] = {
    "*/*": "auto",
    "image/*": "auto",
    **{media_type: format for format, media_type in MEDIA_TYPES.items()},  # noqa: A001
}


def preferred(accept: str) -> RequestedFormat:
    """The format that the header `Accept` (RFC 9110, section 12.5.1) asks for.

    Args:
        accept: media ranges, as in `image/avif, image/webp;q=0.8`.

    Returns:
        That of the highest weight, the first of several; `auto` where `image/*` or `*/*` weighs as much, or where none
        that we write is named.
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
    """Makes sure that a format can hold a picture of this size.

    Raises:
        TooLarge: it cannot.
    """
    longest = _LONGEST_SIDES.get(format)
    if longest is not None and max(width, height) > longest:
        raise TooLarge(
            f"{format.upper()} holds up to {longest:,} pixels a side, and the answer would have {width:,}×{height:,}: "
            "ask for format=png"
        )


def _weight(parameters: list[str]) -> float:
    """1 unless it is given; 0 where that cannot be read."""
    try:
        return next((float(each[2:]) for each in parameters if each.startswith("q=")), 1.0)
    except ValueError:
        return 0.0
