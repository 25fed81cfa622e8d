"""Small films of every kind of file that is read, for the fuzzer to mutate."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from ..service.video.films import pictures, write_film

_KINDS = {
    "mp4": ("film.mp4", "libx264", {}),
    "fragmented mp4": ("film.mp4", "libx264", {"movflags": "frag_every_frame+empty_moov"}),
    "hevc": ("film.mov", "libx265", {}),
    "matroska": ("film.mkv", "libx264", {}),
    "webm": ("film.webm", "libvpx-vp9", {}),
    "avi": ("film.avi", "mpeg4", {}),
    "mjpeg": ("film.avi", "mjpeg", {}),
    "transport stream": ("film.ts", "libx264", {}),
    "av1": ("film.mp4", "libsvtav1", {}),
}
"""The file, the encoder and the options of the container of each kind."""


@cache
def small_films() -> dict[str, bytes]:
    """Return a film of each kind, of three frames, by what it is."""
    with TemporaryDirectory() as folder:
        return {
            kind: write_film(
                Path(folder) / name,
                pictures(3, 64, 64),
                sound=name in ("film.mp4", "film.mkv", "film.ts") and codec == "libx264",
                codec=codec,
                pixel_format="yuvj420p" if codec == "mjpeg" else "yuv420p",
                container=container,
            ).read_bytes()
            for kind, (name, codec, container) in _KINDS.items()
        }
