"""The conversion of every kind of pixel that Pillow reads, such as 16-bit and palette, to 8 bits a channel."""

import io
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

Tile = ImageFile._Tile
_Eight = npt.NDArray[np.uint8]

_KEPT = ("L", "LA", "RGB", "RGBA", "CMYK", "LAB")
"""Modes of Pillow that need no conversion."""
_DEEP, _LOW_BYTES = ";16B", ";16L"
"""The byte order of PNG, and the opposite one. Pillow keeps only the high byte of each sample, so that with the
opposite order it reads the low byte."""
_BAND = 1 << 20
"""Number of pixels that are converted at a time."""


def load(image: ImageFile.ImageFile, data: bytes, *, is_shrunk: bool = False) -> Image.Image:
    """Decompress the first frame of a file to 8 bits a channel; samples of 16 bits become the nearest of 8 bits.

    Args:
        image: A file that was opened with Pillow and not loaded.
        data: The bytes of the file.
        is_shrunk: Whether the picture will be made much smaller, for which the high bytes of deep samples are enough:
            they are read in half the time and memory, and differ by less than one level of 255.

    Returns:
        An image of mode L, LA, RGB, RGBA, CMYK or LAB.

    Raises:
        Exception: The file is broken; Pillow's decoders raise exceptions of many kinds.
    """
    rawmode = _rawmode(image.tile[0]) if image.tile else ""
    needs_low_bytes = not is_shrunk or rawmode == "LA;16B" or "transparency" in image.info
    if image.mode in _KEPT and rawmode.endswith(_DEEP) and needs_low_bytes:
        return _load_deep(image, rawmode, data)
    image.load()
    if image.mode.startswith("I;16"):
        return _deep_grey(image, image.info.get("transparency"))
    if image.has_transparency_data:
        return image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
    if image.mode in _KEPT:
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _load_deep(image: ImageFile.ImageFile, rawmode: str, data: bytes) -> Image.Image:
    """Read both bytes of each sample, of which Pillow by itself would drop the low one."""
    if rawmode == "LA;16B":
        # The two bytes of grey are read as red and green, and those of alpha as blue and alpha.
        image.tile = [tile._replace(args="RGBA") for tile in image.tile]
        image.load()
        pairs = (np.asarray(band) for band in _bands(image))
        return Image.fromarray(np.concatenate([_rounded(each[..., ::2], each[..., 1::2]) for each in pairs]), "LA")
    transparent = image.info.get("transparency")
    with Image.open(io.BytesIO(data), formats=[image.format or ""]) as low:
        low.tile = [_of_low_bytes(tile) for tile in low.tile]
        low.load()
        image.load()
        rows = []
        for high_band, low_band in zip(_bands(image), _bands(low), strict=True):
            high, rest = np.asarray(high_band), np.asarray(low_band)
            eight = _rounded(high, rest)
            if transparent is not None:
                samples = high.astype(np.uint16) << 8 | rest
                opaque = (samples != np.array(transparent, np.uint16)).any(axis=-1, keepdims=True)
                eight = np.concatenate([eight, opaque * np.uint8(255)], axis=-1)
            rows.append(eight)
    return Image.fromarray(np.concatenate(rows), image.mode if transparent is None else "RGBA")


def _deep_grey(image: Image.Image, transparent: int | None) -> Image.Image:
    rows = []
    for band in _bands(image):
        samples = np.asarray(band).astype(np.uint16)
        eight = _rounded((samples >> 8).astype(np.uint8), (samples & 0xFF).astype(np.uint8))
        if transparent is not None:
            eight = np.stack([eight, (samples != np.uint16(transparent)) * np.uint8(255)], axis=-1)
        rows.append(eight)
    return Image.fromarray(np.concatenate(rows), "L" if transparent is None else "LA")


def _rounded(high: _Eight, low: _Eight) -> _Eight:
    """Return the nearest of 8 bits for samples of 16 bits, which are their high byte plus 1/257 of the difference."""
    difference = low.astype(np.int16) - high
    return high + (difference > 128).astype(np.uint8) - (difference < -128).astype(np.uint8)


def _bands(image: Image.Image) -> Iterator[Image.Image]:
    """Yield a picture in bands of a few rows, from the top."""
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def _rawmode(tile: Tile) -> str:
    return tile.args if isinstance(tile.args, str) else str((tile.args or [""])[0])


def _of_low_bytes(tile: Tile) -> Tile:
    low = _rawmode(tile).removesuffix(_DEEP) + _LOW_BYTES
    return tile._replace(args=low if isinstance(tile.args, str) else (low, *(tile.args or ())[1:]))
