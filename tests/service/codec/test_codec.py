"""Decoding and encoding: formats, orientation, colours, kinds of pixels, alpha, and uploads that are refused."""

import contextlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from service import codec
from service.codec import DecodedPicture, alpha, colour, encode
from service.contract.options import Format
from service.contract.problems import BadPicture, Problem, TooLarge, UnsupportedFormat

from ...picture_files import UPRIGHT, damaged, encoded, turned

PHOTOS = Path(__file__).parents[2] / "pictures"
FORMATS = ["jpeg", "png", "webp", "avif"]
ENOUGH = 10_000_000


def decode(data: bytes, max_pixels: int) -> DecodedPicture:
    return codec.decode(codec.read_header(data, max_pixels))


def pixels_of(image: Image.Image) -> np.ndarray:
    return decode(encoded(image), ENOUGH).pixels.numpy()


def in_srgb(picture: DecodedPicture) -> torch.Tensor:
    return colour.to_srgb(picture.pixels, picture.profile)


def distance(pixels: torch.Tensor, reference: Image.Image | np.ndarray) -> float:
    """Return the mean absolute difference in levels of 255."""
    assert tuple(pixels.shape) == np.asarray(reference).shape
    return float(np.abs(pixels.numpy().astype(float) - np.asarray(reference).astype(float)).mean())


def png_header(width: int, height: int) -> bytes:
    """Return a PNG whose header announces a size, and which has hardly any data."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def exchanged_primaries() -> bytes:
    """Return an ICC profile like sRGB, but with red and blue exchanged."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return srgb.replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ").replace(b"----", b"bXYZ")


@pytest.fixture
def translucent(photo: Image.Image) -> Image.Image:
    """Return the photo, more and more transparent towards the bottom, but nowhere wholly."""
    alpha = np.linspace(255, 55, photo.height).astype(np.uint8)[:, None].repeat(photo.width, axis=1)
    image = photo.copy()
    image.putalpha(Image.fromarray(alpha))
    return image


# Round trips


def test_a_png_comes_back_exactly(photo: Image.Image) -> None:
    picture = decode(encoded(photo), ENOUGH)
    again = decode(encode(picture, quality=1), ENOUGH)
    assert torch.equal(again.pixels, picture.pixels)
    assert np.array_equal(picture.pixels.numpy(), np.asarray(photo))


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_read_and_its_name_kept(photo: Image.Image, format: Format) -> None:  # noqa: A002
    picture = decode(encoded(photo, format), ENOUGH)
    assert picture.format == format
    assert picture.alpha is None
    assert distance(picture.pixels, photo) < 5


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_written(photo: Image.Image, format: Format) -> None:  # noqa: A002
    picture = decode(encoded(photo), ENOUGH)._replace(format=format)
    again = decode(encode(picture, quality=95), ENOUGH)
    assert again.format == format
    assert distance(again.pixels, photo) < 3


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif"])
def test_less_quality_makes_a_smaller_file(format: Format) -> None:  # noqa: A002
    photo = decode((PHOTOS / "chelsea.jpg").read_bytes(), ENOUGH)
    corner = DecodedPicture(photo.pixels[:64, :64].contiguous(), None, format)
    assert len(encode(corner, quality=20)) < len(encode(corner, quality=95))


def test_a_photo_from_disk_is_read() -> None:
    with Image.open(PHOTOS / "coffee.jpg") as image:
        size = image.size
    height, width, channels = decode((PHOTOS / "coffee.jpg").read_bytes(), ENOUGH).pixels.shape
    assert ((width, height), channels) == (size, 3)


def test_only_the_first_frame_of_an_animation_is_read(photo: Image.Image) -> None:
    black = Image.new("RGB", photo.size)
    animation = encoded(photo, "webp", save_all=True, append_images=[black], lossless=True)
    assert distance(decode(animation, ENOUGH).pixels, photo) < 1


# Upright, in sRGB


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_pictures_come_out_upright(photo: Image.Image, orientation: int) -> None:
    pixels = decode(encoded(photo, exif=turned(orientation)), ENOUGH).pixels.numpy()
    assert np.array_equal(pixels, UPRIGHT[orientation](np.asarray(photo)))


@pytest.mark.parametrize("format", FORMATS)
def test_the_orientation_is_read_in_every_format(photo: Image.Image, format: Format) -> None:  # noqa: A002
    assert distance(decode(encoded(photo, format, exif=turned(6)), ENOUGH).pixels, photo.rotate(-90, expand=True)) < 5


def test_a_written_picture_is_not_turned_again_when_it_is_read(photo: Image.Image) -> None:
    picture = decode(encoded(photo, exif=turned(6)), ENOUGH)
    assert torch.equal(decode(encode(picture, quality=90), ENOUGH).pixels, picture.pixels)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("exif", [b"Exif\0\0not a TIFF file", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"])
def test_a_picture_with_unreadable_exif_is_taken_as_it_is(photo: Image.Image, format: Format, exif: bytes) -> None:  # noqa: A002
    assert distance(decode(encoded(photo, format, exif=exif), ENOUGH).pixels, photo) < 5


@pytest.mark.parametrize("format", FORMATS)
def test_colours_are_converted_by_the_embedded_profile(
    photo: Image.Image,
    exchanged_primaries: bytes,
    format: Format,  # noqa: A002
) -> None:
    picture = decode(encoded(photo, format, icc_profile=exchanged_primaries), ENOUGH)
    assert distance(in_srgb(picture), np.asarray(photo)[..., ::-1]) < 5


def test_alpha_is_not_touched_by_the_profile(translucent: Image.Image, exchanged_primaries: bytes) -> None:
    picture = decode(encoded(translucent, icc_profile=exchanged_primaries), ENOUGH)
    assert distance(in_srgb(picture), np.asarray(translucent)[..., 2::-1]) < 1
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha.numpy(), np.asarray(translucent)[..., 3])


def test_a_palette_is_converted_by_the_profile_too(photo: Image.Image, exchanged_primaries: bytes) -> None:
    palette = photo.quantize(64)
    picture = decode(encoded(palette, icc_profile=exchanged_primaries), ENOUGH)
    assert distance(in_srgb(picture), np.asarray(palette.convert("RGB"))[..., ::-1]) < 1


def test_a_transparent_colour_stays_transparent_beside_a_profile(
    photo: Image.Image, exchanged_primaries: bytes
) -> None:
    corner = photo.getpixel((0, 0))
    mask = decode(encoded(photo, transparency=corner, icc_profile=exchanged_primaries), ENOUGH).alpha
    assert mask is not None
    assert mask[0, 0] == 0
    assert mask[-1, -1] == 255


@pytest.mark.parametrize(
    "profile", [b"not a profile", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()]
)
def test_a_profile_that_cannot_be_used_is_ignored(photo: Image.Image, profile: bytes) -> None:
    assert distance(decode(encoded(photo, icc_profile=profile), ENOUGH).pixels, photo) == 0


# Every kind of pixel


def test_cmyk_becomes_rgb(photo: Image.Image) -> None:
    assert distance(decode(encoded(photo.convert("CMYK"), "jpeg", quality=95), ENOUGH).pixels, photo) < 5


def test_grey_becomes_rgb(photo: Image.Image) -> None:
    grey = np.asarray(photo.convert("L"))
    assert np.array_equal(pixels_of(Image.fromarray(grey)), grey[..., None].repeat(3, axis=-1))


def test_16_bits_of_grey_become_8() -> None:
    levels = np.arange(0, 65536, 32, dtype=np.uint16).reshape(32, 64)
    eight_bit = pixels_of(Image.fromarray(levels)).astype(float)
    assert np.abs(eight_bit - levels[..., None] / 257).max() <= 1


def test_black_and_white_become_rgb(photo: Image.Image) -> None:
    bits = photo.convert("1")
    assert np.array_equal(pixels_of(bits), np.asarray(bits)[..., None].repeat(3, axis=-1) * 255)


def test_a_palette_becomes_rgb(photo: Image.Image) -> None:
    palette = photo.quantize(64)
    assert np.array_equal(pixels_of(palette), np.asarray(palette.convert("RGB")))


def test_a_transparent_palette_entry_becomes_alpha() -> None:
    palette = Image.new("P", (32, 16), 1)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.paste(0, (0, 0, 8, 16))
    picture = decode(encoded(palette, transparency=0), ENOUGH)
    assert picture.alpha is not None
    assert (picture.alpha[:, :8] == 0).all()
    assert (picture.alpha[:, 8:] == 255).all()
    assert (picture.pixels[:, 8:] == torch.tensor([0, 255, 0])).all()


def test_grey_with_alpha_becomes_rgb_with_alpha(translucent: Image.Image) -> None:
    picture = decode(encoded(translucent.convert("LA")), ENOUGH)
    grey, mask = np.moveaxis(np.asarray(translucent.convert("LA")), -1, 0)
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha.numpy(), mask)
    assert np.array_equal(picture.pixels.numpy(), grey[..., None].repeat(3, axis=-1))


# Alpha


@pytest.mark.parametrize("format", ["png", "webp", "avif"])
def test_alpha_is_kept(translucent: Image.Image, format: Format) -> None:  # noqa: A002
    picture = decode(encoded(translucent), ENOUGH)._replace(format=format)
    again = decode(encode(picture, quality=95), ENOUGH)
    assert again.alpha is not None
    assert distance(again.alpha, np.asarray(translucent)[..., 3]) < 3


def test_jpeg_shows_alpha_over_white(translucent: Image.Image) -> None:
    picture = decode(encoded(translucent), ENOUGH)._replace(format="jpeg")
    again = decode(encode(picture, quality=95), ENOUGH)
    over_white = Image.alpha_composite(Image.new("RGBA", translucent.size, "white"), translucent).convert("RGB")
    assert again.alpha is None
    assert distance(again.pixels, over_white) < 3


def test_colours_hidden_under_alpha_do_not_reach_the_pixels() -> None:
    image = Image.new("RGBA", (32, 16), (0, 200, 0, 255))
    image.paste((255, 0, 255, 0), (0, 0, 16, 16))
    pixels = decode(encoded(image), ENOUGH).pixels
    assert (pixels == torch.tensor([0, 200, 0])).all()


def test_a_wholly_transparent_picture_is_read() -> None:
    mask = decode(encoded(Image.new("RGBA", (16, 16))), ENOUGH).alpha
    assert mask is not None
    assert not mask.any()


def test_alpha_is_enlarged_with_the_picture() -> None:
    mask = torch.zeros(16, 20, dtype=torch.uint8)
    mask[:, 10:] = 255
    enlarged = alpha.enlarge(mask, 4)
    assert enlarged.shape == (64, 80)
    assert (enlarged[:, :32] == 0).all()
    assert (enlarged[:, 48:] == 255).all()


# Refusals


@pytest.mark.parametrize("data", [b"", b"Dear server, this is no picture.", b"BM" + bytes(100), b"%PDF-1.7\n"])
def test_a_file_in_another_format_is_refused_as_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match="JPEG, PNG, WEBP, AVIF, TIFF, GIF"):
        decode(data, ENOUGH)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kept", [0.5, 0.75])
def test_a_picture_cut_short_is_refused_as_broken(photo: Image.Image, format: Format, kept: float) -> None:  # noqa: A002
    data = encoded(photo, format)
    with pytest.raises(BadPicture):
        decode(data[: int(len(data) * kept)], ENOUGH)


@pytest.mark.parametrize("side", [9_000, 100_000])
def test_a_huge_picture_is_refused_before_it_is_decompressed(side: int, photo_png: bytes, decoded: list[int]) -> None:
    with pytest.raises(TooLarge):
        decode(png_header(side, side), ENOUGH)
    assert decoded == []
    decode(photo_png, ENOUGH)
    assert set(decoded) == {0}


def test_the_largest_picture_allowed_is_taken(photo_png: bytes, photo: Image.Image) -> None:
    pixels = photo.width * photo.height
    assert decode(photo_png, max_pixels=pixels).pixels.numel() == 3 * pixels
    with pytest.raises(TooLarge, match=f"{photo.width}×{photo.height}"):
        decode(photo_png, max_pixels=pixels - 1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", FORMATS)
def test_damaged_bytes_are_read_or_raise_a_problem(photo: Image.Image, format: Format) -> None:  # noqa: A002
    for file in damaged(encoded(photo, format), 60):
        with contextlib.suppress(Problem):
            decode(file, ENOUGH)


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif"])
def test_a_picture_too_wide_for_its_format_is_refused(format: Format) -> None:  # noqa: A002
    wide = DecodedPicture(torch.zeros(1, 66_000, 3, dtype=torch.uint8), None, format)
    with pytest.raises(TooLarge):
        encode(wide, quality=90)
