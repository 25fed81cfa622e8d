"""The codec: it decodes the bytes of picture files to pixels, and encodes pixels again.

A decoded picture is upright, in the RGB of its own colour profile, with 8 bits per channel, and its alpha is separate.
"""

from service.codec.formats import MEDIA_TYPES, NAMES, check_room, preferred
from service.codec.metadata import Metadata
from service.codec.opening import Header, read_header
from service.codec.picture import DecodedPicture
from service.codec.reading import decode
from service.codec.writing import encode

__all__ = [
    "MEDIA_TYPES",
    "NAMES",
    "DecodedPicture",
    "Header",
    "Metadata",
    "check_room",
    "decode",
    "encode",
    "preferred",
    "read_header",
]
