"""The files and the codecs in which films are written."""

from pathlib import Path
from typing import Literal, NamedTuple

from service.contract.problems import BadOption

Codec = Literal["h264", "hevc", "vp9", "av1"]
"""Codecs in which films are written."""

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""FFmpeg's names of the containers that are written, by the suffixes of their files."""
SUFFIXES = frozenset(CONTAINERS) | {
    *(".3gp", ".avi", ".flv", ".m2ts", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".vob", ".wmv")
}
"""Suffixes of the files that are taken for films; `.ts` is more often a program's than a film's."""
_WEBM_CODECS = ("vp9", "av1")
"""Codecs that a WebM file can hold, the usual one first."""


class Encoder(NamedTuple):
    """An encoder of FFmpeg, and how it is used."""

    name: str
    """FFmpeg's name of the encoder."""
    crf: int
    """Constant rate factor that is used where none is asked for."""
    most_crf: int
    """Largest constant rate factor that the encoder takes."""
    options: dict[str, str]
    """Options of the encoder, besides the constant rate factor."""
    tag: str | None = None
    """Tag of the codec in MP4 and QuickTime files, where FFmpeg's own choice does not play everywhere."""
    to_stream: str | None = None
    """Bitstream filters that turn packets of a file into those that the encoder makes; None if both are the same."""
    at_once: dict[str, str] | None = None
    """Further options by which each frame's packet comes at once, where the encoder has such."""


ENCODERS: dict[Codec, Encoder] = {
    "h264": Encoder(
        "libx264",
        20,
        51,
        {},
        at_once={"tune": "zerolatency"},
        to_stream="h264_mp4toannexb,filter_units=remove_types=7-8",
    ),
    "hevc": Encoder(
        "libx265",
        24,
        51,
        {"x265-params": "log-level=error:open-gop=0"},
        "hvc1",
        "hevc_mp4toannexb,filter_units=remove_types=32-34",
    ),
    "vp9": Encoder("libvpx-vp9", 32, 63, {"b": "0", "row-mt": "1", "cpu-used": "4", "deadline": "good"}),
    "av1": Encoder("libsvtav1", 32, 63, {"preset": "8"}),
}
"""The encoder of each codec."""
DEFAULT_TEMPORAL = 0.9
"""Share that the painting before has in each painting of a film in a style, where none is asked for."""


class FilmOptions(NamedTuple):
    """The options of films alone."""

    codec: Codec | None = None
    """Codec, or None for H.264, and for VP9 in WebM."""
    crf: int | None = None
    """Constant rate factor, or None for the codec's usual one."""
    resume: bool = False
    """Whether to go on with the unfinished film of an earlier run."""
    overwrite: bool = False
    """Whether to begin anew although there is an unfinished film."""
    temporal: float = 0.0
    """Share that the painting before has in each painting; 0 leaves each frame by itself."""


class Encoding(NamedTuple):
    """How a film is encoded."""

    container: str
    """FFmpeg's name of the container."""
    codec: Codec
    crf: int
    """Constant rate factor: 0 loses least, and 6 more make a file of about half the size."""
    is_streamed: bool = False
    """Whether the file is read while it is written, so that frames are written a few at a time."""

    @property
    def encoder(self) -> Encoder:
        """Return the encoder of the codec."""
        return ENCODERS[self.codec]

    @property
    def is_quicktime(self) -> bool:
        """Tell whether the container is MP4 or QuickTime, which begin with an index or consist of fragments."""
        return self.container in ("mp4", "mov")


def choose_encoding(output: Path, codec: Codec | None = None, crf: int | None = None) -> Encoding:
    """Return how a film is encoded.

    Args:
        output: File of the film, whose suffix chooses the container.
        codec: Codec, or None for H.264, and for VP9 in WebM.
        crf: Constant rate factor, or None for the codec's usual one.

    Raises:
        BadOption: There is no such container, it cannot hold the codec, or the factor is out of the codec's range.
    """
    container = CONTAINERS.get(output.suffix.lower())
    if container is None:
        raise BadOption(f"cannot write {output.name}: end its name in {', '.join(CONTAINERS)}")
    if codec is None:
        codec = "vp9" if container == "webm" else "h264"
    if container == "webm" and codec not in _WEBM_CODECS:
        raise BadOption(f"a WebM file holds no {codec}: take --codec {' or '.join(_WEBM_CODECS)}, or a name in .mp4")
    encoder = ENCODERS[codec]
    if crf is None:
        crf = encoder.crf
    if not 0 <= crf <= encoder.most_crf:
        raise BadOption(f"crf={crf} is out of range: {codec} takes 0 to {encoder.most_crf}")
    return Encoding(container, codec, crf)


STREAMED = Encoding("mp4", "h264", ENCODERS["h264"].crf, is_streamed=True)
"""How films are encoded that are played while they are made."""
