"""Photos in folders, tars and WebDataset shards: finding them, telling them apart by their contents, decoding them."""

import hashlib
import io
import logging
import lzma
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from trainer.errors import BadPhotos

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff"}
_ORIENTATION, _ON_ITS_SIDE = 0x0112, {5, 6, 7, 8}
_log = logging.getLogger(__name__)


class PhotoFile(NamedTuple):
    """A photo in a file of its own, or in a tar."""

    name: str
    """Path of the file in its folder, or name of the tar and path of the member in it."""
    sha256: bytes
    """SHA-256 of the contents of the file."""
    size: tuple[int, int]
    """Width and height of the upright photo, in pixels."""
    path: Path
    """Path of the file or of the tar."""
    offset: int
    """Position of the photo's first byte there."""
    length: int
    """Number of bytes of the photo."""
    data: bytes | None
    """Contents of the photo where it cannot be read again by itself, as in a compressed tar; else None."""

    def decode(self) -> Image.Image:
        """Return the photo as upright RGB; a transparent one is laid over white.

        Raises:
            Exception: The file is broken; decoders raise errors of many types.
        """
        if self.data is not None:
            return _upright_rgb(self.data)
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return _upright_rgb(file.read(self.length))


class Found(NamedTuple):
    """The photos that were found in some sources, and the files that are no pictures."""

    photos: list[PhotoFile]
    """Photos ordered by their SHA-256, so that the order depends neither on names nor on packaging; each only once."""
    skipped: dict[str, str]
    """Reasons why other files cannot be read as pictures, keyed by name."""


def find_photos(sources: Iterable[str | Path]) -> Found:
    """Find photos and read their sizes, without decoding them.

    Args:
        sources: Folders, which are searched for pictures and tars; tars; or patterns of tars as in
            `shards/train-{000..041}.tar` (WebDataset).

    Raises:
        BadPhotos: A source does not exist, or a tar is broken.
    """
    photos: dict[bytes, PhotoFile] = {}
    skipped = {}
    for source in sources:
        for path in _expand_braces(str(source)):
            for name, data, place in _files(Path(path)):
                try:
                    size = _upright_size(data)
                except Exception as error:  # decoders raise anything on broken files
                    _log.warning("skipped %s: %s", name, reason(error))
                    skipped[name] = reason(error)
                    continue
                sha256 = hashlib.sha256(data).digest()
                kept = data if place.is_compressed else None
                photos[sha256] = PhotoFile(name, sha256, size, place.path, place.offset, len(data), kept)
    return Found([photos[key] for key in sorted(photos)], skipped)


def load_picture(path: Path, shorter_side: int | None = None, *, longest_side: int | None = None) -> Tensor:
    """Read one picture as float RGB in [0, 1], `(1, 3, H, W)`, upright; a transparent one is laid over white.

    Args:
        path: Path of a file in any format that Pillow reads.
        shorter_side: Number of pixels that the shorter side is scaled to; the proportions stay.
        longest_side: Number of pixels that the longer side of a larger picture is shrunk to; the proportions stay.

    Raises:
        BadPhotos: The file cannot be read.
    """
    try:
        picture = _upright_rgb(path.read_bytes())
    except Exception as error:  # decoders raise anything on broken files
        raise BadPhotos(f"cannot read the picture {path}: {reason(error)}") from error
    if shorter_side is not None:
        scale = shorter_side / min(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    if longest_side is not None:
        picture.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    return to_tensor(picture)[None] / 255


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def list_pictures(folder: Path) -> list[Path]:
    """Return the paths of the picture files directly in a folder, sorted by name.

    Raises:
        BadPhotos: The folder does not exist, or has no picture in it.
    """
    if not folder.is_dir():
        raise BadPhotos(f"there is no folder {folder}")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise BadPhotos(f"there are no pictures in {folder}")
    return paths


def reason(error: Exception) -> str:
    """Return the reason why a picture cannot be read, from the error that its decoder raised."""
    return "it is not a picture" if isinstance(error, UnidentifiedImageError) else str(error)


def to_tensor(picture: Image.Image) -> Tensor:
    """Return an RGB picture as a uint8 tensor, `(3, H, W)`."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


class _Place(NamedTuple):
    """The place of a photo in a file."""

    path: Path
    offset: int
    is_compressed: bool


def _expand_braces(source: str) -> Iterator[str]:
    """Yield `a-08.tar`, `a-09.tar` and `a-10.tar` for `a-{08..10}.tar`, and a source without braces as it is."""
    match = re.search(r"\{(\d+)\.\.(\d+)\}", source)
    if match is None:
        yield source
        return
    first, last = match.groups()
    for number in range(int(first), int(last) + 1):
        yield from _expand_braces(f"{source[: match.start()]}{number:0{len(first)}}{source[match.end() :]}")


def _files(source: Path) -> Iterator[tuple[str, bytes, _Place]]:
    """Yield the name, the contents and the place of each picture file in a source."""
    if not source.is_dir():
        yield from _members(source)
        return
    for path in sorted(source.rglob("*")):
        if path.suffix.lower() in _SUFFIXES and path.is_file():
            yield path.relative_to(source).as_posix(), path.read_bytes(), _Place(path, 0, is_compressed=False)
        elif path.suffix.lower() == ".tar":
            yield from _members(path)


def _members(path: Path) -> Iterator[tuple[str, bytes, _Place]]:
    try:
        with tarfile.open(path) as archive:
            is_compressed = not isinstance(archive.fileobj, io.BufferedReader)
            for member in archive:
                file = archive.extractfile(member) if Path(member.name).suffix.lower() in _SUFFIXES else None
                if file is not None:
                    yield f"{path.name}/{member.name}", file.read(), _Place(path, member.offset_data, is_compressed)
    except (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise BadPhotos(f"cannot read photos from {path}: it is neither a folder nor a whole tar") from error


def _upright_size(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as picture:
        width, height = picture.size
        return (height, width) if picture.getexif().get(_ORIENTATION) in _ON_ITS_SIDE else (width, height)


def _upright_rgb(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as opened:
        picture = ImageOps.exif_transpose(opened)
        if picture.mode.startswith("I"):
            picture = Image.fromarray((np.asarray(picture, dtype=np.uint32) >> 8).astype(np.uint8))
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        return picture.convert("RGB")
