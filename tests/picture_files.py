"""Encoded pictures for the tests."""

import io
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90,
}
"""For each orientation of EXIF, what turns the pixels `(H, W, C)` that are stored upright."""


def encoded(image: Image.Image, format: str = "png", **options: object) -> bytes:  # noqa: A002
    """Return an image as a file of a format, written with Pillow's options for it."""
    buffer = io.BytesIO()
    image.save(buffer, format.upper(), **options)
    return buffer.getvalue()


def plain_png(red: int, width: int = 20, height: int = 16) -> bytes:
    """Return a picture of one colour, with a level of red from 0 to 255."""
    return encoded(Image.new("RGB", (width, height), (red, 80, 80)))


def turned(orientation: int) -> Image.Exif:
    """Return EXIF that says how a picture is turned, from 1 to 8."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def damaged(file: bytes, count: int) -> Iterator[bytes]:
    """Yield so many copies of a file, in each of which one to four bytes are others; they are the same every time."""
    random = np.random.default_rng(0)
    whole = np.frombuffer(file, np.uint8)
    for _ in range(count):
        copy = whole.copy()
        positions = random.integers(0, len(copy), random.integers(1, 5))
        copy[positions] ^= random.integers(1, 256, len(positions)).astype(np.uint8)
        yield copy.tobytes()
