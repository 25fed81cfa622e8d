"""One root of the store: a folder of models on any file system that fsspec knows.

A version exists as soon as its `card.json` does. On a local root it is written aside and renamed into place; on an
object store, which cannot rename, the card is written last. Either way no reader sees half a model.
"""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem
from pydantic import ValidationError

from model_store.card import NAME_PATTERN, Card, Task
from model_store.errors import DamagedModel, StoreError

BUNDLED = Path(__file__).parent / "bundled"
"""The folder of the models that come with the package."""

_STAGING = ".publishing-"
"""Beginning of the names of the folders in which versions are written aside."""
_WEIGHTS, _CARD, _PREVIEW = "model.safetensors", "card.json", "preview.jpg"


class Root:
    """A folder of models, whose files are `<url>/<task>/<name>/<version>/…`.

    Args:
        url: A path, in which `~` is expanded, or an fsspec URL.

    Raises:
        StoreError: The kind of URL is unknown, or the package that it needs is missing.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self._filesystem, path = fsspec.url_to_fs(os.path.expanduser(url))
        except ImportError as error:
            raise StoreError(f"cannot open the store {url}: {error}, with: pip install 'impasto[remote]'") from error
        except ValueError as error:
            raise StoreError(f"cannot open the store {url}: {error}") from error
        self._path = str(path).rstrip("/")

    def entries(self, *parts: str) -> list[str]:
        """Return the names of the files and folders in a folder of the root; none if there is no such folder."""
        self._filesystem.invalidate_cache()
        try:
            paths: Sequence[str] = self._filesystem.ls(self._join(*parts), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [path.rstrip("/").rsplit("/", 1)[-1] for path in paths]

    def names(self, task: Task) -> list[str]:
        """Return the names of the models that have a complete version, sorted."""
        names = (name for name in self.entries(task) if re.fullmatch(NAME_PATTERN, name))
        return sorted(name for name in names if self.versions(task, name))

    def taken(self, task: Task, name: str) -> list[int]:
        """Return the version numbers that are in use, also those of incomplete versions."""
        return [int(entry) for entry in self.entries(task, name) if re.fullmatch(r"[1-9][0-9]*", entry)]

    def versions(self, task: Task, name: str) -> list[int]:
        """Return the complete versions of a model, in any order."""
        return [
            version
            for version in self.taken(task, name)
            if self._filesystem.exists(self._join(task, name, str(version), _CARD))
        ]

    def card(self, task: Task, name: str, version: int) -> Card:
        """Read the card of a version and check that it is this version's.

        Raises:
            DamagedModel: The card cannot be read, or is another model's.
        """
        place = f"{task}/{name}@{version}"
        try:
            card = Card.model_validate_json(self._filesystem.cat_file(self._join(task, name, str(version), _CARD)))
        except (OSError, ValidationError) as error:
            raise DamagedModel(f"the card of {place} cannot be read: {error}") from error
        if (card.task, card.name, card.version) != (task, name, version):
            raise DamagedModel(f"the card in {place} is that of {card.task}/{card.label}")
        return card

    def weights(self, card: Card) -> bytes:
        """Read the file of the weights, without checking it.

        Raises:
            DamagedModel: The file cannot be read.
        """
        try:
            content: bytes = self._filesystem.cat_file(self._join(card.task, card.name, str(card.version), _WEIGHTS))
        except OSError as error:
            raise DamagedModel(f"the weights of {card.task}/{card.label} cannot be read: {error}") from error
        return content

    def size(self, card: Card) -> int:
        """Return the size of the weights in bytes.

        Raises:
            DamagedModel: The weights are missing.
        """
        try:
            return int(self._filesystem.size(self._join(card.task, card.name, str(card.version), _WEIGHTS)) or 0)
        except OSError as error:
            raise DamagedModel(f"the weights of {card.task}/{card.label} cannot be read: {error}") from error

    def preview(self, task: Task, name: str, version: int) -> bytes | None:
        """Read the preview, a JPEG, or return None if there is none."""
        try:
            content: bytes = self._filesystem.cat_file(self._join(task, name, str(version), _PREVIEW))
        except FileNotFoundError:
            return None
        return content

    def write(self, card: Card, weights: bytes, preview: bytes | None) -> None:
        """Write a version so that readers see all of it or nothing.

        Args:
            card: The card, whose version must be free.
            weights: The file of the weights.
            preview: A JPEG, or None.

        Raises:
            FileExistsError: The version exists.
            OSError: The root cannot be written to.
        """
        files = {_WEIGHTS: weights}
        if preview is not None:
            files[_PREVIEW] = preview
        files[_CARD] = card.model_dump_json(indent=2, exclude_none=True).encode() + b"\n"
        if isinstance(self._filesystem, LocalFileSystem):
            self._write_locally(card, files)
            return
        for name, content in files.items():
            path = self._join(card.task, card.name, str(card.version), name)
            self._filesystem.pipe_file(path, content, mode="create")

    def check_writable(self) -> None:
        """Try to make a folder, if the root is local; other roots are not checked.

        Raises:
            OSError: The root cannot be written to.
        """
        if isinstance(self._filesystem, LocalFileSystem):
            with staging_folder(Path(self._path)):
                pass

    def _write_locally(self, card: Card, files: dict[str, bytes]) -> None:
        destination = Path(self._path, card.task, card.name, str(card.version))
        with staging_folder(Path(self._path)) as staging:
            for name, content in files.items():
                (staging / name).write_bytes(content)
            destination.parent.mkdir(parents=True, exist_ok=True)
            try:
                staging.rename(destination)
            except OSError as error:
                if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise FileExistsError(destination) from error
                raise

    def _join(self, *parts: str) -> str:
        return "/".join((self._path, *parts))


@contextlib.contextmanager
def staging_folder(root: Path) -> Iterator[Path]:
    """Make a folder in a root, and remove it at the end of the `with` block unless it was renamed.

    A publisher holds a lock on its folder for as long as it lives. So folders that were left by publishers that were
    killed are known, and removed, where the file system has locks.

    Raises:
        OSError: The root cannot be written to.
    """
    with contextlib.suppress(FileExistsError):
        root.mkdir(parents=True)
    with contextlib.ExitStack() as locked:
        with _opened(root) as descriptor:  # nobody removes a folder before its publisher has locked it
            _lock(descriptor)
            for each in root.glob(f"{_STAGING}*"):
                _remove_if_abandoned(each)
            folder = root / f"{_STAGING}{uuid.uuid4().hex}"
            folder.mkdir()
            _lock(locked.enter_context(_opened(folder)))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_if_abandoned(folder: Path) -> None:
    with contextlib.suppress(OSError), _opened(folder) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)


def _lock(descriptor: int) -> None:
    """Wait for the lock of a folder, which is given back when it is closed or the process ends."""
    with contextlib.suppress(OSError):  # some file systems have no locks: then nothing is ever removed either
        fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
