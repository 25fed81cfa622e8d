"""Contact sheets: pictures in rows and columns, each with its caption."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

_FONT_SIZE, _LINE, _GAP = 14, 19, 12


class Tile(NamedTuple):
    """A picture of a contact sheet."""

    picture: Tensor
    """Float RGB, `(1, 3, H, W)` or `(3, H, W)`, on any device; values are clipped to [0, 1]."""
    caption: str
    """ASCII text below the picture, wrapped to its width and at line breaks; Pillow's font has little beyond ASCII."""


def contact_sheet(rows: Sequence[Sequence[Tile]], height: int | None = None) -> Image.Image:
    """Draw rows of captioned pictures, in columns, on white.

    Args:
        rows: Rows from top to bottom, each from left to right; they may differ in length.
        height: Height that pictures are scaled to, in pixels, keeping their proportions; if not given, the height of
            the tallest picture in each row.

    Raises:
        ValueError: There are no pictures.
    """
    if not any(rows):
        raise ValueError("a contact sheet needs pictures")
    font = ImageFont.load_default(_FONT_SIZE)
    pictures = [_scaled([to_image(tile.picture) for tile in row], height) for row in rows]
    columns = max(map(len, rows))
    widths = [max(row[column].width for row in pictures if column < len(row)) for column in range(columns)]
    captions = [
        [list(_wrapped(tile.caption, width, font)) for tile, width in zip(row, widths, strict=False)] for row in rows
    ]
    heights = [
        max((picture.height for picture in row), default=0) + _LINE * max(map(len, lines), default=0)
        for row, lines in zip(pictures, captions, strict=True)
    ]
    size = (sum(widths) + _GAP * (columns + 1), sum(heights) + _GAP * (len(rows) + 1))
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    top = _GAP
    for row, captions_of_row, row_height in zip(pictures, captions, heights, strict=True):
        left = _GAP
        for picture, lines, width in zip(row, captions_of_row, widths, strict=False):
            sheet.paste(picture, (left, top))
            for number, line in enumerate(lines):
                draw.text((left, top + picture.height + 2 + number * _LINE), line, "black", font)
            left += width + _GAP
        top += row_height + _GAP
    return sheet


def in_rows(tiles: Sequence[Tile], columns: int) -> list[Sequence[Tile]]:
    """Split tiles into rows of `columns` tiles each; the last row may be shorter."""
    return [tiles[first : first + columns] for first in range(0, len(tiles), columns)]


def to_image(picture: Tensor) -> Image.Image:
    """Return float RGB, `(1, 3, H, W)` or `(3, H, W)`, as a picture of 8 bits; values are clipped to [0, 1]."""
    pixels = picture.detach().reshape(picture.shape[-3:]).float().clamp(0, 1).mul(255).round().byte()
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())


def _scaled(row: Sequence[Image.Image], height: int | None) -> list[Image.Image]:
    target = height or max((picture.height for picture in row), default=0)
    return [
        picture
        if picture.height == target
        else picture.resize((max(1, round(picture.width * target / picture.height)), target), Image.Resampling.LANCZOS)
        for picture in row
    ]


def _wrapped(caption: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> Iterator[str]:
    """Yield the lines of a caption; a word that is wider than a line stays whole."""
    for paragraph in caption.splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if line and font.getlength(longer) > width:
                yield line
                longer = word
            line = longer
        yield line
