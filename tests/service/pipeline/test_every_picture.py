"""Files of every format, mode, orientation and profile, against references that do not go through the codec."""

import asyncio
import importlib
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from model_store.store import BUNDLED, Store
from service import codec
from service.codec import colour
from service.codec.formats import ANSWERS
from service.contract.options import StylizeOptions
from service.pipeline.runtime import Runtime
from service.pipeline.settings import ComputeSettings

from ...picture_files import UPRIGHT, encoded, turned
from .making import make

HEIF = importlib.import_module("pillow_heif") if "HEIF" in ANSWERS else None
PHOTOS = Path(__file__).parents[2] / "pictures"
ENOUGH = 1_000_000
LOSSY = 3.0
"""Largest mean difference, in levels of 255, of a lossy file from what was written into it."""
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


class Case(NamedTuple):
    data: bytes
    rgb: np.ndarray
    """Pixels that are expected, uint8 `(H, W, 3)`, in sRGB."""
    alpha: np.ndarray | None = None
    tolerance: float = 0.0
    """Largest mean difference, in levels of 255."""
    frames: int = 1


# What goes into the files


def photo() -> Image.Image:
    """Return a smooth, colourful photo, which differs from each of its mirror images and rotations."""
    rows, columns = np.mgrid[:24, :40]
    return Image.fromarray(np.stack([columns * 6, rows * 10, 200 - 3 * rows - 2 * columns], axis=-1).astype(np.uint8))


def soft_alpha() -> Image.Image:
    return Image.fromarray(np.linspace(40, 255, 24 * 40).astype(np.uint8).reshape(24, 40))


def translucent(mode: str = "RGBA") -> Image.Image:
    image = photo()
    image.putalpha(soft_alpha())
    return image.convert(mode)


def deep(channels: int) -> np.ndarray:
    return np.random.default_rng(channels).integers(1, 65536, (24, 40, channels), dtype=np.uint16)


def rounded(samples: np.ndarray) -> np.ndarray:
    """Round samples of 16 bits to 8 bits."""
    return np.rint(samples / 257).astype(np.uint8)


def rgb_of(image: Image.Image | np.ndarray) -> np.ndarray:
    array = np.asarray(image)
    return array[..., None].repeat(3, axis=-1) if array.ndim == 2 else array[..., :3]


def cmyk_to_rgb(cmyk: Image.Image) -> np.ndarray:
    ink = np.asarray(cmyk).astype(float) / 255
    return np.rint(255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])).astype(np.uint8)


# How files are made


def heic(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    HEIF.from_pillow(image).save(buffer, quality=95, chroma="444", **options)
    return buffer.getvalue()


def deep_png(samples: np.ndarray, colour_type: int, transparent: bytes = b"") -> bytes:
    height, width, _ = samples.shape
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in samples)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)),
        *([(b"tRNS", transparent)] if transparent else []),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    ]
    parts = (struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def deep_tiff(samples: np.ndarray, order: str, photometric: int = 2, extra: int | None = None) -> bytes:
    """Return a TIFF with 16 bits a channel, uncompressed, in one strip."""
    height, width, channels = samples.shape
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    directory = ImageFileDirectory_v2(header, header[:2])
    directory.update(
        {256: width, 257: height, 258: (16,) * channels, 259: 1, 262: photometric, 277: channels, 278: height}
    )
    directory.update({273: 0, 279: samples.nbytes} | ({} if extra is None else {338: (extra,)}))
    return header + directory.tobytes(8) + samples.astype(f"{order}u2").tobytes()


def icc(space: bytes, kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return an ICC profile of version 2.4."""
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    white = struct.pack(">3i", 63190, 65536, 54061)
    header = struct.pack(">II4s4s4s4s12x4s", start + len(body), 0, b"\2\x40\0\0", kind, space, *_PCS[kind], b"acsp")
    return header.ljust(68, b"\0") + white + b"\0" * 48 + table + body


_PCS = {b"mntr": (b"XYZ ",), b"prtr": (b"Lab ",)}


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def rgb_profile(exponent: float, *primaries: tuple[float, float, float]) -> bytes:
    columns = {name: xyz(*primary) for name, primary in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)}
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma(exponent))
    return icc(b"RGB ", b"mntr", {b"wtpt": xyz(0.9642, 1, 0.8249), **columns, **curves})


def ink_profile() -> bytes:
    """Return a profile of CMYK with a table of two points an axis: each ink darkens in its own direction."""
    corners = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), axis=-1).reshape(-1, 4).astype(float)
    effects = np.array([[-90, -30, -50], [-90, 60, -10], [-20, 0, 80], [-220, 0, 0]])
    lab = np.clip(np.array([250, 128, 128]) + corners @ effects, 0, 255).astype(np.uint8)
    straight = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 if number % 4 == 0 else 0 for number in range(9)))
    table = b"mft1\0\0\0\0\4\3\2\0" + matrix + straight * 4 + lab.tobytes() + straight * 3
    return icc(b"CMYK", b"prtr", {b"wtpt": xyz(0.9642, 1, 0.8249), b"A2B0": table})


PROFILES = {
    "Display P3": rgb_profile(
        2.2, (0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)
    ),
    "Adobe RGB": rgb_profile(
        2.2, (0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)
    ),
    "ProPhoto": rgb_profile(1.8, (0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.00009), (0.03134, 0.00009, 0.82491)),
    "sRGB": SRGB.tobytes(),
}
GREY_PROFILE = icc(b"GRAY", b"mntr", {b"wtpt": xyz(0.9642, 1, 0.8249), b"kTRC": gamma(1.2)})
INK_PROFILE = ink_profile()


def by_profile(image: Image.Image, profile: bytes) -> np.ndarray:
    """Convert a picture to sRGB by Little CMS alone."""
    converted = ImageCms.profileToProfile(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), SRGB, outputMode="RGB")
    return np.asarray(converted)


LOSSLESS: dict[str, dict[str, object]] = {
    "PNG": {},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True, "exact": True},
}
GOOD: dict[str, dict[str, object]] = {"JPEG": {"quality": 95, "subsampling": "4:4:4"}, "AVIF": {"quality": 95}}


# The table


def opaque_cases() -> Iterator[tuple[str, Case]]:
    rgb, grey = photo(), photo().convert("L")
    for format, options in LOSSLESS.items():  # noqa: A001
        yield f"{format} RGB", Case(encoded(rgb, format, **options), rgb_of(rgb))
    for format, options in GOOD.items():  # noqa: A001
        yield f"{format} RGB", Case(encoded(rgb, format, **options), rgb_of(rgb), tolerance=LOSSY)
    for format in ("PNG", "TIFF"):  # noqa: A001
        bits = grey.convert("1")
        palette = rgb.quantize(32)
        yield f"{format} 1 bit", Case(encoded(bits, format), rgb_of(np.asarray(bits) * np.uint8(255)))
        yield f"{format} grey", Case(encoded(grey, format), rgb_of(grey))
        yield f"{format} palette", Case(encoded(palette, format), rgb_of(palette.convert("RGB")))
    yield "JPEG grey", Case(encoded(grey, "JPEG", quality=95), rgb_of(grey), tolerance=LOSSY)
    yield "JPEG 4:2:0", Case(encoded(rgb, "JPEG", quality=95, subsampling="4:2:0"), rgb_of(rgb), tolerance=LOSSY)
    yield "JPEG progressive", Case(encoded(rgb, "JPEG", quality=95, progressive=True), rgb_of(rgb), tolerance=LOSSY)
    yield (
        "MPO",
        Case(encoded(rgb, "MPO", save_all=True, append_images=[grey], quality=95), rgb_of(rgb), tolerance=LOSSY),
    )
    yield "WEBP lossy", Case(encoded(rgb, "WEBP", quality=95), rgb_of(rgb), tolerance=LOSSY)
    yield "GIF", Case(encoded(rgb.quantize(32), "GIF"), rgb_of(rgb.quantize(32).convert("RGB")))
    for compression in ("raw", "tiff_adobe_deflate", "packbits"):
        yield f"TIFF {compression}", Case(encoded(rgb, "TIFF", compression=compression), rgb_of(rgb))
    yield "TIFF JPEG", Case(encoded(rgb, "TIFF", compression="jpeg", quality=95), rgb_of(rgb), tolerance=LOSSY)
    lab = ImageCms.applyTransform(rgb, ImageCms.buildTransform(SRGB, ImageCms.createProfile("LAB"), "RGB", "LAB"))
    yield "TIFF LAB", Case(encoded(lab, "TIFF"), rgb_of(rgb), tolerance=2)


def cmyk_cases() -> Iterator[tuple[str, Case]]:
    cmyk = Image.merge("CMYK", (*photo().split(), Image.new("L", (40, 24), 60)))
    adobe = encoded(cmyk, "JPEG", quality=98)
    yield "CMYK JPEG, Adobe's", Case(adobe, cmyk_to_rgb(cmyk), tolerance=LOSSY)
    marker = adobe.index(b"\xff\xee\x00\x0eAdobe")
    plain = adobe[:marker] + adobe[marker + 16 :]
    yield "CMYK JPEG without Adobe's marker", Case(plain, cmyk_to_rgb(cmyk), tolerance=LOSSY)
    # As YCCK the first three channels are YCbCr of the inks; Pillow inverts all four when it writes them.
    ycc = Image.merge("RGB", cmyk.split()[:3]).convert("YCbCr")
    stored = Image.merge(
        "CMYK", [band.point(lambda level: 255 - level) for band in ycc.split()] + [cmyk.getchannel("K")]
    )
    ycck = encoded(stored, "JPEG", quality=98).replace(b"Adobe\0\x64\0\0\0\0\0", b"Adobe\0\x64\0\0\0\0\2")
    yield "YCCK JPEG", Case(ycck, cmyk_to_rgb(cmyk), tolerance=LOSSY)
    yield "CMYK TIFF", Case(encoded(cmyk, "TIFF"), cmyk_to_rgb(cmyk), tolerance=1)
    reference = by_profile(cmyk, INK_PROFILE)
    yield "CMYK TIFF with a profile", Case(encoded(cmyk, "TIFF", icc_profile=INK_PROFILE), reference)
    yield (
        "CMYK JPEG with a profile",
        Case(encoded(cmyk, "JPEG", quality=98, icc_profile=INK_PROFILE), reference, None, LOSSY),
    )


def deep_cases() -> Iterator[tuple[str, Case]]:
    grey, pair, rgb, rgba = (deep(channels) for channels in (1, 2, 3, 4))
    yield "PNG 16 bits grey", Case(deep_png(grey, 0), rgb_of(rounded(grey)[..., 0]))
    yield "PNG 16 bits grey and alpha", Case(deep_png(pair, 4), rgb_of(rounded(pair[..., 0])), rounded(pair[..., 1]))
    yield "PNG 16 bits RGB", Case(deep_png(rgb, 2), rounded(rgb))
    yield "PNG 16 bits RGBA", Case(deep_png(rgba, 6), rounded(rgba[..., :3]), rounded(rgba[..., 3]))
    key = rgb[0, 0]
    hole = np.where((rgb == key).all(-1), 0, 255).astype(np.uint8)
    yield "PNG 16 bits, one colour transparent", Case(deep_png(rgb, 2, key.astype(">u2").tobytes()), rounded(rgb), hole)
    for order, name in (("<", "little"), (">", "big")):
        yield f"TIFF 16 bits RGB, {name}-endian", Case(deep_tiff(rgb, order), rounded(rgb))
        yield f"TIFF 16 bits grey, {name}-endian", Case(deep_tiff(grey, order, 1), rgb_of(rounded(grey)[..., 0]))
        yield (
            f"TIFF 16 bits RGBA, {name}-endian",
            Case(deep_tiff(rgba, order, extra=2), rounded(rgba[..., :3]), rounded(rgba[..., 3])),
        )
    values = np.linspace(0, 1, 24 * 40, dtype=np.float32).reshape(24, 40)
    eight_bit = rgb_of(np.rint(values * 255).astype(np.uint8))
    yield "TIFF floats up to 1", Case(encoded(Image.fromarray(values), "TIFF"), eight_bit)
    yield "TIFF floats up to 255", Case(encoded(Image.fromarray(values * 255), "TIFF"), eight_bit)
    whole = (values * 65535).astype(np.int32)
    yield "TIFF 32-bit integers", Case(encoded(Image.fromarray(whole), "TIFF"), rgb_of(rounded(whole)))


def alpha_cases() -> Iterator[tuple[str, Case]]:
    rgba, grey = translucent(), translucent("LA")
    mask = np.asarray(soft_alpha())
    for format, options in LOSSLESS.items():  # noqa: A001
        yield f"{format} RGBA", Case(encoded(rgba, format, **options), rgb_of(rgba), mask)
    yield "AVIF RGBA", Case(encoded(rgba, "AVIF", quality=95), rgb_of(rgba), mask, LOSSY)
    for format in ("PNG", "TIFF"):  # noqa: A001
        yield f"{format} grey and alpha", Case(encoded(grey, format), rgb_of(np.asarray(grey)[..., 0]), mask)
    palette = photo().quantize(8)
    opacity = bytes([20, 60, 100, 140, 180, 220, 240, 255])
    graded = np.frombuffer(opacity, np.uint8)[np.asarray(palette)]
    yield (
        "PNG palette, graded",
        Case(encoded(palette, "PNG", transparency=opacity), rgb_of(palette.convert("RGB")), graded),
    )
    for format in ("PNG", "GIF"):  # noqa: A001
        clear = np.where(np.asarray(palette) == 3, 0, 255).astype(np.uint8)
        data = encoded(palette, format, transparency=3)
        yield f"{format} palette, one entry transparent", Case(data, rgb_of(palette.convert("RGB")), clear)
    corner = photo().getpixel((0, 0))
    hole = np.where((np.asarray(photo()) == corner).all(-1), 0, 255).astype(np.uint8)
    yield "PNG one colour transparent", Case(encoded(photo(), "PNG", transparency=corner), rgb_of(photo()), hole)


def turned_cases() -> Iterator[tuple[str, Case]]:
    for format, options in (LOSSLESS | GOOD).items():  # noqa: A001
        for orientation, upright in UPRIGHT.items():
            data = encoded(photo(), format, exif=turned(orientation), **options)
            yield f"{format} turned {orientation}", Case(data, upright(rgb_of(photo())), None, LOSSY * (format in GOOD))
    mask = np.asarray(soft_alpha())[..., None]
    data = encoded(translucent(), "PNG", exif=turned(6))
    yield "PNG RGBA turned 6", Case(data, UPRIGHT[6](rgb_of(photo())), UPRIGHT[6](mask)[..., 0])


def profiled_cases() -> Iterator[tuple[str, Case]]:
    for format, options in (LOSSLESS | GOOD).items():  # noqa: A001
        for name, profile in PROFILES.items():
            data = encoded(photo(), format, icc_profile=profile, **options)
            yield f"{format} in {name}", Case(data, by_profile(photo(), profile), None, LOSSY * (format in GOOD))
    grey = photo().convert("L")
    yield (
        "PNG grey in a grey profile",
        Case(encoded(grey, "PNG", icc_profile=GREY_PROFILE), by_profile(grey, GREY_PROFILE)),
    )
    p3 = PROFILES["Display P3"]
    yield "PNG grey in Display P3", Case(encoded(grey, "PNG", icc_profile=p3), by_profile(grey.convert("RGB"), p3))
    reference = UPRIGHT[8](by_profile(photo(), p3))
    data = encoded(translucent(), "PNG", icc_profile=p3, exif=turned(8))
    yield (
        "PNG RGBA in Display P3 turned 8",
        Case(data, reference, UPRIGHT[8](np.asarray(soft_alpha())[..., None])[..., 0]),
    )


def animated_cases() -> Iterator[tuple[str, Case]]:
    black = [Image.new("RGB", photo().size), Image.new("RGB", photo().size, "white")]
    for format, options in {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}.items():  # noqa: A001
        data = encoded(photo(), format, save_all=True, append_images=black, **options)
        yield f"{format} with frames", Case(data, rgb_of(photo()), frames=3)
    data = encoded(photo(), "AVIF", save_all=True, append_images=black, quality=95)
    yield "AVIF with frames", Case(data, rgb_of(photo()), None, LOSSY, 3)
    palette = photo().quantize(32)
    data = encoded(palette, "GIF", save_all=True, append_images=black)
    yield "GIF with frames", Case(data, rgb_of(palette.convert("RGB")), frames=3)


def real_cases() -> Iterator[tuple[str, Case]]:
    for name in ("chelsea.jpg", "coffee.jpg"):
        with Image.open(PHOTOS / name) as image:
            yield name, Case((PHOTOS / name).read_bytes(), rgb_of(image))


def heic_cases() -> Iterator[tuple[str, Case]]:
    if HEIF is not None:
        yield "HEIC RGB", Case(heic(photo()), rgb_of(photo()), None, LOSSY)
        yield "HEIC RGBA", Case(heic(translucent()), rgb_of(photo()), np.asarray(soft_alpha()), LOSSY)
        data = heic(photo(), exif=turned(6).tobytes())
        yield "HEIC turned 6", Case(data, UPRIGHT[6](rgb_of(photo())), None, LOSSY)
        p3 = PROFILES["Display P3"]
        in_p3 = photo()
        in_p3.info["icc_profile"] = p3
        yield "HEIC in Display P3", Case(heic(in_p3), by_profile(photo(), p3), None, LOSSY)


CASES = dict(
    case
    for cases in (
        *(opaque_cases(), cmyk_cases(), deep_cases(), alpha_cases(), turned_cases()),
        *(profiled_cases(), animated_cases(), real_cases(), heic_cases()),
    )
    for case in cases
)


def test_the_table_is_long() -> None:
    assert len(CASES) >= 60


def assert_alike(case: Case, rgb: np.ndarray, alpha: np.ndarray | None) -> None:
    assert rgb.shape == case.rgb.shape
    assert (alpha is None) == (case.alpha is None)
    if alpha is not None and case.alpha is not None:
        assert np.abs(alpha.astype(int) - case.alpha).mean() <= case.tolerance
        seen = case.alpha > 0
        rgb, reference = rgb[seen], case.rgb[seen]
    else:
        reference = case.rgb
    difference = np.abs(rgb.astype(int) - reference)
    assert difference.mean() <= case.tolerance
    if not case.tolerance:
        assert difference.max() == 0


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_picture_is_read_as_its_reference(case: Case) -> None:
    header = codec.read_header(case.data, ENOUGH)
    picture = codec.decode(header)
    mask = None if picture.alpha is None else picture.alpha.numpy()
    assert header.frames == case.frames
    assert_alike(case, colour.to_srgb(picture.pixels, picture.profile).numpy(), mask)


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    """Yield a runtime with the bundled styles."""
    runtime = Runtime(Store(BUNDLED), torch.device("cpu"), ComputeSettings())
    yield runtime
    runtime.close()


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_strength_of_0_gives_the_photo_back(runtime: Runtime, case: Case) -> None:
    answer = asyncio.run(make(runtime, StylizeOptions(style="muse", strength=0, format="png"), case.data))
    image = Image.open(io.BytesIO(answer.content))
    assert image.getexif().get(0x0112, 1) == 1
    profile = image.info.get("icc_profile")
    rgb = by_profile(image.convert("RGB"), profile) if profile else np.asarray(image.convert("RGB"))
    mask = np.asarray(image.getchannel("A")) if image.mode == "RGBA" else None
    assert_alike(case._replace(tolerance=max(case.tolerance, 0.1)), rgb, mask)
    assert answer.frames == case.frames
