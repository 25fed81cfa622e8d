"""Encoded pictures for the tests."""

import io

from PIL import Image


def encoded(image: Image.Image, format: str = "png", **options: object) -> bytes:  # noqa: A002
    """Return an image as a file of a format, written with Pillow's options for it."""
    buffer = io.BytesIO()
    image.save(buffer, format.upper(), **options)
    return buffer.getvalue()


def plain_png(red: int, width: int = 20, height: int = 16) -> bytes:
    """Return a picture of one colour, with a level of red from 0 to 255."""
    return encoded(Image.new("RGB", (width, height), (red, 80, 80)))
