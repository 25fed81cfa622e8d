"""Pictures in a terminal, drawn with half blocks: each character shows one pixel above another by its two colours."""

import io

from PIL import Image
from rich.color import Color
from rich.style import Style
from rich.text import Text

_UPPER_HALF = "▀"


def half_blocks(picture: bytes, columns: int) -> Text:
    """Return a picture as text, for terminals with 24-bit colours and characters that are twice as high as wide.

    Args:
        picture: The bytes of a JPEG.
        columns: The width of the text in characters.
    """
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    rows = max(1, round(columns * image.height / image.width / 2))
    pixels = image.resize((columns, 2 * rows), Image.Resampling.BOX).tobytes()
    colours = [Color.from_rgb(*pixels[place : place + 3]) for place in range(0, len(pixels), 3)]
    lines = []
    for row in range(0, 2 * rows, 2):
        uppers, lowers = (colours[number * columns : (number + 1) * columns] for number in (row, row + 1))
        pairs = zip(uppers, lowers, strict=True)
        lines.append(Text.assemble(*((_UPPER_HALF, Style(color=upper, bgcolor=lower)) for upper, lower in pairs)))
    return Text("\n").join(lines)
