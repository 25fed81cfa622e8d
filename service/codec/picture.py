"""A decoded picture."""

from typing import NamedTuple

from torch import Tensor

from service.codec.metadata import Metadata
from service.contract.options import Format


class DecodedPicture(NamedTuple):
    """Upright pixels, and what else a file says of them."""

    pixels: Tensor
    """uint8, `(H, W, 3)`: RGB in the colours of the profile."""
    alpha: Tensor | None
    """uint8, `(H, W)`; None for opaque pictures."""
    format: Format
    """In which it is, or is to be, written."""
    profile: bytes | None = None
    """The ICC profile, of RGB; None is sRGB that does not say so."""
    metadata: Metadata = Metadata()
