"""The picture of each format that costs most to decode, as far as the codec takes it, found by trying."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import tifffile
from PIL import Image, ImageFile

from ..picture_files import encoded
from .small_pictures import bmp_rle, chunk, png

ImageFile.MAXBLOCK = 64 * 1024**2  # Pillow by itself has too little room for progressive noise

WIDTH, HEIGHT = 1200, 800
"""Size in pixels of most of these pictures."""


def ordinary() -> bytes:
    """Return what others are compared with: a JPEG as a phone makes it."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    waves = np.sin(columns / 37) * np.cos(rows / 23), np.sin(rows / 61), np.cos(columns / 47 + rows / 53)
    grain = np.random.default_rng(0).normal(0, 4, (HEIGHT, WIDTH, 3))
    levels = np.stack(waves, axis=-1) * 90 + 128 + grain
    return encoded(Image.fromarray(levels.clip(0, 255).astype(np.uint8)), "jpeg", quality=92)


def _noise(channels: int, bits: int = 8) -> np.ndarray:
    kind = np.uint8 if bits == 8 else np.uint16
    return np.random.default_rng(0).integers(0, 2**bits, (HEIGHT, WIDTH, channels), dtype=kind)


def _image(mode: str) -> Image.Image:
    samples = _noise(len(Image.new(mode, (1, 1)).getbands()))
    return Image.fromarray(samples[..., 0] if samples.shape[-1] == 1 else samples, mode)


def _tiff(samples: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, photometric="rgb", **options)
    return buffer.getvalue()


def _refined(scans: int) -> bytes:
    """Return a progressive JPEG with so many more scans, each of which goes over all coefficients and changes none."""
    data = encoded(Image.new("RGB", (WIDTH, HEIGHT)), "jpeg", progressive=True)
    table = b"\xff\xc4" + struct.pack(">HB", 20, 0x10) + b"\1" + bytes(15) + b"\xe0"  # the code 0: a run of blocks
    runs = -(-WIDTH // 8) * -(-HEIGHT // 8) // 2**15 + 1
    bits = ("0" + "1" * 14) * runs
    packed = int(bits + "1" * (-len(bits) % 8), 2).to_bytes(-(-len(bits) // 8), "big").replace(b"\xff", b"\xff\0")
    scan = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 1, 63, 0x10) + packed
    return data[:-2] + table + scan * scans + b"\xff\xd9"


def _one_pixel_runs() -> bytes:
    return bmp_rle(_noise(1)[:600, :700, 0])


def _empty_runs() -> bytes:
    """Return a BMP of 16×16 pixels with a megabyte of runs that say nothing new."""
    file = bmp_rle(np.zeros((16, 16), np.uint8))
    start = int.from_bytes(file[10:14], "little")
    return file[:start] + b"\x10\0" + b"\1\0" * 490_000


def _texts() -> bytes:
    """Return a PNG of 16×16 pixels with 60 MB of text."""
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(60_000_000), 9))
    return png(np.zeros((16, 16, 3), np.uint8), 2, extra=text)


def _many_chunks(kind: bytes) -> bytes:
    return png(np.zeros((16, 16, 3), np.uint8), 2, extra=chunk(kind, b"a\0\0" + zlib.compress(b"")) * 29_000)


def _narrow_fax() -> bytes:
    """Return a fax of 90,000 strips, each of which is decoded by itself."""
    bits = np.random.default_rng(0).integers(0, 2, (90_000, 20)).astype(bool)
    return encoded(Image.fromarray(bits), "tiff", compression="group4", strip_size=1)


COSTLY: dict[str, Callable[[], bytes]] = {
    "JPEG of noise": lambda: encoded(_image("RGB"), "jpeg", quality=100, subsampling=0, progressive=True),
    "JPEG of CMYK noise": lambda: encoded(_image("CMYK"), "jpeg", quality=100, subsampling=0),
    "JPEG of many scans": lambda: _refined(480),
    "PNG of deep interlaced noise": lambda: png(_noise(4, 16), 6, is_interlaced=True, level=1),
    "PNG of nothing, deep and interlaced": lambda: png(np.zeros((HEIGHT, WIDTH, 4), np.uint16), 6, is_interlaced=True),
    "PNG of texts": _texts,
    "PNG of many texts": lambda: _many_chunks(b"zTXt"),
    "PNG of many chunks": lambda: _many_chunks(b"tIME"),
    "GIF of noise": lambda: encoded(_image("L").convert("P"), "gif", interlace=1),
    "BMP in runs of one pixel": _one_pixel_runs,
    "BMP in runs of nothing": _empty_runs,
    "TIFF in small tiles": lambda: _tiff(_noise(4, 16), extrasamples=["unassalpha"], compression="lzw", tile=(16, 16)),
    "TIFF in rows": lambda: _tiff(_noise(3, 16).astype(np.float32), compression="zlib", rowsperstrip=1, predictor=True),
    "TIFF of 64-bit floats": lambda: _tiff(
        _noise(4).astype(np.float64), extrasamples=["unassalpha"], compression="zlib", predictor=True
    ),
    "TIFF in LZMA": lambda: _tiff(_noise(4, 16), extrasamples=["unassalpha"], compression="lzma"),
    "TIFF of a fax in strips": _narrow_fax,
    "WebP of noise": lambda: encoded(_image("RGBA"), "webp", quality=100, method=0),
    "WebP without loss": lambda: encoded(_image("RGBA"), "webp", lossless=True, quality=0, method=0),
    "AVIF of noise": lambda: encoded(_image("RGBA"), "avif", speed=10, quality=100, subsampling="4:4:4"),
    "HEIC of noise": lambda: encoded(_image("RGBA"), "heif", quality=100, chroma=444),
}
"""The files by what makes them costly."""
