"""The samples of TIFFs that Pillow does not read: deep, floating-point, planar and others."""

import io

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from service.codec.structure.tiff import Tiff
from service.contract.problems import TooLarge

_CEILINGS = (1.0, 255.0, 65_535.0, 4_294_967_295.0)
"""The values that may stand for white where a format does not fix one."""
_BAND = 1 << 20
"""Number of samples that are converted at a time."""
_BYTES_PER_PIXEL = 8
"""Bytes of samples that are taken for each pixel that an upload may have: those of RGBA with 16 bits a channel."""
_MOST_BYTES_A_PIXEL = 32
"""Largest number of bytes of samples of one pixel: those of RGBA in 64-bit floats."""
_Eight = npt.NDArray[np.uint8]


def check_bytes(tiff: Tiff, max_pixels: int) -> None:
    """Check that the samples need no more memory than an upload may, all together and for each pixel.

    Raises:
        TooLarge: They need more.
    """
    pixels = tiff.layout.width * tiff.layout.height
    most = min(max_pixels * _BYTES_PER_PIXEL, pixels * _MOST_BYTES_A_PIXEL)
    if tiff.layout.bytes > most:
        raise TooLarge(
            f"the samples of the TIFF have {tiff.layout.bytes:,} bytes; this server takes up to {most:,} for its size: "
            "save it with 8 bits a channel and fewer channels, or make it smaller"
        )


def read_samples(tiff: Tiff) -> Image.Image:
    """Read a TIFF with tifffile, as 8 bits a channel.

    Whole numbers without a sign and of up to 24 bits fill their range. Samples without a fixed range are scaled so that
    white is the smallest of 1 (for floats only), 255, 65,535 and 2³² - 1 that none of them exceeds.

    Args:
        tiff: A TIFF whose layout suits tifffile.

    Returns:
        An image of mode L, LA, RGB, RGBA or CMYK, with the ICC profile and the EXIF of the file in its `info`.

    Raises:
        Exception: The file is broken; tifffile and its decoders raise exceptions of many kinds.
    """
    layout = tiff.layout
    with tifffile.TiffFile(io.BytesIO(tiff.bare)) as file:
        stored = file.pages.first.asarray(squeeze=False, maxworkers=1)[:, 0]
    samples = np.moveaxis(stored, 0, -2) if layout.planar else stored[0]
    samples = samples.reshape(layout.height, layout.width, layout.channels)
    with_alpha = layout.alpha > 0 and layout.photometric != 5
    samples = samples[..., : layout.colours + with_alpha]
    eight = _to_eight(samples, layout.bits, is_ranged=layout.format == 1 and layout.bits <= 24)
    if layout.photometric == 0:
        eight[..., 0] = 255 - eight[..., 0]
    if with_alpha and layout.alpha == 1:
        _divide_by_alpha(eight)
    image = Image.fromarray(eight[..., 0] if eight.shape[-1] == 1 else eight, _mode(layout.colours, with_alpha))
    image.info["exif"] = tiff.alone
    if tiff.profile is not None:
        image.info["icc_profile"] = tiff.profile
    return image


def _mode(colours: int, with_alpha: bool) -> str:
    return {1: "L", 3: "RGB", 4: "CMYK"}[colours] + ("A" if with_alpha else "")


def _to_eight(samples: npt.NDArray[np.generic], bits: int, *, is_ranged: bool) -> _Eight:
    """Scale samples, `(H, W, C)`, to the nearest of 8 bits, a few rows at a time."""
    height, width, channels = samples.shape
    eight = np.empty(samples.shape, np.uint8)
    rows = max(1, _BAND // (width * channels))
    bands = [slice(start, start + rows) for start in range(0, height, rows)]
    if is_ranged:
        white = 2**bits - 1
        for band in bands:
            eight[band] = samples[band] if bits == 8 else (samples[band].astype(np.uint64) * 255 + white // 2) // white
        return eight
    ceilings = _CEILINGS if samples.dtype.kind == "f" else _CEILINGS[1:]
    highest = max(float(_finite(samples[band]).max()) for band in bands)
    ceiling = next((each for each in ceilings if highest <= each), ceilings[-1])
    for band in bands:
        eight[band] = (_finite(samples[band]) / ceiling * 255).clip(0, 255).round()
    return eight


def _finite(samples: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # some kinds of NaN
        return np.nan_to_num(samples.astype(np.float64), nan=0, posinf=0, neginf=0)


def _divide_by_alpha(eight: _Eight) -> None:
    """Undo that the colours were multiplied by the alpha."""
    rows = max(1, _BAND // (eight.shape[1] * eight.shape[2]))
    for start in range(0, len(eight), rows):
        band = eight[start : start + rows]
        alpha = band[..., -1:].astype(np.uint16)
        band[..., :-1] = np.minimum((band[..., :-1] * np.uint16(255) + alpha // 2) // np.maximum(alpha, 1), 255)
