"""Contact sheets of captioned pictures."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from trainer.pictures.contact_sheet import Tile, contact_sheet, in_rows, to_image

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


def plain(colour: tuple[float, float, float], height: int, width: int) -> Tensor:
    return torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, height, width)


def box_of(sheet: Image.Image, colour: tuple[float, float, float]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the pixels of a colour."""
    rows, columns = np.nonzero((np.asarray(sheet) == np.array(colour) * 255).all(2))
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_pictures_of_a_row_stand_side_by_side_at_one_height() -> None:
    sheet = contact_sheet([[Tile(plain(RED, 40, 60), "photo"), Tile(plain(BLUE, 80, 40), "result")]])
    red, blue = box_of(sheet, RED), box_of(sheet, BLUE)
    assert (red[2] - red[0], red[3] - red[1]) == (120, 80)
    assert (blue[2] - blue[0], blue[3] - blue[1]) == (40, 80)
    assert red[1] == blue[1]
    assert red[2] < blue[0]


def test_a_height_can_be_given() -> None:
    left, top, right, bottom = box_of(contact_sheet([[Tile(plain(RED, 40, 60), "")]], height=20), RED)
    assert (right - left, bottom - top) == (30, 20)


def test_rows_share_columns_and_may_differ_in_length() -> None:
    green = (0.0, 1.0, 0.0)
    sheet = contact_sheet(
        [
            [Tile(plain(RED, 30, 90), "a"), Tile(plain(BLUE, 30, 30), "b")],
            [Tile(plain((1, 1, 1), 30, 30), ""), Tile(plain(green, 30, 30), "d")],
            [Tile(plain((1, 1, 1), 30, 30), "e")],
        ]
    )
    assert box_of(sheet, BLUE)[0] == box_of(sheet, green)[0]
    assert box_of(sheet, BLUE)[3] < box_of(sheet, green)[1]


def test_a_caption_stands_below_its_picture_and_is_wrapped_to_its_width() -> None:
    picture = plain(RED, 40, 100)
    bare = contact_sheet([[Tile(picture, "")]])
    short = contact_sheet([[Tile(picture, "photo")]])
    long = contact_sheet([[Tile(picture, "a caption that is far wider than its picture")]])
    assert bare.height < short.height < long.height
    assert bare.width == long.width
    below = np.asarray(short)[box_of(short, RED)[3] :]
    assert below.min() < 100


def test_a_sheet_without_pictures_is_refused() -> None:
    with pytest.raises(ValueError, match="needs pictures"):
        contact_sheet([[]])


def test_tiles_fill_rows() -> None:
    tiles = [Tile(plain(RED, 2, 2), str(number)) for number in range(5)]
    assert [[tile.caption for tile in row] for row in in_rows(tiles, 2)] == [["0", "1"], ["2", "3"], ["4"]]


@pytest.mark.parametrize("shape", [(3, 2, 4), (1, 3, 2, 4)])
def test_tensors_become_pictures_of_8_bits(shape: tuple[int, ...]) -> None:
    picture = torch.full(shape, 0.5, requires_grad=True)
    image = to_image(picture)
    assert (image.mode, image.size) == ("RGB", (4, 2))
    assert image.getpixel((0, 0)) == (128, 128, 128)


def test_values_outside_the_range_are_clipped() -> None:
    assert to_image(torch.full((3, 1, 1), 1.5)).getpixel((0, 0)) == (255, 255, 255)
    assert to_image(torch.full((3, 1, 1), -0.5)).getpixel((0, 0)) == (0, 0, 0)
