"""A film is told from a picture by its first bytes."""

import pytest

from service.video.recognition import film_format


def brands(*names: bytes) -> bytes:
    box = b"ftyp" + names[0] + bytes(4) + b"".join(names[1:])
    return (len(box) + 4).to_bytes(4, "big") + box + bytes(200)


@pytest.mark.parametrize(
    ("start", "format_"),
    [
        (brands(b"isom", b"avc1"), "mov"),
        (brands(b"qt  "), "mov"),
        (b"\0\0\0\x08wide\0\0\1\0mdat", "mov"),
        (b"\x1a\x45\xdf\xa3", "matroska"),
        (b"RIFF\0\0\0\0AVI LIST", "avi"),
        ((b"G" + bytes(187)) * 2 + b"G", "mpegts"),
        ((bytes(4) + b"G" + bytes(187)) * 2, "mpegts"),
        (b"\0\0\1\xba", "mpeg"),
        (b"OggS", "ogg"),
    ],
)
def test_films(start: bytes, format_: str) -> None:
    assert film_format(start) == format_


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"G",
        b"GIF89a" + bytes(400),
        b"\xff\xd8\xff",
        b"RIFF\0\0\0\0WEBPVP8 ",
        brands(b"avif", b"mif1"),
        brands(b"heic", b"mif1"),
        brands(b"mif1", b"heic"),
        brands(b"crx ", b"isom"),
        b"#EXTM3U\n",
        b"ffconcat version 1.0\n",
        bytes(512),
    ],
)
def test_what_is_no_film(start: bytes) -> None:
    assert film_format(start) is None
