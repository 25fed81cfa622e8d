"""Picture files: formats, and paths that cannot be written."""

from pathlib import Path

import pytest
from PIL import Image

from trainer.errors import BadOutput
from trainer.pictures.picture_files import beside, check_output, save


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".webp", ".tiff"])
def test_a_picture_is_written_in_the_format_of_its_suffix(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    check_output(path)
    assert not path.exists()
    save(Image.new("RGB", (20, 10), "red"), path)
    with Image.open(path) as picture:
        assert picture.size == (20, 10)


@pytest.mark.parametrize("name", ["out", "out.safetensors", "out.xbm", "out.psd", ""])
def test_a_suffix_that_names_no_picture_format_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadOutput, match="use a suffix"):
        check_output(tmp_path / name)


def test_a_folder_that_does_not_exist_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadOutput, match=r"nowhere/out.png: No such file or directory"):
        check_output(tmp_path / "nowhere" / "out.png")


def test_a_folder_is_refused_as_a_picture(tmp_path: Path) -> None:
    (tmp_path / "out.png").mkdir()
    with pytest.raises(BadOutput, match="is a folder"):
        check_output(tmp_path / "out.png")


def test_errors_while_writing_are_reported(tmp_path: Path) -> None:
    with pytest.raises(BadOutput, match="No such file or directory"):
        save(Image.new("RGB", (2, 2)), tmp_path / "nowhere" / "out.png")


def test_previews_are_numbered_beside_the_picture() -> None:
    assert beside(Path("pictures/out.png"), 100) == Path("pictures/out-000100.png")
