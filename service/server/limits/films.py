"""The films that are made at the same time, and their share of the device."""

from asyncio import Semaphore
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

from service.contract.observer import Observer
from service.contract.problems import Busy
from service.server.limits.upload_memory import UploadMemory

_RETRY_AFTER_S = 30
"""Seconds after which a client that is refused may try again; films take long."""
_UPLOADS_FOR_EACH = 2
"""Number of the largest uploads that are on disk for each film that is made."""


class Films:
    """The films that are made at the same time, used on the event loop only.

    The frames of all films take turns, and only a few are on their way through the device at once. So a picture that
    comes waits for those few, and never for a film.

    Args:
        most: Largest number of films.
        most_bytes: Largest number of bytes of a film's upload.
        frames: Largest number of frames that are on their way at the same time, of all films together.
        observer: Receiver of events, which is told of each refusal.
    """

    def __init__(self, most: int, most_bytes: int, frames: int, observer: Observer | None = None) -> None:
        self._most = most
        self._observer = observer or Observer()
        self._made = 0
        self._frames = Semaphore(frames)
        self.frames = frames
        """Largest number of frames that are on their way at the same time."""
        self.uploads = UploadMemory(_UPLOADS_FOR_EACH * most * most_bytes, observer)
        """The bytes of the films that are on disk."""

    def check_place(self) -> None:
        """Check that another film may be made, without holding its place.

        Raises:
            Busy: As many films are made as this server makes at once.
        """
        if self._made >= self._most:
            self._observer.request_shed("films")
            raise Busy(
                f"as many films are being made as this server makes at once ({self._made}): try again in "
                f"{_RETRY_AFTER_S} s",
                _RETRY_AFTER_S,
            )

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold the place of a film.

        Raises:
            Busy: As many films are made as this server makes at once.
        """
        self.check_place()
        self._made += 1
        try:
            yield
        finally:
            self._made -= 1

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Return the turn of a frame, which is awaited and then held by an `async with` block."""
        return self._frames
