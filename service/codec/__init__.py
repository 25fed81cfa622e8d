"""Bytes to pixels and back.

Pictures come out upright, in the RGB of their own profile, 8 bits per channel, with their alpha beside them.
"""

from service.codec.formats import MEDIA_TYPES, NAMES, check_room, preferred
from service.codec.metadata import Metadata
from service.codec.picture import DecodedPicture
from service.codec.reading import Header, decode, read_header
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
