"""Kinds of PNG, JPEG, GIF and other files that people send: taken as they look elsewhere, or refused by their name."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from service import codec
from service.contract.problems import BadPicture, TooLarge, UnsupportedFormat

from ...picture_files import encoded

ENOUGH = 1_000_000
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def decode(data: bytes) -> codec.DecodedPicture:
    return codec.decode(codec.read_header(data, ENOUGH))


def chunk(kind: bytes, content: bytes, *, is_sound: bool = True) -> bytes:
    checksum = zlib.crc32(kind + content) ^ (not is_sound)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def with_chunk(png: bytes, added: bytes, at: int = 33) -> bytes:
    """Return a PNG with bytes behind its header, which ends at 33."""
    return png[:at] + added + png[at:]


def assert_shows(data: bytes, photo: Image.Image) -> None:
    assert np.array_equal(decode(data).pixels.numpy(), np.asarray(photo.convert("RGB")))


# PNG


@pytest.mark.parametrize(
    "added",
    [
        chunk(b"pHYs", b"\0\0"),
        chunk(b"tIME", b""),
        chunk(b"tEXt", b"a\0b", is_sound=False),
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(5_000_000))),
        chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(5_000_000))),
        chunk(b"iCCP", b"a\0\0broken"),
        chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(5_000_000))),
        chunk(b"cHRM", b"short"),
        chunk(b"acTL", b""),
        chunk(b"eXIf", b"broken"),
    ],
    ids=lambda added: added[4:8].decode() + str(len(added)),
)
def test_a_chunk_that_only_tells_something_may_be_broken_or_large(
    photo: Image.Image, photo_png: bytes, added: bytes
) -> None:
    assert_shows(with_chunk(photo_png, added), photo)


def test_a_large_profile_is_used_and_not_passed_on(photo: Image.Image) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    large = struct.pack(">I", 1_500_000) + profile[4:] + bytes(1_500_000 - len(profile))
    picture = decode(with_chunk(encoded(photo), chunk(b"iCCP", b"a\0\0" + zlib.compress(large))))
    assert np.abs(picture.pixels.numpy().astype(int) - np.asarray(photo)).max() <= 1
    assert len(picture.profile or b"") < 10_000


def test_texts_that_inflate_to_very_much_are_refused(photo_png: bytes) -> None:
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000)))
    with pytest.raises(BadPicture, match="texts"):
        codec.read_header(with_chunk(photo_png, text * 80), ENOUGH)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
@pytest.mark.parametrize("gamma", [1.0, 1 / 1.8])
def test_gama_without_a_profile_is_applied_as_browsers_do(photo: Image.Image, mode: str, gamma: float) -> None:
    stored = photo.quantize(64) if mode == "P" else photo.convert(mode)
    data = with_chunk(encoded(stored), chunk(b"gAMA", struct.pack(">I", round(100_000 * gamma))))
    light = (np.asarray(stored.convert("RGB")) / 255) ** (1 / gamma)
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    assert np.abs(decode(data).pixels.numpy() - expected).max() <= 1


@pytest.mark.parametrize("other", [chunk(b"sRGB", b"\0"), chunk(b"cICP", b"\1\x0d\0\1")])
def test_gama_beside_what_says_more_is_ignored(photo: Image.Image, photo_png: bytes, other: bytes) -> None:
    assert_shows(with_chunk(photo_png, chunk(b"gAMA", struct.pack(">I", 100_000)) + other), photo)


@pytest.mark.parametrize("value", [45_455, 0])
def test_the_usual_gama_changes_nothing(photo: Image.Image, photo_png: bytes, value: int) -> None:
    assert_shows(with_chunk(photo_png, chunk(b"gAMA", struct.pack(">I", value))), photo)


def test_a_png_of_an_iphone_application_is_named(photo_png: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match="CgBI"):
        codec.read_header(with_chunk(photo_png, chunk(b"CgBI", bytes(4)), at=8), ENOUGH)


@pytest.mark.parametrize("frames", [10_001, 1_000_000])
def test_an_apng_that_claims_very_many_frames_is_refused(photo_png: bytes, frames: int) -> None:
    with pytest.raises(TooLarge, match="frames"):
        codec.read_header(with_chunk(photo_png, chunk(b"acTL", struct.pack(">II", frames, 0))), ENOUGH)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA"])
@pytest.mark.parametrize("missing", [1, 4, 11, 12, 14, 17, 19])
def test_a_png_that_lacks_only_its_end_is_taken(photo: Image.Image, mode: str, missing: int) -> None:
    stored = photo.quantize(64) if mode == "P" else photo.convert(mode)
    header = codec.read_header(encoded(stored)[:-missing], ENOUGH)
    assert header.is_truncated
    assert np.array_equal(codec.decode(header).pixels.numpy(), np.asarray(stored.convert("RGB")))


@pytest.mark.parametrize("missing", [30, 40, 60])
def test_a_png_that_lacks_pixels_is_refused(photo_png: bytes, missing: int) -> None:
    with pytest.raises(BadPicture, match="cut short"):
        decode(photo_png[:-missing])


def test_a_whole_picture_is_not_said_to_be_truncated(photo: Image.Image, photo_png: bytes) -> None:
    for data in (photo_png, encoded(photo, "jpeg"), encoded(photo, "gif"), encoded(photo, "tiff")):
        assert not codec.read_header(data, ENOUGH).is_truncated


def test_a_deep_png_that_is_shrunk_differs_by_at_most_a_level() -> None:
    levels = np.linspace(0, 65_535, 64 * 64 * 3).reshape(64, 64, 3).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in levels)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 16, 2, 0, 0, 0))
    data = SIGNATURE + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    whole = Image.fromarray(decode(data).pixels.numpy()).resize((16, 16), Image.Resampling.LANCZOS)
    shrunk = codec.decode(codec.read_header(data, ENOUGH), (16, 16)).pixels.numpy()
    assert np.abs(shrunk.astype(int) - np.asarray(whole)).max() <= 1


# JPEG


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": "4:2:0"}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_that_lacks_only_its_end_is_taken(
    photo: Image.Image, mode: str, options: dict[str, object], missing: int
) -> None:
    data = encoded(photo.convert(mode), "jpeg", **options)
    header = codec.read_header(data[:-missing], ENOUGH)
    assert header.is_truncated
    assert np.array_equal(codec.decode(header).pixels.numpy(), decode(data).pixels.numpy())


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("missing", [30, 60, 200])
def test_a_jpeg_that_lacks_pixels_is_refused(photo: Image.Image, options: dict[str, object], missing: int) -> None:
    with pytest.raises(BadPicture, match="cut short"):
        decode(encoded(photo, "jpeg", quality=95, **options)[:-missing])


def test_a_jpeg_cut_between_its_scans_is_refused(photo: Image.Image) -> None:
    data = encoded(photo, "jpeg", progressive=True)
    with pytest.raises(BadPicture, match="cut short"):
        decode(data[: data.rindex(b"\xff\xda")])


@pytest.mark.parametrize(("offset", "value", "named"), [(4, 12, "12-bit"), (1, 0xC3, "lossless"), (9, 2, "2 channels")])
def test_a_kind_of_jpeg_that_is_not_read_is_named(photo: Image.Image, offset: int, value: int, named: str) -> None:
    data = bytearray(encoded(photo, "jpeg"))
    data[data.index(b"\xff\xc0") + offset] = value
    with pytest.raises(UnsupportedFormat, match=f"this kind of JPEG .*{named}"):
        decode(bytes(data))


@pytest.mark.parametrize("filling", [b"\xff", b"\xff\x01", b"\xff\xfe\0\2"])
def test_very_many_markers_of_a_jpeg_are_refused(photo: Image.Image, filling: bytes) -> None:
    data = encoded(photo, "jpeg")
    with pytest.raises(TooLarge, match=r"markers|segments"):
        codec.read_header(data[:2] + filling * 200_000 + data[2:], ENOUGH)


def test_exif_whose_values_overlap_is_left_out_before_it_costs_memory(photo: Image.Image) -> None:
    entries = b"".join(struct.pack("<HHII", 40_000 + number, 7, 60_000, 8) for number in range(4_000))
    exif = b"II*\0\x08\0\0\0" + struct.pack("<H", 4_000) + entries + bytes(16_000)
    data = encoded(photo, "jpeg")
    content = b"Exif\0\0" + exif
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(content)) + content
    header = codec.read_header(data[:2] + segment + data[2:], ENOUGH)
    assert header.image is not None
    assert "exif" not in header.image.info
    assert codec.decode(header, keep_metadata=True).metadata.exif is None


# GIF, BMP and others


def test_comments_and_later_frames_of_a_gif_are_not_given_to_the_decoder(photo: Image.Image) -> None:
    frames = [photo.convert("L"), Image.new("L", photo.size)]
    data = encoded(frames[0], "gif", save_all=True, append_images=frames[1:], comment=b"a" * 3_000)
    header = codec.read_header(data, ENOUGH)
    assert header.frames == 2
    assert header.image is not None
    assert "comment" not in header.image.info
    assert np.array_equal(codec.decode(header).pixels.numpy()[..., 0], np.asarray(frames[0]))


def test_very_many_blocks_of_a_gif_are_refused() -> None:
    start = b"GIF89a" + struct.pack("<HHBBB", 16, 16, 0x80, 0, 0) + bytes(6)
    with pytest.raises(TooLarge, match="blocks"):
        codec.read_header(start + b"!\xfe" + b"\1a" * 1_100_000, ENOUGH)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P"])
def test_a_bmp_is_taken_and_answered_as_png(photo: Image.Image, mode: str) -> None:
    stored = photo.convert(mode)
    picture = decode(encoded(stored, "bmp"))
    assert picture.format == "png"
    assert np.array_equal(picture.pixels.numpy(), np.asarray(stored.convert("RGB")))


@pytest.mark.parametrize("format", ["ico", "ppm", "tga"])
def test_other_formats_stay_unsupported(photo: Image.Image, format: str) -> None:  # noqa: A002
    with pytest.raises(UnsupportedFormat, match="JPEG, PNG, WEBP"):
        decode(encoded(photo, format))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a drawing -->\n<svg width="9"/>', "SVG"),
        (b"%PDF-1.7\n", "PDF"),
        (b"<!DOCTYPE html><html><body>", "web page"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\xff\x0a\xfa\x7f", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x18ftypcrx ", "raw file"),
        (b"FUJIFILMCCD-RAW 0201", "raw file"),
    ],
)
def test_a_file_of_a_known_kind_is_told_what_it_is(data: bytes, told: str) -> None:
    with pytest.raises(UnsupportedFormat, match=f"this is an? .*{told}"):
        decode(data)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
def test_a_heic_without_its_extra_is_told_which_one(brand: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.codec.opening.ANSWERS", {"JPEG": "jpeg", "PNG": "png"})
    with pytest.raises(UnsupportedFormat, match=r"impasto\[heic\]"):
        decode(struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1heic" + bytes(100))


# XMP

GONE: list[tuple[str, str]] = [
    ("http://ns.adobe.com/hdr-gain-map/1.0/", "Version"),
    ("http://ns.google.com/photos/1.0/camera/", "MotionPhoto"),
    ("http://ns.google.com/photos/1.0/container/", "Directory"),
    ("http://ns.google.com/photos/1.0/depthmap/", "Mime"),
    ("http://ns.apple.com/HDRGainMap/1.0/", "HDRGainMapVersion"),
    ("http://ns.adobe.com/xmp/note/", "HasExtendedXMP"),
    ("http://ns.adobe.com/tiff/1.0/", "Orientation"),
]


def xmp_of(upload: bytes, *, size: tuple[int, int] | None = None, enlargement: float = 1) -> bytes:
    picture = codec.decode(codec.read_header(upload, ENOUGH), size, keep_metadata=True, enlargement=enlargement)
    return picture.metadata.xmp or b""


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("write", ["jpeg", "png"])
@pytest.mark.parametrize(("space", "name"), GONE)
def test_what_the_answer_no_longer_has_is_left_out_of_its_xmp(
    photo: Image.Image, space: str, name: str, write: str, quote: str
) -> None:
    for content in (f"p:{name}={quote}6{quote}>", f"><p:{name}>6</p:{name}>"):
        described = f'<rdf:Description xmlns:p="{space}" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:title="Boat" '
        xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:rdf="r">{described}{content}</rdf:Description></x:xmpmeta>'
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp)
        options = {"pnginfo": info} if write == "png" else {"xmp": xmp.encode()}
        kept = xmp_of(encoded(photo, write, **options))
        assert name.encode() not in kept
        assert b'dc:title="Boat"' in kept


def test_the_sizes_of_a_panorama_follow_the_answer(photo: Image.Image) -> None:
    panorama = 'xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" GPano:ProjectionType="equirectangular" '
    sizes = f'GPano:FullPanoWidthPixels="{photo.width}"'
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/" {panorama}{sizes}/>'.encode()
    upload = encoded(photo, "jpeg", xmp=xmp)
    assert f'FullPanoWidthPixels="{photo.width * 4}"'.encode() in xmp_of(upload, enlargement=4)
    half = photo.width // 2, photo.height // 2
    assert f'FullPanoWidthPixels="{half[0]}"'.encode() in xmp_of(upload, size=half)
    assert b'ProjectionType="equirectangular"' in xmp_of(upload)


@pytest.mark.parametrize("xmp", [b"<a>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"<a>" * 9_000, b"\0\1"])
def test_xmp_that_cannot_be_read_is_left_out(photo: Image.Image, xmp: bytes) -> None:
    assert xmp_of(encoded(photo, "jpeg", xmp=xmp)) == b""


# Private tags


@pytest.mark.parametrize("keep_metadata", [False, True])
def test_private_tags_of_a_tiff_are_kept_only_with_all_metadata(photo: Image.Image, *, keep_metadata: bool) -> None:
    tags = {50735: "SERIAL-1", 33550: (1.0, 1.0, 0.0), 42112: "<GDALMetadata/>", 271: "Acme"}
    header = codec.read_header(encoded(photo, "tiff", tiffinfo=tags), ENOUGH)
    exif = codec.decode(header, keep_metadata=keep_metadata).metadata.exif or b""
    assert b"Acme" in exif
    assert (b"SERIAL-1" in exif, b"GDAL" in exif) == (keep_metadata, keep_metadata)


def test_an_upload_is_limited_by_its_pixels_and_a_deep_one_by_half_as_many(photo: Image.Image) -> None:
    deep = encoded(Image.fromarray(np.zeros((20, 30), np.uint16)))
    codec.read_header(deep, 1_200)
    with pytest.raises(TooLarge, match="16 bits a channel"):
        codec.read_header(deep, 1_198)
    with pytest.raises(TooLarge):
        codec.read_header(encoded(photo), photo.width * photo.height - 1)
