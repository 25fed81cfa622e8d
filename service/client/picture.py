"""The kinds of values that the clients take as a picture, and how each becomes the bytes of an upload."""

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
"""A picture to send: a path, the bytes of an image file, a file opened in binary mode, a PIL image, or a NumPy array of
type uint8 and shape `(H, W)`, `(H, W, 3)` or `(H, W, 4)` with values from 0 to 255."""

_PNG_MODES = {"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"}
"""The modes of Pillow images that a PNG can hold."""
_PNG_COMPRESSION = 1
"""The level of PNG compression, from 0 to 9. A higher one takes longer than it saves in sending."""


def read(picture: PictureSource) -> bytes:
    """Return the bytes to send for a picture.

    An open file is read from its current position and is not closed. Images and arrays are sent as PNG, which loses
    nothing. Images keep their ICC profile and EXIF, and their mode where PNG has it.

    Raises:
        OSError: The file cannot be read.
        TypeError: The value is not a `PictureSource`.
        ValueError: The array has another shape or type than a picture.
        ModuleNotFoundError: The picture is an array, and Pillow is not installed.
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


# An image or an array can only exist once its module is imported. Looking for the module in `sys.modules` keeps the
# client from importing Pillow and NumPy itself.


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
        from PIL import Image  # noqa: PLC0415  (the client works without Pillow)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("to send arrays, install Pillow: pip install pillow", name=error.name) from error
    return _image_as_png(Image.fromarray(array))


def _image_as_png(image: "Image.Image") -> bytes:
    exif = image.getexif()
    image = _in_png_mode(image)
    buffer = io.BytesIO()
    kept = {"exif": exif} if exif else {}
    image.save(buffer, "PNG", compress_level=_PNG_COMPRESSION, icc_profile=image.info.get("icc_profile"), **kept)
    return buffer.getvalue()


def _in_png_mode(image: "Image.Image") -> "Image.Image":
    if image.mode in _PNG_MODES:
        return image
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK" and profile:
        from PIL import ImageCms  # noqa: PLC0415  (the client works without Pillow)

        given, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, given, srgb, outputMode="RGB")
        assert converted is not None  # noqa: S101  (Pillow returns None only for a conversion in place)
        converted.info.pop("icc_profile", None)
        return converted
    return image.convert("RGBA" if image.has_transparency_data else "RGB")
