"""Unfinished films: what they are called, how a later run goes on with them, and how they become whole films."""

import hashlib
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import av.error

from service.contract.problems import BadOption
from service.video.colours import FrameReader, Pixels
from service.video.encoding import Encoding
from service.video.source import ROUNDING, FilmSource, Packet, Span
from service.video.target import MADE_WITH, container_options, describe, video_packets

_INDEX_FIRST = "faststart"
"""Flag by which an MP4 file has its index at the beginning."""
_ALL_METADATA = "+use_metadata_tags"
"""Flag by which it keeps metadata that MP4 has no place for."""
_COMPARED = 1_000_000
"""Number of bytes at the beginning of a film by which it is told from others."""
_PLACE = "location"
"""Part of the keys of metadata that tell where a film was made."""
_OF_THE_FILE = ("major_brand", "minor_version", "compatible_brands", "encoder")
"""Keys of metadata that describe the source's file, and not the film."""


class Partial(NamedTuple):
    """The files of a film that is not finished.

    Attributes:
        output: File of the finished film.
    """

    output: Path

    @property
    def path(self) -> Path:
        """Return the file of the unfinished film, such as `painted.partial.mp4`."""
        return self._beside("partial")

    @property
    def earlier(self) -> Path:
        """Return the file that has the unfinished film of an earlier run while its frames are copied."""
        return self._beside("earlier")

    def exists(self) -> bool:
        """Tell whether an earlier run left an unfinished film."""
        return self.path.exists() or self.earlier.exists()

    def remove(self) -> None:
        """Remove the unfinished film."""
        self.path.unlink(missing_ok=True)
        self.earlier.unlink(missing_ok=True)

    def _beside(self, word: str) -> Path:
        return self.output.with_name(f"{self.output.stem}.{word}{self.output.suffix}")


def made_with(film: Path, encoding: Encoding, painter: str) -> str:
    """Return a text that differs between unfinished films that cannot be joined.

    Args:
        film: File of the source.
        encoding: How the film is encoded.
        painter: Text that tells apart painters whose frames differ.
    """
    with film.open("rb") as file:
        start = hashlib.sha256(file.read(_COMPARED)).hexdigest()
    parts = (start, film.stat().st_size, encoding, painter, av.library_versions["libavcodec"])
    return f"impasto {hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"


class Earlier(NamedTuple):
    """The frames that an earlier run left."""

    until: Fraction | None = None
    """Time of the last frame in seconds; None if there is none."""
    frames: int = 0
    """Number of frames."""


def go_on_with(partial: Partial, identity: str) -> Earlier:
    """Make the unfinished film of an earlier run ready to be copied from `partial.earlier`.

    Args:
        partial: Files of the unfinished film.
        identity: What `made_with` returned.

    Raises:
        BadOption: The film was made with other options, or from another film.
    """
    if not partial.earlier.exists() and partial.path.exists():
        partial.path.replace(partial.earlier)
    if not partial.earlier.exists():
        return Earlier()
    try:
        with av.open(str(partial.earlier)) as container:
            told = {key.lower(): value for key, value in container.metadata.items()}  # Matroska's are in capitals
        shown_at = [
            packet.pts * packet.time_base for packet in video_packets(partial.earlier) if packet.pts is not None
        ]
    except (av.error.FFmpegError, IndexError):  # the process was killed before it had written a frame
        partial.remove()
        return Earlier()
    if told.get(MADE_WITH) != identity:
        partial.earlier.replace(partial.path)
        raise BadOption(
            f"{partial.path} was made with other options, or from another film: give those options, "
            "or --overwrite to begin anew"
        )
    return Earlier(max(shown_at), len(shown_at)) if shown_at else Earlier()


def last_painting(partial: Partial, earlier: Earlier) -> Pixels | None:
    """Return the last frame that an earlier run left; None if there is none, or it cannot be decoded.

    Args:
        partial: Files of the unfinished film.
        earlier: What `go_on_with` returned.
    """
    if earlier.until is None:
        return None
    last = None
    with av.open(str(partial.earlier)) as container, suppress(av.error.FFmpegError):
        container.seek(int(earlier.until * av.time_base))  # to the key frame before it
        for frame in container.decode(video=0):
            last = frame
    return None if last is None else FrameReader(last).read(last)


def publish(partial: Partial, source: FilmSource, encoding: Encoding, keep_metadata: bool) -> None:
    """Make the whole film of an unfinished one, with all frames, under its final name, and remove the unfinished one.

    Args:
        partial: Files of the unfinished film.
        source: Film that it was made from, which has the metadata and chapters.
        encoding: How the film is encoded.
        keep_metadata: Whether the place where the film was made is kept, and metadata of all kinds.
    """
    aside = partial.output.with_name(f".{partial.output.name}.{os.getpid()}.part")
    options = container_options(source, encoding, _INDEX_FIRST + (_ALL_METADATA if keep_metadata else ""))
    try:
        with (
            av.open(str(partial.path)) as unfinished,
            av.open(str(aside), "w", format=encoding.container, container_options=options) as whole,
        ):
            copies = {each.index: whole.add_stream_from_template(each, opaque=True) for each in unfinished.streams}
            for stream in unfinished.streams:
                describe(copies[stream.index], stream)
                if stream.type == "video" and encoding.is_quicktime and encoding.encoder.tag is not None:
                    copies[stream.index].codec_context.codec_tag = encoding.encoder.tag
            whole.metadata.update(_kept(source.metadata, keep_place=keep_metadata))
            whole.set_chapters(source.chapters)
            for packet in unfinished.demux():
                if packet.size:
                    if packet.stream.type == "video":
                        _end_with(source.last, packet)
                    packet.stream = copies[packet.stream_index]
                    whole.mux(packet)
        aside.replace(partial.output)
    finally:
        aside.unlink(missing_ok=True)
    partial.remove()


def _end_with(last: Span, packet: Packet) -> None:
    """Give the packet of the last frame its duration, which is not that until the next packet."""
    if packet.pts is not None and abs(packet.pts * packet.time_base - last.start) <= ROUNDING:
        packet.duration = max(packet.duration or 0, round(last.duration / packet.time_base))


def _kept(metadata: dict[str, str], *, keep_place: bool) -> dict[str, str]:
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _OF_THE_FILE and (keep_place or _PLACE not in key.lower())
    }
