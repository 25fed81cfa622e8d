"""The film that is read: opened, checked, and decoded to upright RGB, with the packets of its sound in between."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import av
import av.error
from av.stream import Stream
from av.video.frame import VideoFrame

from service.contract.problems import TooLarge
from service.video.colours import Colours, FrameReader, Pixels
from service.video.opening import NOUNS, is_cover, open_film, video_of
from service.video.problems import BadFilm

if TYPE_CHECKING:
    Packet = av.Packet[Stream]
else:  # PyAV's class has no parameters when it runs
    Packet = av.Packet

MOST_PIXELS = 2**26
"""Largest number of pixels of a frame: 8,192×8,192, twice what 8K has."""
ROUNDING = Fraction(6, 10_000)
"""Seconds that are a little more than what Matroska rounds times by."""
_MOST_LACKING = Fraction(1)
"""Seconds by which a film may end before the time that its file tells, without being called cut."""


class Frame(NamedTuple):
    """A frame of a film."""

    pixels: Pixels
    """RGB, upright."""
    pts: int
    """Time at which the frame is shown, in the film's time base."""
    duration: int
    """Time until the next frame, in the film's time base."""


class Span(NamedTuple):
    """The time in which a frame is shown."""

    start: Fraction
    """Seconds from the film's time 0."""
    duration: Fraction
    """Seconds until it is not shown any more."""


class FilmSource:
    """A film that is read from its beginning to its end, once.

    Args:
        path: File of the film.
        max_pixels: Largest number of pixels of a frame.

    Raises:
        UnsupportedFormat: The file is no film in a format that FFmpeg reads.
        BadFilm: The film is broken, cut, encrypted, or has no pictures.
        TooLarge: A frame has too many pixels.
    """

    def __init__(self, path: Path, max_pixels: int = MOST_PIXELS) -> None:
        self._container = open_film(path)
        try:
            self._video = video_of(self._container)
            codec = self._video.codec_context
            self._check_size(codec.width, codec.height, max_pixels)
            codec.thread_type = "AUTO"
            codec.options = {"max_pixels": str(max_pixels)}
            self.copied: list[Stream] = [each for each in self._container.streams if each.type in NOUNS]
            """Streams of sound and subtitles."""
            self.broken = 0
            """Number of frames that could not be decoded so far, and were skipped."""
            self._decoded = self._decode()
            self._early, first = self._until_first_frame()
        except BaseException:
            self._container.close()
            raise
        self._size = first.width, first.height
        self._first: VideoFrame | None = first
        self._reader = FrameReader(first)
        self._is_interlaced = first.interlaced_frame
        is_turned = self._reader.quarter_turns % 2
        self.width, self.height = self._size[::-1] if is_turned else self._size
        aspect = self._video.sample_aspect_ratio or Fraction(1)
        self.sample_aspect_ratio = 1 / aspect if is_turned else aspect
        """Width of a pixel, upright, divided by its height."""
        self.time_base = _fraction(self._video.time_base)
        """Seconds of a unit of time."""
        self.rate = self._video.guessed_rate or self._video.average_rate or Fraction(25)
        """Frames a second, about."""
        self._first_pts = self._pts(first, None)
        self.last = Span(self._first_pts * self.time_base, Fraction(0))
        """Time and duration of the last frame, once the film was read."""
        self.left_out: Pixels | None = None
        """Last of the frames that `read` left out, upright RGB, once it yields those after it."""
        self.frames = self._video.frames or round(self._seconds * self.rate) or None
        """Number of frames, as far as the file tells it."""

    def __enter__(self) -> "FilmSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def colours(self) -> Colours:
        """Return how colours are stored in the film that is made from this one."""
        return self._reader.colours

    @property
    def metadata(self) -> dict[str, str]:
        """Return what the file tells about the film, such as its title."""
        return self._container.metadata

    @property
    def language(self) -> str | None:
        """Return the language of the pictures, if the file tells one."""
        return self._video.language

    @property
    def chapters(self) -> list["av.container.core.Chapter"]:
        """Return the chapters of the film."""
        return self._container.chapters()

    @property
    def notes(self) -> list[str]:
        """Return sentences about what the made film lacks, each without a subject's name and without a full stop.

        They are complete when the film was read.
        """
        notes = [self._reader.note] if self._reader.note else []
        others = [each for each in self._container.streams if each not in (self._video, *self.copied)]
        if self._is_interlaced:
            notes.append("its frames are interlaced, and were taken as they are: deinterlace the film first")
        if covers := sum(is_cover(each) for each in others):
            notes.append(f"{_counted(covers, 'cover picture')} left out")
        if others := [each for each in others if not is_cover(each)]:
            kinds = ", ".join(sorted({each.type for each in others}))
            notes.append(f"{_counted(len(others), 'other stream')} left out ({kinds})")
        if self.broken:
            notes.append(f"{_counted(self.broken, 'broken frame')} skipped")
        if self.is_cut:
            notes.append(f"the file is cut short: its last {float(self._lacking):.1f} s are missing")
        return notes

    @property
    def is_cut(self) -> bool:
        """Tell whether the frames that were read ended before the time that the file tells."""
        return self._lacking > _MOST_LACKING

    @property
    def _lacking(self) -> Fraction:
        """Return the seconds between the end of the last frame and that of the film."""
        return self._end - self.last.start - self.last.duration

    def read(self, after: Fraction | None = None) -> Iterator[Frame | Packet]:
        """Yield the frames, and the packets of the copied streams, in the order of the file.

        Args:
            after: Seconds up to which frames are left out, those that are shown at that time included.

        Raises:
            BadFilm: The size of the frames changes, or the film turns out to be encrypted.
        """
        held: Frame | None = None
        left_out: VideoFrame | None = None
        longest, last, told = 1, None, 0
        for item in self._all():
            if not isinstance(item, VideoFrame):
                yield item
                continue
            pts = self._pts(item, last)
            self._check_unchanged(item)
            if last is not None:
                longest = max(longest, pts - last)
            if held is not None:
                yield held._replace(duration=pts - held.pts)
            last, told = pts, item.duration or 0
            if after is not None and pts * self.time_base <= after + ROUNDING:
                left_out = item
                continue
            if left_out is not None:
                self.left_out, left_out = self._reader.read(left_out), None
            held = Frame(self._reader.read(item), pts, told)
        if last is None:
            return
        # The durations of packets are those between times of decoding; the file's end says more, unless it is cut.
        rest = round(self._end / self.time_base) - last
        duration = min(rest, max(longest, told)) if rest > 0 else told or longest
        self.last = Span(last * self.time_base, duration * self.time_base)
        if held is not None:
            yield held._replace(duration=duration)

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    @property
    def _seconds(self) -> Fraction:
        """Return the length of the film that the file tells, or 0."""
        if self._video.duration is not None:
            return self._video.duration * self.time_base
        return Fraction(self._container.duration or 0, av.time_base)

    @property
    def _end(self) -> Fraction:
        """Return the time at which the film ends, as far as the file tells it, in seconds."""
        return self._first_pts * self.time_base + self._seconds

    def _until_first_frame(self) -> tuple[list[Packet], VideoFrame]:
        """Return the packets before the first frame, and the frame.

        Raises:
            BadFilm: There is none.
        """
        packets: list[Packet] = []
        for item in self._decoded:
            if isinstance(item, VideoFrame):
                return packets, item
            packets.append(item)
        raise BadFilm("no frame of the film can be decoded: the file is broken or cut short, send the whole film")

    def _all(self) -> Iterator[VideoFrame | Packet]:
        early, first = self._early, self._first
        self._early, self._first = [], None  # not kept in memory
        yield from early
        if first is not None:
            yield first
        yield from self._decoded

    def _decode(self) -> Iterator[VideoFrame | Packet]:
        packets = self._container.demux(self._video, *self.copied)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:  # the file ends in the middle of something
                return
            if packet is None:
                return
            is_end = packet.pts is None and packet.dts is None
            if packet.stream is self._video and (packet.size or is_end):  # FFmpeg takes an empty packet for the end
                yield from self._frames_of(packet)
            elif packet.size:
                yield packet

    def _frames_of(self, packet: Packet) -> Iterator[VideoFrame]:
        if packet.has_sidedata("encryption_info"):
            raise BadFilm("the film is encrypted: send one without copy protection")
        try:
            frames = self._video.decode(packet)
        except av.error.FFmpegError:
            self.broken += 1
            return
        for frame in frames:
            if frame.is_corrupt:
                self.broken += 1
            else:
                yield frame

    def _pts(self, frame: VideoFrame, last: int | None) -> int:
        """Return the time of a frame, which is later than the last one's even where the file tells nonsense."""
        if last is None:
            return frame.pts or 0
        step = max(1, round(1 / (self.rate * self.time_base)))
        return last + step if frame.pts is None else max(frame.pts, last + 1)

    def _check_size(self, width: int, height: int, max_pixels: int) -> None:
        if width * height == 0:
            raise BadFilm(
                "the size of the film's frames cannot be read: the file is broken, or claims more pixels than FFmpeg "
                "takes"
            )
        if width * height > max_pixels:
            raise TooLarge(f"the film has {width:,}×{height:,} pixels; films may have up to {max_pixels:,} in all")

    def _check_unchanged(self, frame: VideoFrame) -> None:
        if (frame.width, frame.height) != self._size:
            width, height = self._size
            raise BadFilm(
                f"the size of the frames changes from {width}×{height} to {frame.width}×{frame.height} in the middle "
                "of the film: cut it there, and send each part"
            )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s were' if number > 1 else ' was'}"


def _fraction(value: Fraction | None) -> Fraction:
    assert value is not None, "an open stream has a time base"  # noqa: S101
    return value
