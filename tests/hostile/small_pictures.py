"""Small pictures of every kind of file that is read, with all that may be in it: what the fuzzer begins with."""

import io
import struct
import zlib

import numpy as np
import pillow_heif
import tifffile
from PIL import Image, PngImagePlugin
from PIL.ExifTags import IFD, Base
from PIL.ImageCms import ImageCmsProfile, createProfile

from ..picture_files import encoded, turned

pillow_heif.register_heif_opener()

_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, and steps of columns and rows, of each pass of an interlaced PNG."""

_LEVELS = np.arange(24 * 20 * 3, dtype=np.uint16).reshape(24, 20, 3) * 45
_PHOTO = Image.fromarray((_LEVELS >> 8).astype(np.uint8))
_PROFILE = ImageCmsProfile(createProfile("sRGB")).tobytes()
_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:p="http://ns.google.com/photos/1.0/panorama/" '
    b'p:FullPanoWidthPixels="9"><p:CroppedAreaTopPixels>3</p:CroppedAreaTopPixels></x:xmpmeta>'
)


def png(
    samples: np.ndarray, colour_type: int, *, is_interlaced: bool = False, level: int = 6, extra: bytes = b""
) -> bytes:
    """Return a PNG of samples `(H, W, C)` of 8 or 16 bits, which Pillow cannot write interlaced.

    Args:
        samples: The samples, of as many channels as the colour type has.
        colour_type: The number of the colour type.
        is_interlaced: Whether the pixels are stored in the seven passes of Adam7.
        level: The level of zlib's compression.
        extra: Chunks to put before the pixels.
    """
    height, width, _ = samples.shape
    deep = samples.astype(samples.dtype.newbyteorder(">"))
    rows = []
    for left, top, across, down in _ADAM7 if is_interlaced else ((0, 0, 1, 1),):
        part = deep[top::down, left::across]
        if part.size:
            raw = np.frombuffer(part.tobytes(), np.uint8).reshape(len(part), -1)
            rows.append(np.pad(raw, ((0, 0), (1, 0))).tobytes())  # a filter of 0 before each row
    header = struct.pack(">IIBBBBB", width, height, 8 * deep.itemsize, colour_type, 0, 0, is_interlaced)
    chunks = chunk(b"IHDR", header), extra, chunk(b"IDAT", zlib.compress(b"".join(rows), level)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", zlib.crc32(kind + content))


def bmp_rle(indices: np.ndarray) -> bytes:
    """Return a BMP of palette indices `(H, W)`, each row of which is stored in runs (RLE8)."""
    height, width = indices.shape
    pixels = b"".join(b"".join(bytes([1, index]) for index in row) + b"\0\0" for row in indices[::-1].astype(np.uint8))
    palette = bytes(range(256)) * 4
    start = 14 + 40 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(pixels) + 2, 0, 0, 256, 0)
    return struct.pack("<2sIHHI", b"BM", start + len(pixels) + 2, 0, 0, start) + header + palette + pixels + b"\0\1"


def _exif() -> Image.Exif:
    exif = turned(6)
    exif[Base.Artist], exif[Base.Make] = "A", "B"
    exif.get_ifd(IFD.Exif).update({Base.FNumber: 2.8, Base.MakerNote: b"note" * 9, Base.UserComment: b"ASCII\0\0\0a"})
    exif.get_ifd(IFD.GPSInfo).update({1: "N", 2: (1.0, 2.0, 3.0)})
    return exif


def _tiff(samples: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return buffer.getvalue()


def _tiff_with_thumbnail() -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, byteorder=">") as writer:
        writer.write(_LEVELS[::4, ::4], photometric="rgb", subfiletype=1, subifds=1)
        writer.write(_LEVELS, photometric="rgb", compression="packbits")
    return buffer.getvalue()


def _pngs() -> dict[str, bytes]:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", _XMP.decode(), zip=True)
    info.add_text("Comment", "text" * 9, zip=True)
    info.add(b"gAMA", struct.pack(">I", 100_000))
    alpha = np.concatenate([_LEVELS, _LEVELS[..., :1]], axis=-1)
    transparent = chunk(b"tRNS", struct.pack(">HHH", 0, 45, 90))
    return {
        "texts": encoded(_PHOTO, exif=_exif(), pnginfo=info),
        "profile": encoded(_PHOTO, icc_profile=_PROFILE),
        "palette": encoded(_PHOTO.quantize(16), transparency=3),
        "one bit": encoded(_PHOTO.convert("1")),
        "grey and alpha": encoded(_PHOTO.convert("LA")),
        "without its end": encoded(_PHOTO)[:-14],
        "deep interlaced": png(alpha, 6, is_interlaced=True),
        "deep grey": png(_LEVELS[..., :1], 0, is_interlaced=True),
        "deep transparent": png(_LEVELS, 2, extra=transparent),
        "animated": encoded(_PHOTO, save_all=True, append_images=[_PHOTO.rotate(90)]),
    }


def _jpegs() -> dict[str, bytes]:
    rich = {"exif": _exif(), "xmp": _XMP, "icc_profile": _PROFILE}
    return {
        "baseline": encoded(_PHOTO, "jpeg", **rich),
        "progressive": encoded(_PHOTO, "jpeg", progressive=True),
        "grey": encoded(_PHOTO.convert("L"), "jpeg"),
        "CMYK": encoded(_PHOTO.convert("CMYK"), "jpeg", progressive=True),
        "without its end": encoded(_PHOTO, "jpeg", restart_marker_rows=1)[:-2],
        "two pictures": encoded(_PHOTO, "mpo", save_all=True, append_images=[_PHOTO]),
    }


def _tiffs() -> dict[str, bytes]:
    eight = np.asarray(_PHOTO)
    return {
        "planar": _tiff(np.moveaxis(_LEVELS, -1, 0), photometric="rgb", compression="zlib"),
        "float": _tiff(_LEVELS / np.float32(65535), photometric="rgb", predictor=True, compression="lzw"),
        "tiles": _tiff(eight, photometric="rgb", tile=(16, 16), compression="zlib"),
        "big": _tiff(eight, photometric="rgb", bigtiff=True, rowsperstrip=5, compression="lzw"),
        "JPEG": encoded(_PHOTO, "tiff", compression="jpeg"),
        "Zstandard": _tiff(_LEVELS, photometric="rgb", compression="zstd"),
        "sub-directory": _tiff_with_thumbnail(),
        "fax": encoded(_PHOTO.convert("1"), "tiff", compression="group4"),
        "palette": encoded(_PHOTO.quantize(16), "tiff"),
        "CMYK": encoded(_PHOTO.convert("CMYK"), "tiff", compression="tiff_lzw", icc_profile=_PROFILE),
        "Lab": encoded(_PHOTO.convert("LAB"), "tiff"),
        "alpha": encoded(_PHOTO.convert("RGBA"), "tiff", compression="packbits", exif=_exif()),
        "pages": encoded(_PHOTO, "tiff", save_all=True, append_images=[_PHOTO.rotate(90)]),
    }


def _others() -> dict[str, bytes]:
    rich = {"exif": _exif().tobytes(), "xmp": _XMP, "icc_profile": _PROFILE}
    frames = {"save_all": True, "append_images": [_PHOTO.rotate(90)]}
    indices = np.asarray(_PHOTO.quantize(16))
    return {
        "GIF": encoded(_PHOTO, "gif", **frames, comment=b"a" * 300),
        "GIF interlaced": encoded(_PHOTO, "gif", interlace=1, transparency=2),
        "BMP": encoded(_PHOTO, "bmp"),
        "BMP palette": encoded(_PHOTO.quantize(16), "bmp"),
        "BMP RLE": bmp_rle(indices),
        "WebP": encoded(_PHOTO, "webp", **rich),
        "WebP lossless": encoded(_PHOTO.convert("RGBA"), "webp", lossless=True),
        "WebP animated": encoded(_PHOTO, "webp", **frames),
        "AVIF": encoded(_PHOTO.convert("RGBA"), "avif", speed=10, **rich),
        "AVIF animated": encoded(_PHOTO, "avif", speed=10, **frames),
        "HEIC": encoded(_PHOTO, "heif", exif=rich["exif"], icc_profile=_PROFILE),
    }


def small_pictures() -> dict[str, bytes]:
    """Return the files by the names of their kinds."""
    of_kinds = {"PNG": _pngs(), "JPEG": _jpegs(), "TIFF": _tiffs()}
    return {f"{kind} {name}": file for kind, files in of_kinds.items() for name, file in files.items()} | _others()
