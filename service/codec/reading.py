"""The decoding of picture files to upright pixels."""

import io
from typing import cast

import numpy as np
import torch
from PIL import Image, ImageFile
from torch import Tensor

from service.codec import alpha, bit_depth, colour, metadata
from service.codec.opening import Header
from service.codec.picture import DecodedPicture
from service.codec.samples import read_samples
from service.codec.structure import jpeg, png
from service.codec.structure.tiff import Tiff
from service.contract.problems import BadPicture

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that makes a picture upright, by its EXIF orientation."""
_DRAFT_GAP = 2
"""The least factor by which a JPEG is decoded larger than wanted before it is resized, which keeps it sharp."""


def decode(
    header: Header, size: tuple[int, int] | None = None, *, keep_metadata: bool = False, enlargement: float = 1
) -> DecodedPicture:
    """Decode a picture; of an animation, the first frame.

    Args:
        header: The header from `read_header`, which can be decoded once only.
        size: Width and height in pixels, as stored, to which the picture is resized (Lanczos, antialiased), or None to
            keep its size.
        keep_metadata: Whether all metadata is kept; see `metadata.read`.
        enlargement: The factor by which the answer will be larger than the decoded picture, for the sizes in its
            metadata.

    Raises:
        BadPicture: The file is broken.
    """
    try:
        loaded, source = _load(header, size)
        orientation = metadata.orientation_of(source) if header.tiff is None else header.tiff.orientation
        is_upright = header.tiff is not None and header.image is not None  # Pillow turns a TIFF by itself
        turn = None if is_upright else _TRANSPOSITIONS.get(orientation)
        mask = loaded.getchannel("A") if loaded.mode in ("LA", "RGBA") else None
        opaque = loaded.convert(loaded.mode[:-1]) if mask else loaded
        rgb, profile = colour.to_rgb(opaque, header.file.profile or source.info.get("icc_profile"))
    except Exception as error:  # the decoders raise exceptions of many kinds on broken files
        raise BadPicture(f"the picture is broken or cut short ({error}): send the whole file") from error
    if header.file.gamma is not None and profile is None:
        rgb = colour.from_gamma(rgb, header.file.gamma)
    ratio = enlargement * (header.width if size is None else size[0]) / header.width if turn is None else None
    kept = metadata.read(source, keep_all=keep_metadata, ratio=ratio)
    if size is not None and size != rgb.size:
        rgb, mask = _resized(rgb, mask, size)
    pixels, transparency = (None if each is None else _tensor(each, turn) for each in (rgb, mask))
    pixels = cast("Tensor", pixels)
    if header.image is not None:
        header.image.close()  # Pillow's copy of the pixels would last as long as the header
    if transparency is not None:
        pixels = alpha.without_hidden_colours(pixels, transparency)
    return DecodedPicture(pixels, transparency, header.format, profile, kept)


def _load(header: Header, size: tuple[int, int] | None) -> tuple[Image.Image, Image.Image]:
    """Return the pixels with 8 bits a channel, and the image that has the metadata of the file."""
    if header.image is None:
        samples = read_samples(cast("Tiff", header.tiff))
        return samples, samples
    image, data = header.image, header.file.data
    if not header.is_truncated:
        _shrink(image, size)
    elif image.format == "PNG":
        data = png.completed(data)
        image = _reopened(data)
    else:
        image = _completed_jpeg(data, size)
    is_shrunk = size is not None and max(size) * _DRAFT_GAP <= max(header.width, header.height)
    return bit_depth.load(image, data, is_shrunk=is_shrunk), image


def _reopened(data: bytes) -> ImageFile.ImageFile:
    return Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))


def _shrink(image: ImageFile.ImageFile, size: tuple[int, int] | None) -> None:
    """Have a JPEG decoded only as large as needed."""
    if size not in (None, image.size):
        image.draft(None, (size[0] * _DRAFT_GAP, size[1] * _DRAFT_GAP))


def _completed_jpeg(data: bytes, size: tuple[int, int] | None) -> ImageFile.ImageFile:
    """Load a JPEG without its end.

    Raises:
        ValueError: Pixels are missing.
    """
    images = []
    for each in jpeg.completions(data):
        image = _reopened(each)
        _shrink(image, size)
        image.load()
        images.append(image)
    if images[0].tobytes() != images[1].tobytes():
        raise ValueError("pixels are missing")
    return images[0]


def _resized(
    rgb: Image.Image, mask: Image.Image | None, size: tuple[int, int]
) -> tuple[Image.Image, Image.Image | None]:
    """Resize a picture and its alpha; Pillow weights the colours by the alpha."""
    if mask is None:
        return rgb.resize(size, Image.Resampling.LANCZOS), None
    rgba = Image.merge("RGBA", (*rgb.split(), mask)).resize(size, Image.Resampling.LANCZOS)
    return rgba.convert("RGB"), rgba.getchannel("A")


def _tensor(image: Image.Image, turn: Image.Transpose | None) -> Tensor:
    return torch.from_numpy(np.array(image if turn is None else image.transpose(turn)))
