"""Films: how one is sent, and the painted film, which is read while the server makes it."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, TypeAlias

import httpx

from service.client.errors import ClientError, ConnectionFailed, TimedOut, UnexpectedAnswer

FilmSource: TypeAlias = "str | os.PathLike[str] | BinaryIO"
"""A film to send: a path, or a file opened in binary mode, which is read from its current position."""

_PIECE = 256 * 1024
"""Largest number of bytes that are read at once."""
_REQUEST_ID = "X-Request-ID"


class Upload:
    """The bytes of a film, read piece by piece from its file, again for each attempt to send them.

    Args:
        file: File that is read from its current position.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._start = file.tell()
        self.size = file.seek(0, os.SEEK_END) - self._start
        """Number of bytes."""

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(self._start)
        while piece := self._file.read(_PIECE):
            yield piece


class AsyncUpload:
    """The bytes of a film for asynchronous code.

    Args:
        upload: Bytes to send.
    """

    def __init__(self, upload: Upload) -> None:
        self._upload = upload

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = iter(self._upload)
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece


@contextmanager
def opened(film: FilmSource) -> Iterator[Upload]:
    """Open a film to be sent; a file that the caller opened is not closed.

    Raises:
        OSError: The file cannot be read.
        TypeError: The value is not a `FilmSource`.
    """
    if isinstance(film, str | os.PathLike):
        with Path(film).open("rb") as file:
            yield Upload(file)
    elif hasattr(film, "seek"):
        yield Upload(film)
    else:
        raise TypeError(f"{type(film).__name__} is no film: give a path, or a file opened in binary mode")


class _Answer:
    """The answer to a film, whose headers were read.

    Args:
        response: Response with a status of 2xx.

    Raises:
        UnexpectedAnswer: It is no film.
    """

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        media_type = response.headers.get("Content-Type", "")
        if not media_type.startswith("video/"):
            raise UnexpectedAnswer(
                f"{response.url} answered with {media_type or 'something'} instead of a film: was the upload one?",
                response.request.headers.get(_REQUEST_ID),
            )
        self.media_type: str = media_type
        """The media type of the film, `video/mp4`."""
        self.model: str = response.headers.get("X-Model", "")
        """The net's name and version, such as `muse@3`; for a blend, each net with its share."""
        self.request_id: str = response.headers.get(_REQUEST_ID, "")
        """The id under which the server's log mentions the call."""
        self.notes: str = response.headers.get("X-Notes", "")
        """Sentences that say what the film lost, such as bits of its colours; empty if it lost nothing."""

    def _broken_off(self, error: httpx.RequestError) -> ClientError:
        kind = TimedOut if isinstance(error, httpx.TimeoutException) else ConnectionFailed
        return kind(
            f"the film broke off after {self._response.num_bytes_downloaded:,} bytes, and is not whole: the server's "
            f"log says why (request {self.request_id})",
            self.request_id,
        )


class Film(_Answer):
    """A painted or enlarged film, which is read once, while the server makes it.

    Iterate over it for its bytes, or save it. Leave a `with` block, or call `close`, to have the server stop.
    """

    def __iter__(self) -> Iterator[bytes]:
        """Yield the film piece by piece; what was read so far can be played.

        Raises:
            ConnectionFailed: The film broke off, and is not whole.
        """
        try:
            yield from self._response.iter_raw()
        except httpx.RequestError as error:
            raise self._broken_off(error) from error
        finally:
            self.close()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the film to a file, which has its name only once it is whole.

        Args:
            path: The file to write. An existing file is replaced; its folder must exist.

        Returns:
            The path of the written file.

        Raises:
            ConnectionFailed: The film broke off, and nothing is left of it.
            OSError: The file cannot be written.
        """
        with _whole(Path(path)) as file:
            for piece in self:
                file.write(piece)
        return Path(path)

    def close(self) -> None:
        """Close the connection; a server that still makes the film stops."""
        self._response.close()

    def __enter__(self) -> "Film":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncFilm(_Answer):
    """A painted or enlarged film for asynchronous code; see `Film`."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the film piece by piece; what was read so far can be played.

        Raises:
            ConnectionFailed: The film broke off, and is not whole.
        """
        try:
            async for piece in self._response.aiter_raw():
                yield piece
        except httpx.RequestError as error:
            raise self._broken_off(error) from error
        finally:
            await self.close()

    async def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the film to a file, which has its name only once it is whole; see `Film.save`."""
        with _whole(Path(path)) as file:
            async for piece in self:
                await asyncio.to_thread(file.write, piece)
        return Path(path)

    async def close(self) -> None:
        """Close the connection; a server that still makes the film stops."""
        await self._response.aclose()

    async def __aenter__(self) -> "AsyncFilm":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """Open a file aside, which gets its name when the block of the `with` statement ends without an error."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            yield file
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
