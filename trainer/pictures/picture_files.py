"""Picture files that hold results: checking that they can be written, and writing them."""

import io
import tempfile
from pathlib import Path

from PIL import Image

from trainer.errors import BadOutput

_JPEG_QUALITY = 95


def check_output(path: Path) -> None:
    """Make sure, before long work, that a picture can be written.

    Raises:
        BadOutput: The suffix names no picture format, or the folder cannot be written to.
    """
    picture_format = Image.registered_extensions().get(path.suffix.lower(), "")
    try:
        Image.new("RGB", (16, 16)).save(io.BytesIO(), picture_format)
    except (KeyError, ValueError, OSError) as error:
        raise BadOutput(f"cannot write {path}: use a suffix of a format for pictures, as in .png or .jpg") from error
    if path.is_dir():
        raise BadOutput(f"cannot write {path}: it is a folder")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise BadOutput(f"cannot write {path}: {error.strerror}: {path.parent}") from error


def save(picture: Image.Image, path: Path, *, quality: int = _JPEG_QUALITY) -> None:
    """Write a picture in the format that the suffix names, with a quality of 1 to 100 where the format has one.

    Raises:
        BadOutput: The file cannot be written, as on a full disk.
    """
    try:
        picture.save(path, quality=quality)
    except (ValueError, OSError) as error:
        raise BadOutput(f"cannot write {path}: {error}") from error


def beside(path: Path, number: int) -> Path:
    """Return the path of a numbered picture beside another, as in `out-000100.png` beside `out.png`."""
    return path.with_stem(f"{path.stem}-{number:06}")
