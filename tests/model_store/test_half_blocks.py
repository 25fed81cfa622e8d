"""Pictures in a terminal."""

import io

from PIL import Image
from rich.console import Console
from rich.text import Text

from model_store.cli.half_blocks import half_blocks

from ..picture_files import encoded


def picture(width: int, height: int) -> bytes:
    """Return a picture that is red above and blue below."""
    image = Image.new("RGB", (width, height), (250, 10, 10))
    image.paste((10, 10, 250), (0, height // 2, width, height))
    return encoded(image)


def test_each_character_shows_two_pixels() -> None:
    (line,) = half_blocks(picture(4, 2), 4).split("\n")
    assert line.plain == "▀▀▀▀"
    console = Console(color_system="truecolor", force_terminal=True, file=io.StringIO())
    with console.capture() as capture:
        console.print(Text.assemble(line))
    assert "38;2;250;10;10;48;2;10;10;250" in capture.get()


def test_a_picture_keeps_its_proportions() -> None:
    lines = half_blocks(picture(300, 200), 30).split("\n")
    assert [len(line) for line in lines] == [30] * 10
