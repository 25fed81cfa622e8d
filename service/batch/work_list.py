"""The work list of a batch: which pictures and films become which files."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from model_store.errors import ImpastoError
from model_store.suggestion import did_you_mean
from service.client.options import Format
from service.video import encoding

FORMATS: dict[str, Format] = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".webp": "webp", ".avif": "avif"}
"""The formats of the files that can be written, by their suffixes."""
_ANSWERS: dict[str, Format] = FORMATS | {
    **dict.fromkeys((".jfif", ".jpe", ".heic", ".heif"), "jpeg"),
    **dict.fromkeys((".tif", ".tiff", ".gif", ".bmp"), "png"),
}
"""The formats in which pictures with these suffixes are written if no other format is asked for."""
SUFFIXES: dict[Format, str] = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "avif": ".avif"}
"""The suffixes of new files, by their formats."""
_FILM_SUFFIX = ".mp4"
"""The suffix of films whose own kind of file is not written."""


class PictureJob(NamedTuple):
    """A picture or a film, and the file that is to be made from it."""

    picture: Path
    output: Path

    @property
    def is_film(self) -> bool:
        """Whether a film is to be made."""
        return _is_film_file(self.output)

    @property
    def format(self) -> Format:
        """The format of the output, which its suffix says; `auto` if it has none."""
        return FORMATS.get(self.output.suffix.lower(), "auto")


class WorkList(NamedTuple):
    """The jobs that the arguments of a command stand for."""

    jobs: list[PictureJob]
    """The pictures and films to make."""
    left_out: Counter[str]
    """The number of files that were left out because they are neither pictures nor films, by suffix."""
    unreadable: tuple[str, ...] = ()
    """The folders that could not be read, each with the reason."""


def list_work(arguments: Sequence[str], output: str, format: Format = "auto") -> WorkList:  # noqa: A002
    """Find the pictures and films that the arguments stand for, and choose an output file for each.

    Args:
        arguments: Pictures, films, folders and globs. A folder stands for all pictures and films below it that are not
            hidden; in a glob, `**` stands for any number of folders.
        output: A file for one picture or film, or a folder. What is in a folder keeps its place relative to it, and
            what is in a glob its place relative to the folder above its first wildcard.
        format: The format of the pictures. `auto` takes it from the suffix of the output, or of the picture. Films
            keep their container where that is written, and become MP4 where it is not.

    Raises:
        FileNotFoundError: An argument stands for no file; the message is for the user.
        ImpastoError: The pictures cannot be written to the output.
    """
    folder = Path(output)
    search = _Search(folder)
    found = [each for argument in arguments for each in search.find(argument)]
    left_out = Counter(path.suffix.lower() for path in search.left_out)
    is_one_file = len(arguments) == 1 and Path(arguments[0]).is_file()
    if is_one_file and folder.suffix and not folder.is_dir() and not output.endswith(os.sep):
        return WorkList([PictureJob(found[0][0], _checked_file(found[0][0], folder, format))], left_out)
    if (folder.suffix.lower() in FORMATS or _is_film_file(folder)) and not folder.is_dir():
        raise ImpastoError(f"several pictures cannot be written to the file {output}: give a folder, as in -o out/")
    if not found:
        reasons = f" ({'; '.join(search.unreadable)})" if search.unreadable else ""
        raise ImpastoError(
            f"there are no pictures and no films in {', '.join(arguments)}: their names end in "
            f"{', '.join([*_ANSWERS, *sorted(encoding.SUFFIXES)])}{reasons}"
        )
    distinct = list(dict.fromkeys(found))
    sharing = Counter(_named(place, format) for _, place in distinct)
    jobs = [
        PictureJob(picture, folder / _named(place, format, keep_suffix=sharing[_named(place, format)] > 1))
        for picture, place in distinct
    ]
    _check_distinct(jobs)
    return WorkList(jobs, left_out, tuple(search.unreadable))


class _Search:
    """The search for pictures, which remembers what it leaves out.

    Args:
        output: The folder of the outputs, in which no pictures are looked for.
    """

    def __init__(self, output: Path) -> None:
        self._output = output.resolve()
        self.left_out: set[Path] = set()
        self.unreadable: list[str] = []

    def find(self, argument: str) -> Iterator[tuple[Path, Path]]:
        """Yield each picture that an argument stands for, with its path relative to the output folder."""
        path = Path(argument)
        if path.is_dir():
            for picture in self._below(path):
                yield picture, picture.relative_to(path)
        elif path.exists():
            yield path, Path(path.name)
        elif glob.has_magic(argument):
            matches = [Path(match) for match in sorted(glob.glob(argument, recursive=True)) if os.path.isfile(match)]
            if not matches:
                raise FileNotFoundError(f"no file matches {argument}")
            base = _fixed_part(path)
            for match in matches:
                if self._output not in match.resolve().parents and self._is_picture(match):
                    yield match, match.relative_to(base)
        else:
            names = os.listdir(path.parent) if path.parent.is_dir() else []
            raise FileNotFoundError(f"there is no file {argument}{did_you_mean(path.name, names)}")

    def _below(self, folder: Path) -> Iterator[Path]:
        """Yield the pictures below a folder, without hidden ones and without what lies in the output folder."""
        for parent, folders, names in os.walk(folder, onerror=self._remember):
            place = Path(parent)
            folders[:] = sorted(
                each for each in folders if not each.startswith(".") and (place / each).resolve() != self._output
            )
            for name in sorted(name for name in names if not name.startswith(".")):
                if self._is_picture(place / name):
                    yield place / name

    def _is_picture(self, path: Path) -> bool:
        is_picture = path.suffix.lower() in _ANSWERS or path.suffix.lower() in encoding.SUFFIXES
        if not is_picture:
            self.left_out.add(path.resolve())
        return is_picture

    def _remember(self, error: OSError) -> None:
        self.unreadable.append(f"{error.filename}: {error.strerror}")


def _fixed_part(pattern: Path) -> Path:
    """Return the folder above the first wildcard of a glob."""
    return next(parent for parent in pattern.parents if not glob.has_magic(str(parent)))


def _named(place: Path, format: Format, *, keep_suffix: bool = False) -> Path:  # noqa: A002
    """Return the output's path with the suffix of its format, which is PNG for pictures of an unknown suffix.

    A film keeps its suffix if such a file can be written.

    Args:
        place: The picture's path relative to the output folder.
        format: The format of the output files.
        keep_suffix: Whether a suffix that is not that of the format stays, as in `IMG_1.heic.jpg`, because `IMG_1.jpg`
            is another picture's.
    """
    suffix = place.suffix.lower()
    if suffix in encoding.SUFFIXES:
        is_written = suffix in encoding.CONTAINERS
        return place if is_written else place.with_name((place.name if keep_suffix else place.stem) + _FILM_SUFFIX)
    written_as = _ANSWERS.get(suffix, "png") if format == "auto" else format
    if FORMATS.get(suffix) == written_as:
        return place
    return place.with_name((place.name if keep_suffix else place.stem) + SUFFIXES[written_as])


def _is_film_file(file: Path) -> bool:
    return file.suffix.lower() in encoding.CONTAINERS


def _checked_file(picture: Path, file: Path, format: Format) -> Path:  # noqa: A002
    suffix, written = picture.suffix.lower(), file.suffix.lower()
    if suffix in encoding.SUFFIXES and not _is_film_file(file):
        raise ImpastoError(
            f"{picture.name} is a film, and {file.name} is not: end its name in {', '.join(encoding.CONTAINERS)}"
        )
    if _is_film_file(file):
        if suffix in _ANSWERS:
            raise ImpastoError(f"{picture.name} is a picture, and {file.name} is a film: end its name in .jpg or .png")
        return _in_a_folder(file)
    written_as = FORMATS.get(written)
    if written_as is None:
        raise ImpastoError(f"cannot write {file.name}: end its name in .jpg, .png, .webp or .avif")
    if format not in {"auto", written_as}:
        raise ImpastoError(f"{file.name} would not be {format.upper()}: end its name in {SUFFIXES[format]}")
    return _in_a_folder(file)


def _in_a_folder(file: Path) -> Path:
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
