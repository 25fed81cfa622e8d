"""The reading of pictures and of folders of pictures."""

from pathlib import Path

import pytest
from PIL import Image

from trainer.data.photos import list_pictures, load_picture
from trainer.errors import BadPhotos


def test_a_picture_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "lying.jpg", exif=exif)
    assert load_picture(tmp_path / "lying.jpg").shape == (1, 3, 60, 40)


def test_a_picture_is_scaled_by_its_shorter_side(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "picture.png")
    assert load_picture(tmp_path / "picture.png", 20).shape == (1, 3, 20, 30)


@pytest.mark.parametrize(("side", "shape"), [(30, (1, 3, 20, 30)), (90, (1, 3, 40, 60))])
def test_a_picture_is_shrunk_by_its_longest_side_and_never_enlarged(
    tmp_path: Path, side: int, shape: tuple[int, ...]
) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "picture.png")
    assert load_picture(tmp_path / "picture.png", longest_side=side).shape == shape


def test_alpha_is_laid_over_white(tmp_path: Path) -> None:
    Image.new("RGBA", (20, 20), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert load_picture(tmp_path / "clear.png").min() == 1


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "style.jpg").write_text("no picture")
    with pytest.raises(BadPhotos, match=r"cannot read the picture .*style\.jpg"):
        load_picture(tmp_path / "style.jpg")


def test_only_pictures_are_listed(photos: Path) -> None:
    (photos / "README.md").write_text("about the photos")
    assert [path.name for path in list_pictures(photos)] == [f"{number:02}.png" for number in range(12)]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadPhotos, match="there are no pictures"):
        list_pictures(tmp_path)
    with pytest.raises(BadPhotos, match="there is no folder"):
        list_pictures(tmp_path / "nowhere")
