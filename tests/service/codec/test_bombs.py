"""Small files that announce very large pictures, and broken files of the formats that are only read, not written."""

import contextlib
import io
import struct
import time
from collections.abc import Callable

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin
from PIL.ExifTags import IFD, Base

from service import codec
from service.contract.problems import BadPicture, Problem, TooLarge

from ...hostile.attacking_pictures import overlapping_tiff
from ...picture_files import damaged, encoded, turned

ENOUGH = 10_000_000


def gif(frames: int) -> bytes:
    """Return a GIF with so many frames, of one pixel each."""
    frame = b",\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    return b"GIF89a" + struct.pack("<HHBBB", 16, 16, 0x80, 0, 0) + bytes(6) + frame * frames + b";"


def tiff(pages: int) -> bytes:
    """Return a TIFF with so many pages, all of which have the same pixels."""
    tags = [(256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (273, 8), (278, 16), (279, 256)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    start, length = 8 + 256, len(directory) + 4
    following = [start + (page + 1) * length for page in range(pages - 1)] + [0]
    return (
        b"II*\0" + struct.pack("<I", start) + bytes(256) + b"".join(directory + struct.pack("<I", n) for n in following)
    )


@pytest.mark.parametrize("make", [gif, tiff])
def test_frames_are_counted(make: Callable[[int], bytes]) -> None:
    assert codec.read_header(make(1), ENOUGH).frames == 1
    assert codec.read_header(make(250), ENOUGH).frames == 250


@pytest.mark.parametrize(("make", "most"), [(gif, 10_000), (tiff, 1_000)])
def test_too_many_frames_or_pages_are_refused(make: Callable[[int], bytes], most: int) -> None:
    assert codec.read_header(make(most), ENOUGH).frames == most
    with pytest.raises(TooLarge, match=f"{most:,} frames"):
        codec.read_header(make(most + 1), ENOUGH)


def test_pages_that_point_in_a_circle_are_not_followed_for_ever() -> None:
    data = bytearray(tiff(2))
    data[-4:] = struct.pack("<I", 8 + 256)
    with contextlib.suppress(Problem):
        assert codec.read_header(bytes(data), ENOUGH).frames <= 2


def test_only_the_first_scans_of_a_jpeg_are_decoded() -> None:
    data = encoded(Image.new("RGB", (16, 16), "red"), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    header = codec.read_header(data[:last] + data[last:-2] * 600 + b"\xff\xd9", ENOUGH)
    assert header.file.data.count(b"\xff\xda") == 64
    assert not header.is_truncated
    assert codec.decode(header).pixels.equal(codec.decode(codec.read_header(data, ENOUGH)).pixels)


def test_a_frame_of_a_gif_that_is_to_be_erased_costs_nothing_when_it_is_opened() -> None:
    erased = b"!\xf9\4\x08\0\0\0\0"
    file = gif(1)
    header = codec.read_header(file[:19] + erased + file[19:], ENOUGH)
    assert getattr(header.image, "dispose", None) is None  # what Pillow would lay over it, of the frame's size


def test_bytes_before_the_first_frame_of_a_gif_are_passed_over() -> None:
    file = gif(1)
    header = codec.read_header(file[:19] + b"\0\0\1" + file[19:], ENOUGH)
    assert (header.width, header.height) == (16, 16)
    codec.decode(header)


def test_a_gif_without_a_frame_is_refused() -> None:
    with pytest.raises(BadPicture):
        codec.read_header(gif(0), ENOUGH)


@pytest.mark.parametrize(("width", "runs"), [(70_000, 8), (16, 500_000)], ids=["many pixels", "many bytes"])
def test_a_bmp_in_runs_is_refused_where_reading_them_would_take_long(width: int, runs: int) -> None:
    header = struct.pack("<IiiHHIIiiII", 40, width, 16, 1, 8, 1, 0, 0, 0, 256, 0)
    file = struct.pack("<2sIHHI", b"BM", 0, 0, 0, 1078) + header + bytes(1024) + b"\1\0" * runs
    with pytest.raises(TooLarge, match="PNG"):
        codec.read_header(file, ENOUGH)


@pytest.mark.parametrize("compression", ["zlib", "lzw", None])
def test_tiles_much_larger_than_their_picture_are_refused(compression: str | None) -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((16, 16, 3), np.uint8), photometric="rgb", tile=(16, 16), compression=compression)
    file = buffer.getvalue()
    for tag in (322, 323):
        at = file.index(struct.pack("<HHI", tag, 4, 1)) + 8
        file = file[:at] + struct.pack("<I", 32_768) + file[at + 4 :]
    with pytest.raises(BadPicture, match="tiles of 32,768×32,768"):
        codec.read_header(file, ENOUGH)


def test_a_tiff_with_very_many_channels_is_refused() -> None:
    buffer = io.BytesIO()
    samples = np.zeros((20, 20, 33), np.uint8)
    tifffile.imwrite(buffer, samples, photometric="rgb", planarconfig="contig", extrasamples=[0] * 30)
    with pytest.raises(TooLarge, match="fewer channels"):
        codec.read_header(buffer.getvalue(), ENOUGH)


@pytest.mark.parametrize("format", ["AVIF", "HEIF", "JPEG", "WEBP"])
def test_exif_that_costs_much_is_ignored(format: str) -> None:  # noqa: A002
    if format == "HEIF":
        pytest.importorskip("pillow_heif")
    directory = struct.pack("<4sIH", b"II*\0", 8, 5000) + struct.pack("<HHII", 1, 7, 2, 0) * 5000 + bytes(4)
    space = b"II*\0\x08\0\0\0\0\0" + bytes(len(directory) - 10)
    file = encoded(Image.new("RGB", (16, 16)), format, exif=space)
    assert space in file
    began = time.process_time()
    picture = codec.decode(codec.read_header(file.replace(space, directory), ENOUGH), keep_metadata=True)
    assert time.process_time() - began < 0.5
    assert picture.pixels.shape == (16, 16, 3)
    assert picture.metadata.exif is None


@pytest.mark.parametrize("format", ["GIF", "PNG", "TIFF"])
def test_the_other_frames_of_an_animation_are_not_decoded(format: str, decoded: list[int]) -> None:  # noqa: A002
    frames = [Image.new("RGB", (20, 20), (40 * number, 0, 0)) for number in range(5)]
    header = codec.read_header(encoded(frames[0], format, save_all=True, append_images=frames[1:]), ENOUGH)
    decoded.clear()
    codec.decode(header)
    assert (header.frames, set(decoded)) == (5, {0})


@pytest.mark.parametrize("format", ["GIF", "TIFF"])
def test_an_upload_that_is_too_large_is_refused(format: str) -> None:  # noqa: A002
    with pytest.raises(TooLarge, match="200×100"):
        codec.read_header(encoded(Image.new("L", (200, 100)), format), 19_999)


@pytest.mark.parametrize("format", ["GIF", "TIFF"])
@pytest.mark.parametrize("kept", [6, 0.5])
def test_a_picture_cut_short_is_refused_as_broken(photo: Image.Image, format: str, kept: float) -> None:  # noqa: A002
    data = encoded(photo, format)
    with pytest.raises(BadPicture):
        codec.decode(codec.read_header(data[: kept if kept > 1 else int(len(data) * kept)], ENOUGH))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", ["GIF", "TIFF", "PNG", "JPEG"])
def test_damaged_bytes_are_read_or_raise_a_problem(photo: Image.Image, format: str) -> None:  # noqa: A002
    deep = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    for source in (
        photo,
        photo.convert("LA") if format in ("PNG", "TIFF") else photo,
        deep if format == "TIFF" else photo,
    ):
        for file in damaged(encoded(source, format), 40):
            with contextlib.suppress(Problem):
                codec.decode(codec.read_header(file, ENOUGH), keep_metadata=True)


def fuzzed() -> dict[str, bytes]:
    """Return files of the kinds whose structure is walked through, each with all that may be in it."""
    levels = np.arange(24 * 20 * 3, dtype=np.uint16).reshape(24, 20, 3) * 45
    image = Image.fromarray((levels >> 8).astype(np.uint8))
    exif = turned(6)
    exif.get_ifd(IFD.Exif)[Base.FNumber] = 2.8
    panorama = b'xmlns:p="http://ns.google.com/photos/1.0/panorama/" p:FullPanoWidthPixels="9"'
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" ' + panorama + b"/>"
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=True)
    info.add(b"gAMA", struct.pack(">I", 100_000))
    buffers = {name: io.BytesIO() for name in ("planar", "float", "sub-directory", "fax")}
    tifffile.imwrite(buffers["planar"], np.moveaxis(levels, -1, 0), photometric="rgb", compression="zlib")
    tifffile.imwrite(buffers["float"], levels / np.float32(65535), photometric="rgb", predictor=True, compression="lzw")
    with tifffile.TiffWriter(buffers["sub-directory"], byteorder=">") as writer:
        writer.write(levels[::4, ::4], photometric="rgb", subfiletype=1, subifds=1)
        writer.write(levels, photometric="rgb", compression="packbits")
    image.convert("1").save(buffers["fax"], "TIFF", compression="group4")
    return {
        **{f"TIFF {name}": buffer.getvalue() for name, buffer in buffers.items()},
        "PNG": encoded(image, exif=exif, pnginfo=info),
        "PNG without its end": encoded(image)[:-14],
        "JPEG": encoded(image, "jpeg", exif=exif, xmp=xmp, progressive=True),
        "JPEG without its end": encoded(image, "jpeg", restart_marker_rows=1)[:-2],
        "GIF": encoded(image, "gif", save_all=True, append_images=[image.rotate(90)], comment=b"a" * 300),
        "BMP": encoded(image, "bmp"),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "file"), fuzzed().items(), ids=list(fuzzed()))
def test_damaged_and_shortened_files_of_every_kind_are_read_or_raise_a_problem(name: str, file: bytes) -> None:
    shortened = [file[:length] for length in range(0, len(file), max(1, len(file) // 40))]
    for each in (*damaged(file, 120), *shortened):
        with contextlib.suppress(Problem):
            header = codec.read_header(each, ENOUGH)
            assert header.width * header.height <= ENOUGH, name
            codec.decode(header, keep_metadata=True)


def test_directories_of_a_tiff_that_lie_over_one_another_cost_little() -> None:
    file = overlapping_tiff()
    began = time.process_time()
    with pytest.raises(BadPicture):
        codec.read_header(file, ENOUGH)
    assert time.process_time() - began < 0.03
