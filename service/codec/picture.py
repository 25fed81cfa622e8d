"""The decoded picture, which reading returns and writing takes."""

from typing import NamedTuple

from torch import Tensor

from service.codec.metadata import Metadata
from service.contract.options import Format


class DecodedPicture(NamedTuple):
    """An upright picture in memory, with the profile and metadata of its file."""

    pixels: Tensor
    """The colours: RGB in the colour space of the profile, uint8 `(H, W, 3)`."""
    alpha: Tensor | None
    """The opacity, uint8 `(H, W)`; None for opaque pictures."""
    format: Format
    """The format that the picture is answered in."""
    profile: bytes | None = None
    """The ICC profile of the RGB; None is sRGB whose file has no profile."""
    metadata: Metadata = Metadata()
    """The EXIF and XMP that are written with the picture."""
