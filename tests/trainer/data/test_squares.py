"""The squares that are cut out of photos, and the photos that are skipped."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainer.data.photos import load_picture
from trainer.data.squares import load_crops, load_tiles
from trainer.errors import BadPhotos


def test_crops_are_the_middle_squares_scaled(tmp_path: Path) -> None:
    pixels = np.zeros((40, 120, 3), np.uint8)
    pixels[:, 40:80] = (10, 200, 30)
    Image.fromarray(pixels).save(tmp_path / "green in the middle.png")
    crops = load_crops([tmp_path], 20).train.decode()
    assert crops.shape == (1, 3, 20, 20)
    assert crops.dtype == torch.uint8
    assert (crops.view(3, -1).float().mean(1) - torch.tensor([10.0, 200.0, 30.0])).abs().max() < 8


def test_tiles_are_cut_unscaled(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (70, 100, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    tiles = load_tiles([tmp_path], 32).train.decode()
    assert tiles.shape == (6, 3, 32, 32)
    np.testing.assert_array_equal(tiles[4].permute(1, 2, 0).numpy(), pixels[32:64, 32:64])


def test_a_folder_and_a_tar_of_it_give_the_same_photos(tmp_path: Path, photos: Path) -> None:
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for path in sorted(photos.iterdir()):
            archive.add(path, path.name)
    from_folder, from_tar = load_crops([photos], 32, held_out=3), load_crops([tmp_path / "photos.tar"], 32, held_out=3)
    assert torch.equal(from_folder.train.decode(), from_tar.train.decode())
    assert torch.equal(from_folder.held_out, from_tar.held_out)


def test_held_out_photos_are_never_trained_on_and_stay_the_same(photos: Path) -> None:
    once, again = load_crops([photos], 32, held_out=3), load_crops([photos], 32, held_out=3)
    assert (len(once.train), len(once.held_out)) == (9, 3)
    assert torch.equal(once.held_out, again.held_out)
    trained_on = {photo.numpy().tobytes() for photo in once.train.decode()}
    assert not any(photo.numpy().tobytes() in trained_on for photo in once.held_out)


def test_a_photo_that_cannot_be_read_is_skipped_and_named(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff and no more")
    loaded = load_crops([photos], 32)
    assert len(loaded.train) == 12
    assert loaded.skipped.keys() == {"broken.jpg"}
    assert "skipped broken.jpg" in caplog.text


def test_held_out_photos_do_not_depend_on_names(tmp_path: Path, photos: Path) -> None:
    once = load_crops([photos], 32, held_out=3)
    for number, path in enumerate(sorted(photos.iterdir(), reverse=True)):
        path.rename(tmp_path / f"renamed-{number}.png")
    assert torch.equal(load_crops([tmp_path], 32, held_out=3).held_out, once.held_out)


def test_one_large_photo_gives_no_more_than_16_tiles(tmp_path: Path) -> None:
    Image.effect_noise((32 * 9, 32 * 7), 50).save(tmp_path / "large.png")
    assert 8 < len(load_tiles([tmp_path], 32).train) <= 16


def test_16_bit_grey_keeps_its_levels(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    assert load_crops([tmp_path], 32).train.decode().float().mean() == pytest.approx(127, abs=1)


def test_a_huge_picture_is_skipped_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    Image.new("RGB", (60, 40)).save(tmp_path / "scan.png")
    with pytest.raises(BadPhotos, match=r"cannot read the picture .*scan\.png"):
        load_picture(tmp_path / "scan.png")
    with pytest.raises(BadPhotos, match=r"0 usable photos \(1 skipped\)"):
        load_crops([tmp_path], 32)


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_compressed_tar_cut_short_is_refused(tmp_path: Path, photos: Path, kept: float) -> None:
    with tarfile.open(tmp_path / "whole.tar.gz", "w:gz") as archive:
        archive.add(photos, "photos")
    whole = (tmp_path / "whole.tar.gz").read_bytes()
    (tmp_path / "half.tar.gz").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(BadPhotos, match="neither a folder nor a whole tar"):
        load_crops([tmp_path / "half.tar.gz"], 32)


def test_one_line_describes_the_photos_that_were_loaded(photos: Path) -> None:
    (photos / "broken.jpg").write_text("no photo")
    assert load_crops([photos], 32, held_out=2).summary == (
        "10 squares of 32×32 from photos, 2 more held out; skipped 1 files: broken.jpg"
    )


def test_photos_smaller_than_a_tile_are_skipped(photos: Path) -> None:
    Image.new("RGB", (31, 400)).save(photos / "narrow.png")
    assert load_tiles([photos], 32).skipped == {"narrow.png": "too small"}


@pytest.mark.parametrize("held_out", [0, 5])
def test_no_usable_photos_are_refused_with_the_count(tmp_path: Path, held_out: int) -> None:
    (tmp_path / "broken.jpg").write_text("no photo")
    with pytest.raises(BadPhotos, match=rf"0 usable photos \(1 skipped\), and {held_out} are to be held out"):
        load_crops([tmp_path], 32, held_out)


def test_a_source_that_is_neither_folder_nor_tar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos.tar").write_text("no tar")
    with pytest.raises(BadPhotos, match="neither a folder nor a whole tar"):
        load_crops([tmp_path / "photos.tar"], 32)


@pytest.fixture
def jpegs(tmp_path: Path, photos: Path) -> list[Path]:
    """Make twelve photos that can be truncated without damage to their headers."""
    (tmp_path / "jpegs").mkdir()
    paths = [tmp_path / "jpegs" / f"{path.stem}.jpg" for path in sorted(photos.iterdir())]
    for path in paths:
        Image.open(photos / f"{path.stem}.png").save(path)
    return paths


def break_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-400])


def test_a_photo_that_breaks_off_is_skipped_named_and_its_place_taken(jpegs: list[Path]) -> None:
    break_off(jpegs[3])
    loaded = load_crops([jpegs[0].parent], 32)
    decoded = loaded.train.decode()
    assert len(decoded) == 12
    assert loaded.train.skipped.keys() == {"03.jpg"}
    assert "skipped 1 files: 03.jpg" in loaded.summary
    one_by_one = load_crops([jpegs[0].parent], 32).train
    assert all(torch.equal(one_by_one[number], decoded[number]) for number in range(12))


def test_broken_photos_are_not_held_out(jpegs: list[Path]) -> None:
    for path in jpegs[:5]:
        break_off(path)
    loaded = load_crops([jpegs[0].parent], 32, held_out=6)
    assert len(loaded.held_out) == 6
    assert len(loaded.train) + len(loaded.skipped) == 6


def test_photos_that_are_all_broken_are_refused(jpegs: list[Path]) -> None:
    for path in jpegs:
        break_off(path)
    with pytest.raises(BadPhotos, match="none of the 12 photos can be decoded"):
        load_crops([jpegs[0].parent], 32).train.decode()


def test_webdataset_shards_are_read_by_a_pattern(tmp_path: Path, photos: Path) -> None:
    paths = sorted(photos.iterdir())
    for shard in range(3):
        with tarfile.open(tmp_path / f"train-{shard:03}.tar", "w") as archive:
            for number, path in enumerate(paths[4 * shard : 4 * shard + 4]):
                archive.add(path, f"{number:06}.png")
    from_shards = load_crops([str(tmp_path / "train-{000..002}.tar")], 32)
    assert torch.equal(from_shards.train.decode(), load_crops([photos], 32).train.decode())
    assert from_shards.train.sha256 == load_crops([photos], 32).train.sha256


def test_a_folder_of_shards_is_searched_like_one_of_photos(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "shards").mkdir()
    with tarfile.open(tmp_path / "shards" / "all.tar", "w") as archive:
        archive.add(photos, "photos")
    assert len(load_crops([tmp_path / "shards"], 32).train) == 12


def test_several_sources_are_taken_together_and_no_photo_twice(tmp_path: Path, photos: Path) -> None:
    with tarfile.open(tmp_path / "again.tar.gz", "w:gz") as archive:
        archive.add(photos, "photos")
    assert len(load_crops([photos, tmp_path / "again.tar.gz"], 32).train) == 12


def test_a_broken_photo_does_not_hide_another_of_the_same_name(tmp_path: Path, jpegs: list[Path]) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "others/00.jpg").write_bytes(jpegs[0].read_bytes())
    break_off(jpegs[0])
    loaded = load_crops([jpegs[0].parent, tmp_path / "others"], 32)
    assert len({square.numpy().tobytes() for square in loaded.train.decode()}) == 12
