"""The structure of TIFF: which of its pictures is meant, how its pixels are stored, and whether that can be read."""

from typing import NamedTuple

from service.codec.structure.directories import Directories, Directory
from service.contract.problems import BadPicture, TooLarge, UnsupportedFormat

_MOST_PAGES = 1_000
"""Largest number of pages that a TIFF may have."""
_MOST_SEARCHED = 16
"""Largest number of directories that are searched for the picture that a thumbnail belongs to."""
_MOST_SEGMENTS = 100_000
"""Largest number of strips or tiles that a picture may be stored in."""
_MOST_PADDED = 4 * 1024**2
"""Largest number of pixels of a TIFF's tiles that lie beyond four times its own, as tiles may be larger than it."""
_REDUCED, _OLD_REDUCED = 1, 2
"""The bit of NewSubfileType (254), and the value of SubfileType (255), that say that a picture is a thumbnail."""
_DNG_VERSION = 50706
_METADATA = frozenset({34665, 34853})
"""Tags of the directories of EXIF and of places."""
_RAW_PHOTOMETRICS = frozenset({32803, 34892})
"""Interpretations of a sensor's samples: a colour filter array, and linear raw."""
_STRUCTURE = frozenset({254, *range(256, 260), 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, *range(322, 326)}) | {
    *(338, 339)
}
"""Tags that say how pixels are stored, for the kinds that tifffile is given."""
_COMPRESSIONS = {
    1: "none",
    2: "fax",
    3: "fax",
    4: "fax",
    5: "LZW",
    6: "old JPEG",
    7: "JPEG",
    8: "deflate",
    32946: "deflate",
    32773: "PackBits",
    34712: "JPEG 2000",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    34676: "LogLuv",
    34677: "LogLuv",
    34887: "LERC",
    52546: "JPEG XL",
}
"""Names of the compressions."""
_FAX = frozenset({2, 3, 4})
_JPEG = frozenset({6, 7})
_GENERAL = frozenset({1, 5, 8, 32773, 32946, 34925, 50000})
"""Compressions that take any kind of samples, and whose result cannot be larger than announced."""
_PHOTOMETRICS = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 4: "mask", 5: "CMYK", 6: "YCbCr", 8: "Lab", 9: "Lab"}
"""Names of the photometric interpretations."""
_COLOURS = {0: 1, 1: 1, 2: 3, 5: 4}
"""Numbers of channels of colour of the interpretations that tifffile is given."""
_FORMATS = {1: "unsigned", 2: "signed", 3: "float", 5: "complex", 6: "complex"}
"""Names of the sample formats."""
_SAMPLES = {
    1: frozenset({1, 2, 4, 8, 10, 12, 14, 16, 24, 32, 64}),
    2: frozenset({8, 16, 32}),
    3: frozenset({16, 32, 64}),
}
"""Bits of the samples that tifffile is given, by their sample format."""
_PILLOW_BITS = {0: (1, 2, 4, 8), 1: (1, 2, 4, 8), 2: (8,), 3: (1, 2, 4, 8), 5: (8,), 6: (8,), 8: (8,)}
"""Bits of the samples that Pillow is given, by their interpretation."""


class Layout(NamedTuple):
    """How the pixels of a picture are stored."""

    width: int
    height: int
    bits: int
    """Bits of a sample; 0 if they differ between the channels."""
    format: int
    """Sample format: 1 for unsigned and 2 for signed whole numbers, 3 for floats."""
    photometric: int
    """Photometric interpretation: 0 and 1 for grey, 2 for RGB, 5 for CMYK."""
    channels: int
    alpha: int
    """1 if the first channel behind the colours is alpha that the colours are multiplied by, 2 if it is other alpha, 0
    if it is something else."""
    planar: bool
    """Whether each channel is stored apart."""
    compression: int

    def __str__(self) -> str:
        bits = f"{self.bits}-bit " if self.bits else "channels of different bits, "
        colours = _PHOTOMETRICS.get(self.photometric, f"interpretation {self.photometric}")
        compression = _COMPRESSIONS.get(self.compression, str(self.compression))
        apart = ", planes apart" if self.planar else ""
        return (
            f"{bits}{_FORMATS.get(self.format, 'undefined')} {colours}, {self.channels} channels{apart}, "
            f"compression {compression}"
        )

    @property
    def colours(self) -> int:
        """Return the number of channels of colour."""
        return _COLOURS[self.photometric]

    @property
    def bytes(self) -> int:
        """Return the bytes of the samples when they are decompressed."""
        return self.width * self.height * self.channels * max(1, self.bits // 8)

    @property
    def suits_pillow(self) -> bool:
        """Tell whether Pillow reads this kind of TIFF rightly."""
        stored = self.compression in _GENERAL or self.compression in _JPEG
        apart = self.planar and self.compression not in _JPEG
        return (
            self.format == 1
            and self.bits in _PILLOW_BITS.get(self.photometric, ())
            and stored
            and not apart
            and (self.photometric != 6 or self.compression in _JPEG)
        )

    @property
    def suits_tifffile(self) -> bool:
        """Tell whether this kind of TIFF is read by tifffile."""
        stored = self.compression in _GENERAL or (self.compression in _FAX and self.bits == self.channels == 1)
        return (
            stored
            and self.bits in _SAMPLES.get(self.format, ())
            and self.photometric in _COLOURS
            and self.channels >= self.colours
        )


class Tiff(NamedTuple):
    """The picture that a TIFF is meant for."""

    layout: Layout
    pages: int
    orientation: int
    """The orientation of EXIF, from 1 to 8."""
    profile: bytes | None
    """The ICC profile."""
    file: Directories
    directory: Directory

    @property
    def alone(self) -> bytes:
        """Return the TIFF with this picture only, and all that is told of it."""
        return self.file.alone(self.directory)

    @property
    def bare(self) -> bytes:
        """Return the TIFF with this picture only, and nothing but what its pixels need."""
        return self.file.alone(self.directory, _STRUCTURE)

    @property
    def unsupported(self) -> UnsupportedFormat:
        """Return the problem that says that this kind of TIFF is not read."""
        return UnsupportedFormat(
            f"this kind of TIFF ({self.layout}) is not supported: save it as RGB with 8 or 16 bits a channel, or as PNG"
        )


def is_tiff(data: bytes) -> bool:
    """Return whether a file begins like a TIFF."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_tiff(data: bytes) -> Tiff:
    """Find the picture that a TIFF is meant for: the first one that is not a thumbnail.

    Raises:
        BadPicture: The structure is broken.
        TooLarge: It has too many pages, or its picture too many strips or tiles.
        UnsupportedFormat: It is a raw file of a camera.
    """
    try:
        file = Directories(data)
        directory = _meant(file, data)
        layout = _layout(file, directory)
        _check_segments(file, directory, layout)
        if not file.are_sound(directory):
            entries = {tag: entry for tag, entry in directory.entries.items() if tag not in _METADATA}
            directory = directory._replace(entries=entries)
    except ValueError as error:
        raise BadPicture(f"the TIFF is broken or cut short ({error}): send the whole file") from error
    pages = file.count(_MOST_PAGES)
    if pages > _MOST_PAGES:
        raise TooLarge(f"the picture has more than {_MOST_PAGES:,} frames or pages: send one of them")
    return Tiff(layout, pages, file.number(directory, 274, 1), file.raw(directory, 34675), file, directory)


def _meant(file: Directories, data: bytes) -> Directory:
    """Return the directory of the picture that is meant."""
    first = file.read(file.first)
    found = [first]
    places = [*file.numbers(first, 330, most=_MOST_SEARCHED)]
    following = first.following
    while following and len(found) + len(places) < 2 * _MOST_SEARCHED and following not in places:
        places.append(following)
        try:
            following = file.read(following).following
        except ValueError:
            break
    for place in places:
        try:
            found.append(file.read(place))
        except ValueError:  # a later picture that is broken does not hurt the first
            continue
    is_raw = any(file.number(each, 262) in _RAW_PHOTOMETRICS for each in found)
    if is_raw or _DNG_VERSION in first.entries or data[8:10] == b"CR":
        raise UnsupportedFormat(
            "this is a raw file of a camera (such as DNG, CR2, NEF or ARW): export it as JPEG, PNG or TIFF first"
        )
    return next((each for each in found if not _is_thumbnail(file, each)), first)


def _is_thumbnail(file: Directories, directory: Directory) -> bool:
    return bool(file.number(directory, 254) & _REDUCED) or file.number(directory, 255) == _OLD_REDUCED


def _layout(file: Directories, directory: Directory) -> Layout:
    width, height = file.number(directory, 256), file.number(directory, 257)
    if not (width > 0 and height > 0):
        raise ValueError("it has no width or height")
    channels = file.number(directory, 277, 1)
    bits = set(file.numbers(directory, 258, (1,)))
    formats = set(file.numbers(directory, 339, (1,)))
    sample_format = formats.pop() if len(formats) == 1 else 0
    photometric = file.number(directory, 262, 2 if channels >= 3 else 1)
    extra = file.number(directory, 338)
    return Layout(
        width,
        height,
        bits.pop() if len(bits) == 1 else 0,
        1 if sample_format == 4 else sample_format,  # 4 stands for undefined, which is read as unsigned
        photometric,
        channels,
        extra if extra in (1, 2) and channels > _COLOURS.get(photometric, channels) else 0,
        file.number(directory, 284, 1) == 2 and channels > 1,
        file.number(directory, 259, 1),
    )


def _check_segments(file: Directories, directory: Directory, layout: Layout) -> None:
    """Check that a picture has as many strips or tiles as its size needs.

    Raises:
        ValueError: It has more or fewer, or tiles that are much larger than the picture.
        TooLarge: It has more than are taken.
    """
    tile_width, tile_height = file.number(directory, 322), file.number(directory, 323)
    if tile_width > 0 and tile_height > 0:
        needed = -(-layout.width // tile_width) * -(-layout.height // tile_height)
        if needed * tile_width * tile_height > 4 * layout.width * layout.height + _MOST_PADDED:
            raise ValueError(f"its tiles of {tile_width:,}×{tile_height:,} are too large for it")
        offsets = directory.entries.get(324) or directory.entries.get(273)
    else:
        rows = min(file.number(directory, 278, layout.height), layout.height)
        needed = -(-layout.height // max(1, rows))
        offsets = directory.entries.get(273)
    needed *= layout.channels if layout.planar else 1
    if needed > _MOST_SEGMENTS:
        raise TooLarge(f"the TIFF is stored in more than {_MOST_SEGMENTS:,} strips or tiles: save it in larger ones")
    named = 0 if offsets is None else offsets.amount
    if not needed <= named <= 2 * needed:
        raise ValueError(f"it names {named:,} strips or tiles, and its size needs {needed:,}")
