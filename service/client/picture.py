"""What the clients take for a picture, and the bytes they send of it."""

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, TypeGuard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

PictureSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[np.uint8]"
)
"""A path, encoded bytes, a binary file, a PIL image, or a NumPy array: uint8, `(H, W)`, `(H, W, 3)` or `(H, W, 4)`."""

_MODES_OF_PNG = {"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"}
_FASTEST = 1
"""The compression of PNG; a better one takes longer than it saves on the way."""


def read(picture: PictureSource) -> bytes:
    """The bytes to send.

    A file is read from where it stands, and not closed. Images and arrays are sent as PNG, which loses nothing; images
    keep their mode (unless PNG has none such), ICC profile and EXIF.

    Raises:
        OSError: it cannot be read.
        TypeError: it is none of what a picture can be.
        ValueError: an array has another shape or type.
        ModuleNotFoundError: it is an array, and Pillow is not installed.
    """
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    if isinstance(picture, str | os.PathLike):
        return Path(picture).read_bytes()
    if _is_image(picture):
        return _image_as_png(picture)
    if _is_array(picture):
        return _array_as_png(picture)
    content = picture.read() if hasattr(picture, "read") else None
    if not isinstance(content, bytes):
        raise TypeError(
            f"{type(picture).__name__} is no picture: give a path, bytes, a file opened in binary mode, a PIL image or "
            "a NumPy array"
        )
    return content


# Whoever has an image or an array has imported its module. So neither is imported here before it is needed.


def _is_image(picture: object) -> "TypeGuard[Image.Image]":
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(picture, module.Image)


def _is_array(picture: object) -> "TypeGuard[NDArray[Any]]":
    module = sys.modules.get("numpy")
    return module is not None and isinstance(picture, module.ndarray)


def _array_as_png(array: "NDArray[Any]") -> bytes:
    if array.dtype != "uint8" or array.ndim not in {2, 3} or array.shape[2:] not in {(), (3,), (4,)} or not array.size:
        raise ValueError(
            f"an array of {array.dtype} {array.shape} is no picture: give uint8 from 0 to 255 as (H, W), (H, W, 3) or "
            "(H, W, 4)"
        )
    try:
        from PIL import Image  # noqa: PLC0415  (only for who has arrays)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("to send arrays, install Pillow: pip install pillow", name=error.name) from error
    return _image_as_png(Image.fromarray(array))


def _image_as_png(image: "Image.Image") -> bytes:
    exif = image.getexif()
    image = _in_a_mode_of_png(image)
    buffer = io.BytesIO()
    kept = {"exif": exif} if exif else {}
    image.save(buffer, "PNG", compress_level=_FASTEST, icc_profile=image.info.get("icc_profile"), **kept)
    return buffer.getvalue()


def _in_a_mode_of_png(image: "Image.Image") -> "Image.Image":
    if image.mode in _MODES_OF_PNG:
        return image
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK" and profile:
        from PIL import ImageCms  # noqa: PLC0415  (only for who has images)

        given, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, given, srgb, outputMode="RGB")
        assert converted is not None  # noqa: S101  (it is None only where an image is changed in place)
        converted.info.pop("icc_profile", None)
        return converted
    return image.convert("RGBA" if image.has_transparency_data else "RGB")
