"""Which pictures are to be made, and where they go."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from model_store.errors import ImpastoError
from model_store.suggestion import did_you_mean
from service.client.options import Format

FORMATS: dict[str, Format] = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp", ".avif": "avif"}
"""Of the suffixes of files that can be made."""
_ANSWERS: dict[str, Format] = FORMATS | {".tif": "png", ".tiff": "png", ".gif": "png", ".heic": "jpeg", ".heif": "jpeg"}
"""The formats of what is made of pictures with these suffixes, if no other is asked for."""
_SUFFIXES: dict[Format, str] = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "avif": ".avif"}


class PictureJob(NamedTuple):
    """One picture, and the file that is to be made of it."""

    picture: Path
    output: Path

    @property
    def format(self) -> Format:
        """Of the file."""
        return FORMATS[self.output.suffix.lower()]


class WorkList(NamedTuple):
    """All that is to be done."""

    jobs: list[PictureJob]
    left_out: Counter[str]
    """How many files of folders are no pictures, by suffix."""


def list_work(arguments: Sequence[str], output: str, format: Format = "auto") -> WorkList:  # noqa: A002
    """Finds the pictures, and a place for each.

    Args:
        arguments: pictures, folders (with all below them that is not hidden) and globs (`**` is any folders).
        output: a file for one picture, or a folder. The tree below a folder, or below what is fixed of a glob, is kept
            in it.
        format: that of the files; `auto` is that of their suffix, or else of the picture's.

    Raises:
        FileNotFoundError: an argument stands for nothing; has a message for the user.
        ImpastoError: the pictures cannot be written there.
    """
    folder = Path(output)
    left_out: Counter[str] = Counter()
    found = [each for argument in arguments for each in _find(argument, folder, left_out)]
    is_one_file = len(arguments) == 1 and Path(arguments[0]).is_file()
    if is_one_file and folder.suffix and not folder.is_dir() and not output.endswith(os.sep):
        return WorkList([PictureJob(found[0][0], _checked_file(folder, format))], left_out)
    if folder.suffix.lower() in FORMATS and not folder.is_dir():
        raise ImpastoError(f"several pictures cannot be written to the file {output}: give a folder, as in -o out/")
    if not found:
        raise ImpastoError(f"there are no pictures in {', '.join(arguments)}: their names end in {', '.join(_ANSWERS)}")
    jobs = list(dict.fromkeys(PictureJob(picture, folder / _named(place, format)) for picture, place in found))
    _check_distinct(jobs)
    return WorkList(jobs, left_out)


def _find(argument: str, output: Path, left_out: Counter[str]) -> Iterator[tuple[Path, Path]]:
    """Each picture that an argument stands for, with its place in the output."""
    path = Path(argument)
    if path.is_dir():
        for picture in _pictures_below(path, output, left_out):
            yield picture, picture.relative_to(path)
    elif path.exists():
        yield path, Path(path.name)
    elif glob.has_magic(argument):
        matches = [Path(match) for match in sorted(glob.glob(argument, recursive=True)) if os.path.isfile(match)]
        if not matches:
            raise FileNotFoundError(f"no file matches {argument}")
        base = _fixed_part(path)
        for match in matches:
            if match.suffix.lower() not in _ANSWERS:
                left_out[match.suffix.lower()] += 1
            elif output.resolve() not in match.resolve().parents:
                yield match, match.relative_to(base)
    else:
        names = os.listdir(path.parent) if path.parent.is_dir() else []
        raise FileNotFoundError(f"there is no file {argument}{did_you_mean(path.name, names)}")


def _pictures_below(folder: Path, output: Path, left_out: Counter[str]) -> Iterator[Path]:
    """Those that are not hidden, nor made before."""
    made = output.resolve()
    for parent, folders, names in os.walk(folder):
        place = Path(parent)
        folders[:] = sorted(each for each in folders if not each.startswith(".") and (place / each).resolve() != made)
        for name in sorted(name for name in names if not name.startswith(".")):
            path = place / name
            if path.suffix.lower() in _ANSWERS:
                yield path
            else:
                left_out[path.suffix.lower()] += 1


def _fixed_part(pattern: Path) -> Path:
    """The folder above all wildcards of a glob."""
    return next(parent for parent in pattern.parents if not glob.has_magic(str(parent)))


def _named(place: Path, format: Format) -> Path:  # noqa: A002
    """The name of what is made, with a suffix of its format; PNG where the picture has none that we write."""
    suffix = place.suffix.lower()
    made = _ANSWERS.get(suffix, "png") if format == "auto" else format
    return place if FORMATS.get(suffix) == made else place.with_suffix(_SUFFIXES[made])


def _checked_file(file: Path, format: Format) -> Path:  # noqa: A002
    written_as = FORMATS.get(file.suffix.lower())
    if written_as is None:
        raise ImpastoError(f"cannot write {file.name}: end its name in .jpg, .png, .webp or .avif")
    if format not in {"auto", written_as}:
        raise ImpastoError(f"{file.name} would not be {format.upper()}: end its name in {_SUFFIXES[format]}")
    if not file.parent.is_dir():
        raise ImpastoError(f"cannot write {file}: there is no folder {file.parent}")
    return file


def _check_distinct(jobs: Sequence[PictureJob]) -> None:
    pictures = {job.picture.resolve() for job in jobs}
    makers: dict[Path, Path] = {}
    for picture, output in jobs:
        if output.resolve() in pictures:
            raise ImpastoError(f"{output} is a picture to read, and would be written to: give another folder")
        if makers.setdefault(output, picture) != picture:
            raise ImpastoError(
                f"{makers[output]} and {picture} would both become {output}: do them one after the other"
            )
