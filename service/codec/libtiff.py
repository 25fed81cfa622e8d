"""libtiff, which Pillow decodes some TIFFs with, writes nothing to stderr."""

import ctypes
from contextlib import suppress

from PIL import _imaging


def silence() -> None:
    """Take away libtiff's handlers of errors and warnings, which write lines of their own for a broken picture.

    Pillow raises an exception where it matters. The functions are looked up in Pillow's own extension, which finds them
    in the libtiff that it is linked with; where that is impossible, as on Windows, libtiff goes on writing.
    """
    with suppress(OSError, AttributeError):
        pillow = ctypes.CDLL(_imaging.__file__)
        for set_handler in (pillow.TIFFSetErrorHandler, pillow.TIFFSetWarningHandler):
            set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_handler(None)
