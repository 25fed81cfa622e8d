"""Photos from a folder or a tar, decoded once into one tensor."""

import hashlib
import io
import logging
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from trainer.errors import BadPhotos

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
_log = logging.getLogger(__name__)


class Photos(NamedTuple):
    """Square photos of one size: uint8 RGB, `(N, 3, S, S)`."""

    train: Tensor
    held_out: Tensor
    """Photos that training never sees; the same ones for the same set of names."""
    skipped: tuple[str, ...]
    """Files that could not be read, by name."""

    @property
    def description(self) -> str:
        """One line for the card."""
        size = self.train.shape[-1]
        return f"{len(self.train)} photos of {size}×{size}, {len(self.held_out)} more held out"


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
    """Each photo cut, unscaled, into as many squares of `size` as fit (for super-resolution).

    Arguments and errors as for `load_crops`; photos smaller than a square are skipped.
    """

    def tiles(photo: Image.Image) -> Iterator[Image.Image]:
        for top in range(0, photo.height - size + 1, size):
            for left in range(0, photo.width - size + 1, size):
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
    except (OSError, SyntaxError, ValueError) as error:
        raise BadPhotos(f"cannot read the picture {path}: {error}") from error
    if shorter_side is not None:
        scale = shorter_side / min(picture.size)
        size = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return _to_tensor(picture)[None] / 255


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
    squares: dict[str, list[Tensor]] = {}
    skipped = []
    for name, data in _files(source):
        try:
            pieces = [_to_tensor(piece) for piece in cut(_upright_rgb(data))]
        except (OSError, SyntaxError, ValueError) as error:
            _log.warning("skipped %s: %s", name, error)
            skipped.append(name)
            continue
        if pieces:
            squares[name] = pieces
        else:
            _log.warning("skipped %s: too small", name)
            skipped.append(name)
    if len(squares) <= held_out:
        raise BadPhotos(
            f"{source} has {len(squares)} usable photos ({len(skipped)} skipped), and {held_out} are to be held out: "
            "give it more photos"
        )
    shuffled = sorted(squares, key=lambda name: hashlib.sha256(name.encode()).digest())
    kept = [piece for name in shuffled[held_out:] for piece in squares[name]]
    held = [piece for name in shuffled[:held_out] for piece in squares[name]]
    return Photos(torch.stack(kept), torch.stack(held) if held else torch.stack(kept)[:0], tuple(skipped))


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the picture files, by name."""
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() in _SUFFIXES and path.is_file():
                yield path.relative_to(source).as_posix(), path.read_bytes()
        return
    try:
        with tarfile.open(source) as archive:
            members = [member for member in archive if member.isfile()]
            for member in sorted(members, key=lambda member: member.name):
                file = archive.extractfile(member)
                if file is not None and Path(member.name).suffix.lower() in _SUFFIXES:
                    yield member.name, file.read()
    except (OSError, tarfile.TarError) as error:
        raise BadPhotos(f"cannot read photos from {source}: it is neither a folder nor a tar ({error})") from error


def _upright_rgb(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as opened:
        picture = ImageOps.exif_transpose(opened)
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        return picture.convert("RGB")


def _to_tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
