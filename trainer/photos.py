"""Photos from a folder or a tar, decoded once into one tensor."""

import hashlib
import io
import logging
import lzma
import math
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from trainer.errors import BadPhotos

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff"}
_TILES_PER_PHOTO = 16
_log = logging.getLogger(__name__)


class Photos(NamedTuple):
    """Square photos of one size: uint8 RGB, `(N, 3, S, S)`."""

    train: Tensor
    held_out: Tensor
    """Photos that training never sees: the first by the sha256 of their files, whatever they are called."""
    skipped: tuple[str, ...]
    """Files that could not be read, by name."""

    @property
    def description(self) -> str:
        """One line for the card."""
        size = self.train.shape[-1]
        return f"{len(self.train)} squares of {size}×{size} from photos, {len(self.held_out)} more held out"

    @property
    def summary(self) -> str:
        """One line for the person who trains."""
        names = ", ".join(self.skipped[:5]) + (", …" if len(self.skipped) > 5 else "")
        skipped = f"; skipped {len(self.skipped)} files: {names}" if self.skipped else ""
        return f"{self.description}{skipped}"

    @property
    def sha256(self) -> str:
        """Of the pixels trained on."""
        return hashlib.sha256(self.train.numpy().data).hexdigest()


def load_crops(source: Path, size: int, held_out: int = 0) -> Photos:
    """Each photo scaled so that its shorter side is `size`, and its middle square cut out (for style training).

    Args:
        source: a folder, searched through, or a tar.
        size: side of the square in pixels.
        held_out: how many photos to keep from training.

    Raises:
        BadPhotos: no such source, or no more than `held_out` usable photos in it.
    """
    return _load(source, held_out, lambda photo: [ImageOps.fit(photo, (size, size), Image.Resampling.LANCZOS)])


def load_tiles(source: Path, size: int, held_out: int = 0) -> Photos:
    """Up to 16 squares of `size` cut, unscaled, out of each photo, evenly spread (for super-resolution).

    Arguments and errors as for `load_crops`; photos smaller than a square are skipped.
    """

    def tiles(photo: Image.Image) -> Iterator[Image.Image]:
        corners = [
            (left, top)
            for top in range(0, photo.height - size + 1, size)
            for left in range(0, photo.width - size + 1, size)
        ]
        for left, top in corners[:: max(1, math.ceil(len(corners) / _TILES_PER_PHOTO))]:
            yield photo.crop((left, top, left + size, top + size))

    return _load(source, held_out, tiles)


def load_picture(path: Path, shorter_side: int | None = None) -> Tensor:
    """One picture as float RGB in [0, 1], `(1, 3, H, W)`, upright; alpha is laid over white.

    Args:
        path: any format that Pillow reads.
        shorter_side: scale to this many pixels, keeping the proportions.

    Raises:
        BadPhotos: it cannot be read.
    """
    try:
        picture = _upright_rgb(path.read_bytes())
    except Exception as error:  # decoders raise anything on broken files
        raise BadPhotos(f"cannot read the picture {path}: {_reason(error)}") from error
    if shorter_side is not None:
        scale = shorter_side / min(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return _to_tensor(picture)[None] / 255


def sha256_of(path: Path) -> str:
    """Of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def list_pictures(folder: Path) -> list[Path]:
    """The picture files directly in a folder, by name.

    Raises:
        BadPhotos: there is no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise BadPhotos(f"there is no folder {folder}")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise BadPhotos(f"there are no pictures in {folder}")
    return paths


def _load(source: Path, held_out: int, cut: Callable[[Image.Image], Iterable[Image.Image]]) -> Photos:
    squares: dict[bytes, list[Tensor]] = {}
    skipped = []
    for name, data in _files(source):
        try:
            pieces = [_to_tensor(piece) for piece in cut(_upright_rgb(data))]
        except Exception as error:  # as above
            _log.warning("skipped %s: %s", name, _reason(error))
            skipped.append(name)
            continue
        if pieces:
            squares[hashlib.sha256(data).digest()] = pieces
        else:
            _log.warning("skipped %s: too small", name)
            skipped.append(name)
    if len(squares) <= held_out:
        raise BadPhotos(
            f"{source} has {len(squares)} usable photos ({len(skipped)} skipped), and {held_out} are to be held out: "
            "give it more photos"
        )
    shuffled = sorted(squares)
    kept = torch.stack([piece for digest in shuffled[held_out:] for piece in squares[digest]])
    held = [piece for digest in shuffled[:held_out] for piece in squares[digest]]
    return Photos(kept, torch.stack(held) if held else torch.empty_like(kept[:0]), tuple(skipped))


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the picture files."""
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() in _SUFFIXES and path.is_file():
                yield path.relative_to(source).as_posix(), path.read_bytes()
        return
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                file = archive.extractfile(member) if Path(member.name).suffix.lower() in _SUFFIXES else None
                if file is not None:
                    yield member.name, file.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        raise BadPhotos(f"cannot read photos from {source}: it is neither a folder nor a whole tar") from error


def _upright_rgb(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as opened:
        picture = ImageOps.exif_transpose(opened)
        if picture.mode.startswith("I"):
            picture = Image.fromarray((np.asarray(picture, dtype=np.uint32) >> 8).astype(np.uint8))
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        return picture.convert("RGB")


def _reason(error: Exception) -> str:
    return "it is not a picture" if isinstance(error, UnidentifiedImageError) else str(error)


def _to_tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
