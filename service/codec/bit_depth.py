"""The conversion of every kind of pixel, such as 16-bit, float and palette, to 8 bits a channel."""

import io
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

Tile = ImageFile._Tile
_Samples = npt.NDArray[np.uint16]

_KEPT = ("L", "LA", "RGB", "RGBA", "CMYK", "LAB")
"""Modes of Pillow that need no conversion."""
_LOW_BYTES = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if sys.byteorder == "little" else ";16L"}
"""The opposite of each byte order. Pillow keeps only the high byte of each sample, so that with the opposite order it
reads the low byte."""
_OPAQUE = np.uint16(0xFFFF)
_CEILINGS = (1, 0xFF, 0xFFFF, 0xFFFF_FFFF)
"""The values that may stand for white where a format does not fix one."""


def load(image: ImageFile.ImageFile, data: bytes) -> Image.Image:
    """Decompress the first frame of a file to 8 bits a channel.

    Samples of 16 bits become the nearest of 8 bits. Samples without a fixed range, such as those of float TIFFs, are
    scaled so that white is the smallest of 1 (for floats only), 255, 65,535 and 2³² - 1 that none of them exceeds.

    Args:
        image: A file that was opened with Pillow and not loaded.
        data: The bytes of the file.

    Returns:
        An image of mode L, LA, RGB, RGBA, CMYK or LAB.

    Raises:
        Exception: The file is broken; Pillow's decoders raise exceptions of many kinds.
    """
    rawmode = _rawmode(image.tile[0]) if image.tile else ""
    if image.mode in _KEPT and rawmode[-4:] in _LOW_BYTES and not rawmode.startswith("RGBa"):
        return _load_deep(image, rawmode, data)
    image.load()
    if image.mode.startswith("I;16"):
        return _deep_grey(np.asarray(image).astype(np.uint16), image.info.get("transparency"))
    if image.mode in ("I", "F"):
        return _of_any_range(np.asarray(image))
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
        pairs = np.ascontiguousarray(image)
        return _image("LA", pairs.view(">u2"))
    with Image.open(io.BytesIO(data), formats=[image.format or ""]) as low:
        low.tile = [_of_low_bytes(tile) for tile in low.tile]
        low.load()
        image.load()
        samples = np.asarray(image).astype(np.uint16) << 8 | np.asarray(low)
    transparent = image.info.get("transparency")
    if transparent is None:
        return _image(image.mode, samples)
    opaque = (samples != np.array(transparent, np.uint16)).any(axis=-1, keepdims=True)
    return _image("RGBA", np.concatenate([samples, _OPAQUE * opaque], axis=-1))


def _deep_grey(samples: _Samples, transparent: int | None) -> Image.Image:
    if transparent is None:
        return _image("L", samples)
    return _image("LA", np.stack([samples, _OPAQUE * (samples != np.uint16(transparent))], axis=-1))


def _of_any_range(samples: npt.NDArray[Any]) -> Image.Image:
    finite = np.nan_to_num(samples.astype(np.float64), nan=0, posinf=0, neginf=0)
    ceilings = _CEILINGS if samples.dtype.kind == "f" else _CEILINGS[1:]
    ceiling = next((each for each in ceilings if finite.max() <= each), ceilings[-1])
    return Image.fromarray((finite / ceiling * 255).clip(0, 255).round().astype(np.uint8))


def _image(mode: str, samples: _Samples) -> Image.Image:
    height, width = samples.shape[:2]
    return Image.frombytes(mode, (width, height), ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8).tobytes())


def _rawmode(tile: Tile) -> str:
    return tile.args if isinstance(tile.args, str) else str((tile.args or [""])[0])


def _of_low_bytes(tile: Tile) -> Tile:
    rawmode = _rawmode(tile)
    low = rawmode[:-4] + _LOW_BYTES[rawmode[-4:]]
    return tile._replace(args=low if isinstance(tile.args, str) else (low, *(tile.args or ())[1:]))
