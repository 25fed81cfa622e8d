"""Kinds of TIFF: every layout of samples is read rightly, or refused by its name."""

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
import tifffile
from PIL import Image

from service import codec
from service.contract.problems import BadPicture, TooLarge, UnsupportedFormat

from ...picture_files import encoded

ENOUGH = 1_000_000
ROWS, COLUMNS = np.mgrid[0:40, 0:56]
RGB = np.stack([COLUMNS * 4, ROWS * 4, COLUMNS * 2 + ROWS * 2], axis=-1).astype(np.uint8)
GREY = RGB[..., 0]
DEEP, DEEP_GREY = RGB.astype(np.uint16) * 257, GREY.astype(np.uint16) * 257
COMPRESSIONS = [None, "zlib", "lzw", "packbits", "zstd", "lzma"]


def tiff(samples: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return buffer.getvalue()


def planes(samples: np.ndarray) -> np.ndarray:
    return np.moveaxis(samples, -1, 0)


def decode(data: bytes) -> codec.DecodedPicture:
    return codec.decode(codec.read_header(data, ENOUGH))


def assert_shows(data: bytes, reference: np.ndarray) -> None:
    if reference.ndim == 2:
        reference = reference[..., None].repeat(3, axis=-1)
    assert np.abs(decode(data).pixels.numpy().astype(int) - reference).max() <= 1


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("stored", ["chunky", "planar", "white is zero"])
def test_samples_of_16_bits_are_read(order: str, compression: str | None, stored: str, *, big: bool) -> None:
    options = {"compression": compression, "byteorder": order, "bigtiff": big}
    if stored == "white is zero":
        assert_shows(tiff(65535 - DEEP_GREY, photometric="miniswhite", **options), GREY)
    elif stored == "planar":
        assert_shows(tiff(planes(DEEP), photometric="rgb", planarconfig="separate", **options), RGB)
    else:
        assert_shows(tiff(DEEP, photometric="rgb", **options), RGB)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("options", [{"tile": (16, 16)}, {"rowsperstrip": 7}, {"predictor": True}])
@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "f2", "f4", "f8"])
def test_tiles_strips_and_predictors_are_read(kind: str, options: dict[str, object], *, planar: bool) -> None:
    white = 1 if kind[0] == "f" else np.iinfo(kind).max
    samples = np.dstack([RGB / 255 * white]).astype(kind)
    samples[0, 0] = white
    reference = RGB.copy()
    reference[0, 0] = 255
    if planar:
        samples, options = planes(samples), options | {"planarconfig": "separate"}
    assert_shows(tiff(samples, photometric="rgb", compression="zlib", **options), reference)


@pytest.mark.parametrize("kind", ["u4", "f2", "f4", "f8"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_grey_of_32_bits_and_floats_are_read(kind: str, photometric: str) -> None:
    white = 1 if kind[0] == "f" else np.iinfo(kind).max
    levels = GREY / 255 if photometric == "minisblack" else 1 - GREY / 255
    reference = GREY.copy()
    levels[0, 0], reference[0, 0] = 1, 255 if photometric == "minisblack" else 0
    assert_shows(tiff((levels * white).astype(kind), photometric=photometric), reference)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_samples_are_read(bits: int) -> None:
    bit_rows = [
        np.concatenate([np.array(list(np.binary_repr(v, bits))) for v in row]).astype(np.uint8)
        for row in (GREY / 255 * (2**bits - 1)).astype(np.uint16)
    ]
    data = b"".join(np.packbits(row).tobytes() for row in bit_rows)
    tags = [(256, 56), (257, 40), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1), (278, 40), (279, len(data))]
    assert_shows(one_page(tags, data), GREY)


@pytest.mark.parametrize("kind", ["u1", "u2"])
@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha", "unspecified"])
@pytest.mark.parametrize("planar", [False, True])
def test_alpha_is_read_by_what_it_is_said_to_be(kind: str, extra: str, *, planar: bool) -> None:
    alpha = np.full(GREY.shape, 128, np.uint8)
    colours = (RGB * (128 / 255)).round() if extra == "assocalpha" else RGB
    samples = (np.dstack([colours, alpha]).astype(np.uint16) * (257 if kind == "u2" else 1)).astype(kind)
    if planar:
        samples = planes(samples)
    options = {"planarconfig": "separate"} if planar else {}
    picture = decode(tiff(samples, photometric="rgb", extrasamples=[extra], **options))
    assert np.abs(picture.pixels.numpy().astype(int) - RGB).max() <= 2
    if extra == "unspecified":
        assert picture.alpha is None
    else:
        assert picture.alpha is not None
        assert set(picture.alpha.flatten().tolist()) == {128}


@pytest.mark.parametrize("kind", ["u1", "u2"])
@pytest.mark.parametrize("channels", [5, 6])
def test_further_channels_are_left_out(kind: str, channels: int) -> None:
    further = np.zeros((*GREY.shape, channels - 3))
    samples = (np.dstack([RGB, further]).astype(np.uint16) * (257 if kind == "u2" else 1)).astype(kind)
    assert_shows(tiff(samples, photometric="rgb"), RGB)


def test_grey_with_alpha_of_16_bits_is_read() -> None:
    picture = decode(tiff(np.dstack([DEEP_GREY, DEEP_GREY * 0 + 40_000]), photometric="minisblack", extrasamples=[2]))
    assert picture.alpha is not None
    assert set(picture.alpha.flatten().tolist()) == {156}


@pytest.mark.parametrize("planar", [False, True])
def test_a_deep_picture_is_turned_upright(*, planar: bool) -> None:
    samples, options = (planes(DEEP), {"planarconfig": "separate"}) if planar else (DEEP, {})
    data = tiff(samples, photometric="rgb", extratags=[(274, 3, 1, 6, True)], **options)
    assert_shows(data, np.rot90(RGB, -1))


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
@pytest.mark.parametrize("inverted", [0, 1])
def test_fax_is_read(compression: str, inverted: int) -> None:
    bits = Image.fromarray(GREY).convert("1")
    data = encoded(bits, "TIFF", compression=compression, tiffinfo={262: inverted})
    shown = decode(data).pixels.numpy()[..., 0]
    assert np.array_equal(shown, np.asarray(Image.open(io.BytesIO(data)).convert("L")))


def test_fax_that_is_noise_writes_nothing_to_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 20_000).astype(np.uint8).tobytes()
    tags = [(256, 64), (257, 4_000), (258, 1), (259, 3), (262, 0), (273, 8), (277, 1), (278, 4_000), (279, len(noise))]
    assert decode(one_page(tags, noise)).pixels.shape == (4_000, 64, 3)
    assert capfd.readouterr().err == ""


# Refused by name


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({259: 50002}, "JPEG XL"),
        ({259: 50001}, "WebP"),
        ({259: 34712}, "JPEG 2000"),
        ({259: 65000}, "compression 65000"),
        ({262: 99}, "interpretation 99"),
        ({262: 6}, "YCbCr"),
        ({258: 7}, "7-bit"),
        ({339: 6}, "complex"),
        ({258: 16, 262: 3}, "palette"),
    ],
)
def test_a_kind_that_is_not_read_is_named(changed: dict[int, int], named: str) -> None:
    usual = {256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 16, 279: 256}
    with pytest.raises(UnsupportedFormat, match=rf"this kind of TIFF \(.*{named}.*\) is not supported"):
        decode(one_page(sorted((usual | changed).items()), bytes(512)))


@pytest.mark.parametrize("sign", [(262, 32803), (262, 34892), (50706, 1)])
def test_a_raw_file_is_told_to_be_exported(sign: tuple[int, int]) -> None:
    usual = {256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 16, 279: 256}
    with pytest.raises(UnsupportedFormat, match=r"raw file of a camera.*export"):
        decode(one_page(sorted((usual | dict([sign])).items()), bytes(256)))


def test_a_thumbnail_whose_sub_directory_is_raw_is_not_painted() -> None:
    first = [(254, 1), (256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (273, 8), (278, 16), (279, 256), (330, 0)]
    data = bytearray(one_page(first, bytes(256)))
    sub = len(data)
    data[sub - 8 : sub - 4] = struct.pack("<I", sub)
    data += directory([(254, 0), (256, 64), (257, 64), (258, 16), (259, 1), (262, 32803)])
    with pytest.raises(UnsupportedFormat, match="raw file"):
        decode(bytes(data))


@pytest.mark.parametrize("order", "<>")
def test_the_picture_behind_a_thumbnail_is_read(order: str) -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, byteorder=order) as writer:
        writer.write(RGB[::4, ::4], photometric="rgb", subfiletype=1, subifds=1)
        writer.write(RGB, photometric="rgb")
    assert_shows(buffer.getvalue(), RGB)


# Other pages, and what must cost nothing


def directory(tags: list[tuple[int, int]], following: int = 0) -> bytes:
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return struct.pack("<H", len(tags)) + packed + struct.pack("<I", following)


def one_page(tags: list[tuple[int, int]], data: bytes) -> bytes:
    padded = data + bytes(len(data) % 2)
    return b"II*\0" + struct.pack("<I", 8 + len(padded)) + padded + directory(tags)


def first_page_with(following: Callable[[int], bytes]) -> bytes:
    """Return a grey TIFF whose first page points to bytes that are made from their offset."""
    tags = [(256, 56), (257, 40), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 40), (279, GREY.size)]
    data = one_page(tags, GREY.tobytes())
    return data[:-4] + struct.pack("<I", len(data)) + following(len(data))


@pytest.mark.parametrize(
    "tags",
    [
        [(256, 4_000_000_000), (257, 4_000_000_000), (258, 8), (262, 99)],
        [(256, 13_000), (257, 13_000), (258, 8), (262, 1)],
        [(256, 8), (257, 8), (258, 8), (262, 99)],
        [(256, 13_000), (257, 13_000), (258, 8), (259, 8), (262, 3), (273, 8), (279, 100)],
        [],
    ],
)
def test_a_later_page_that_is_broken_or_giant_does_not_hurt_the_first(tags: list[tuple[int, int]]) -> None:
    data = first_page_with(lambda _: directory(tags))
    assert_shows(data, GREY)
    header = codec.read_header(data, ENOUGH)
    assert (header.frames, header.width, header.height) == (2, 56, 40)
    assert codec.decode(codec.read_header(data, ENOUGH), (28, 20)).pixels.numpy()[-1, -1].min() > 190


@pytest.mark.parametrize("following", [b"", b"\xff", b"\xff\xff\1\0"])
def test_a_next_page_that_is_not_there_does_not_hurt_the_first(following: bytes) -> None:
    assert_shows(first_page_with(lambda _: following), GREY)


@pytest.mark.parametrize("count", [0, 3, 98_000])
def test_a_number_of_strips_that_does_not_suit_the_size_is_broken(count: int) -> None:
    tags = [(256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (277, 1), (278, 16)]
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    packed += struct.pack("<HHII", 273, 4, count, 8) + struct.pack("<HHII", 279, 4, 1, 256)
    data = b"II*\0" + struct.pack("<I", 8 + 4 * 98_000) + bytes(4 * 98_000) + struct.pack("<H", 9) + packed + bytes(4)
    with pytest.raises(BadPicture, match="strips"):
        codec.read_header(data, ENOUGH)


def test_very_many_strips_are_refused() -> None:
    tags = [(256, 16), (257, 1_000_000), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 16)]
    with pytest.raises(TooLarge, match="strips or tiles"):
        codec.read_header(one_page(tags, bytes(256)), 10**9)


def test_directories_with_very_many_entries_or_values_that_overlap_are_refused() -> None:
    with pytest.raises(BadPicture, match="entries"):
        codec.read_header(b"II*\0\x08\0\0\0" + struct.pack("<H", 60_000) + bytes(12 * 60_000 + 4), ENOUGH)
    shared = b"".join(struct.pack("<HHII", 60_000 + tag, 7, 1_000_000, 8) for tag in range(100))
    data = b"II*\0" + struct.pack("<I", 8 + 10**6) + bytes(10**6) + struct.pack("<H", 100) + shared + bytes(4)
    with pytest.raises(BadPicture, match="overlap"):
        codec.read_header(data, ENOUGH)


def test_samples_that_need_much_memory_are_refused_before_they_are_read() -> None:
    with pytest.raises(TooLarge, match="bytes"):
        codec.read_header(tiff(np.zeros((16, 16, 40), np.float64), photometric="rgb", planarconfig="contig"), 256)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "zstd"])
def test_deep_samples_that_are_cut_short_are_broken(compression: str | None) -> None:
    data = bytearray(tiff(planes(DEEP), photometric="rgb", planarconfig="separate", compression=compression))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        begin = file.pages.first.dataoffsets[-1]
    whole = decode(bytes(data))
    assert whole.pixels.shape == RGB.shape
    with pytest.raises(BadPicture):
        decode(bytes(data[: begin + 40]))
