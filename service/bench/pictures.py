"""The pictures that a workload sends: generated ones that compress as photos do, or files of the user."""

import io
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from model_store.errors import ImpastoError

Format = Literal["jpeg", "png", "webp"]

_DIFFERENT = 4
"""The number of different pictures generated for a size, so that no server can answer them all from one in a cache."""
_SHAPES = 8
"""The number of ellipses in a generated picture."""
_TEXTURE = 0.045
"""The standard deviation of the texture's brightness, where 1 is white; that of its colour is a fifth. It was chosen so
that files are as large as those of photos."""


class Pictures(NamedTuple):
    """Encoded pictures of one size and format."""

    name: str
    """The name in reports: the size, or the name of the file."""
    files: tuple[bytes, ...]
    media_type: str
    width: int
    """The width of each picture in pixels."""
    height: int
    """The height of each picture in pixels."""


def make(width: int, height: int, format: Format) -> Pictures:  # noqa: A002
    """Generate a few different pictures, which are the same on every call.

    Args:
        width: The width in pixels.
        height: The height in pixels.
        format: The format. JPEG has quality 90 and chroma at half the size (4:2:0), WebP has quality 90.
    """
    files = tuple(_encode(_paint(width, height, number), format) for number in range(_DIFFERENT))
    return Pictures(f"{width}×{height}", files, f"image/{format}", width, height)


def read(path: Path) -> Pictures:
    """Read a picture file of the user, which is sent as it is.

    Raises:
        ImpastoError: The file is not a picture.
        OSError: The file cannot be read.
    """
    data = path.read_bytes()
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            media_type = image.get_format_mimetype()
    except UnidentifiedImageError as error:
        raise ImpastoError(f"{path} is not a picture: give JPEG, PNG, WebP or AVIF") from error
    return Pictures(path.name, (data,), media_type or "application/octet-stream", width, height)


def _paint(width: int, height: int, number: int) -> Image.Image:
    """Paint ellipses with soft edges on a gradient, and add a texture whose spectrum falls like that of photos."""
    generator = np.random.default_rng([width, height, number])
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    top, bottom = generator.uniform(0.2, 0.9, (2, 3))
    canvas = top + (bottom - top) * rows[..., None]
    for _ in range(_SHAPES):
        (y, x), (tall, wide), softness = generator.random(2), generator.uniform(0.05, 0.4, 2), generator.uniform(2, 40)
        inside = 1 - np.hypot((rows - y) / tall, (columns - x) / wide)
        mask = 1 / (1 + np.exp(np.clip(-softness * inside, -50, 50)))
        canvas += mask[..., None] * (generator.uniform(0, 1, 3) - canvas)
    canvas += _TEXTURE * _texture(generator, height, width)[..., None]
    for channel in range(3):
        canvas[..., channel] += _TEXTURE / 5 * _texture(generator, height, width)
    return Image.fromarray((canvas.clip(0, 1) * 255).round().astype(np.uint8))


def _texture(generator: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    """Return noise with mean 0, standard deviation 1 and amplitudes inverse to frequency, `(H, W)`."""
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequencies[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(generator.standard_normal((height, width))) / frequencies, (height, width))
    return np.asarray(noise / noise.std())


def _encode(image: Image.Image, format: Format) -> bytes:  # noqa: A002
    buffer = io.BytesIO()
    if format == "jpeg":
        image.save(buffer, "JPEG", quality=90, subsampling="4:2:0")
    elif format == "webp":
        image.save(buffer, "WEBP", quality=90)
    else:
        image.save(buffer, "PNG")
    return buffer.getvalue()
