"""The measurement of super-resolution nets and of other ways to enlarge."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from model_store.store import BUNDLED, Store
from trainer.baselines.sparse_coding import SparseCoding
from trainer.data.photos import list_pictures, load_picture
from trainer.data.squares import load_tiles
from trainer.errors import BadPhotos
from trainer.evaluation.super_resolution_study import (
    Enlarger,
    Scores,
    Setting,
    compare,
    compare_tiles,
    enlarge,
    mean_on_tiles,
    mean_scores,
    measure,
)

from ...nets import bicubic_net

CPU = torch.device("cpu")
PLAIN, BLURRED = Setting(4, 0.0), Setting(4, 1.0)


@pytest.fixture
def picture(photos: Path) -> Tensor:
    return load_picture(photos / "00.png")


def test_a_net_that_is_bicubic_scores_like_bicubic(picture: Tensor) -> None:
    enlargers = [Enlarger.bicubic(4), Enlarger.net("net", bicubic_net(4))]
    scores = compare(enlargers, picture, "00")
    assert list(scores) == ["bicubic", "net"]
    assert scores["net"][:2] == pytest.approx(scores["bicubic"][:2])


def test_an_enlargement_that_is_the_truth_scores_highest(picture: Tensor) -> None:
    scores = compare([Enlarger("truth", 4, lambda _: picture)], picture, "00")
    assert scores["truth"][:2] == pytest.approx((100.0, 1.0))


def test_a_blur_before_shrinking_lowers_the_scores_of_a_sharp_picture(picture: Tensor) -> None:
    plain, blurred = (compare([Enlarger.bicubic(4)], picture, "00", sigma)["bicubic"] for sigma in (0.0, 1.0))
    assert blurred.psnr < plain.psnr
    assert blurred.ssim < plain.ssim


def test_sides_that_the_factor_does_not_divide_are_cropped(picture: Tensor) -> None:
    whole = compare([Enlarger.bicubic(4)], picture[..., :68, :92], "00")
    assert compare([Enlarger.bicubic(4)], picture[..., :71, :95], "00") == whole


def test_distances_see_the_whole_picture_without_the_border(picture: Tensor) -> None:
    seen = []

    def distance(enlarged: Tensor, truth: Tensor) -> float:
        seen.append((enlarged.shape, truth.shape))
        return 0.5

    scores = compare([Enlarger.bicubic(4)], picture, "00", distances={"LPIPS": distance})
    assert scores["bicubic"].distances == {"LPIPS": 0.5}
    assert seen == [((1, 3, 64, 88), (1, 3, 64, 88))]


def test_a_picture_too_small_for_the_factor_is_refused() -> None:
    with pytest.raises(BadPhotos, match="cat of 80×60 is too small for ×4: both sides must be at least 64 pixels"):
        compare([Enlarger.bicubic(4)], torch.rand(1, 3, 60, 80), "cat")


def test_sparse_coding_is_an_enlarger(photos: Path, picture: Tensor) -> None:
    coding = SparseCoding.learn(load_tiles([photos], 64).train.decode(), 4, atoms=16)
    enlarger = Enlarger.sparse_coding("sparse coding", coding)
    assert enlarger.factor == 4
    assert compare([enlarger], picture, "00")["sparse coding"].psnr > 10


def test_matched_histograms_have_the_colours_of_the_small_picture(picture: Tensor) -> None:
    dark = Enlarger("dark", 4, lambda small: Enlarger.bicubic(4).enlarge(small) / 2)
    assert dark.histogram_matched().name == "dark, histogram matched"
    results = enlarge([Enlarger.bicubic(4), dark.histogram_matched()], picture)
    restored = float(results["dark, histogram matched"].mean())
    assert restored == pytest.approx(float(results["bicubic"].mean()), abs=0.01)


def test_mean_scores_are_over_pictures() -> None:
    scores = [
        {"net": Scores(30.0, 0.9, {"LPIPS": 0.2, "features": 0.5})},
        {"net": Scores(32.0, 0.8, {"LPIPS": 0.4, "features": 0.7})},
    ]
    psnr, ssim, distances = mean_scores(scores)["net"]
    assert (psnr, ssim) == pytest.approx((31.0, 0.85))
    assert distances == pytest.approx({"LPIPS": 0.3, "features": 0.6})
    assert mean_scores([{"net": Scores(30.0, 0.9)}])["net"].distances == {}


def test_tiles_are_compared_by_their_mean(photos: Path) -> None:
    tiles = load_tiles([photos], 64, held_out=3).held_out
    comparison = compare_tiles(bicubic_net(4), tiles, CPU)
    each = [compare([Enlarger.bicubic(4)], tile[None] / 255, "tile")["bicubic"].psnr for tile in tiles]
    assert comparison.name == "mean"
    assert comparison.bicubic.psnr == pytest.approx(sum(each) / 3)
    assert comparison.net[:2] == pytest.approx(comparison.bicubic[:2])


def test_tiles_are_blurred_as_training_did(photos: Path) -> None:
    tiles = load_tiles([photos], 64, held_out=3).held_out
    assert compare_tiles(bicubic_net(4), tiles, CPU, 1.0).net.psnr < compare_tiles(bicubic_net(4), tiles, CPU).net.psnr
    means = mean_on_tiles([Enlarger.bicubic(4)], tiles, CPU, 1.0)
    assert means["bicubic"] == compare_tiles(bicubic_net(4), tiles, CPU, 1.0).bicubic


def test_every_picture_is_measured_at_every_setting(photos: Path) -> None:
    data_sets = {"first": list_pictures(photos)[:2], "second": list_pictures(photos)[2:3]}
    enlargers = {setting: [Enlarger.bicubic(4)] for setting in (PLAIN, BLURRED)}
    measured = list(measure(enlargers, data_sets, CPU))
    assert [(each.data_set, each.setting) for each in measured] == [
        ("first", PLAIN),
        ("first", BLURRED),
        ("first", PLAIN),
        ("first", BLURRED),
        ("second", PLAIN),
        ("second", BLURRED),
    ]
    assert measured[0].scores["bicubic"].psnr > measured[1].scores["bicubic"].psnr


def write_small(path: Path) -> None:
    Image.new("RGB", (40, 40)).save(path)


def write_broken(path: Path) -> None:
    path.write_bytes(b"no picture")


@pytest.mark.parametrize(
    ("write", "message"),
    [(write_small, "is too small for ×4"), (write_broken, "cannot read the picture .*: it is not a picture")],
)
def test_pictures_that_cannot_be_measured_are_refused_before_any_work(
    photos: Path, write: Callable[[Path], None], message: str
) -> None:
    write(photos / "last.png")
    with pytest.raises(BadPhotos, match=message):
        next(measure({PLAIN: [Enlarger.bicubic(4)]}, {"photos": list_pictures(photos)}, CPU))


@pytest.mark.training
def test_bundled_x4_beats_bicubic_on_set5_as_its_card_says(research_data: Path) -> None:
    card, net = Store(BUNDLED).open("super-resolve", "x4-pixel")
    pictures = list_pictures(research_data / "benchmarks" / "Set5")
    enlargers = {PLAIN: [Enlarger.bicubic(4), Enlarger.net("net", net)]}
    means = mean_scores(each.scores for each in measure(enlargers, {"Set5": pictures}, CPU))
    assert means["bicubic"].psnr == pytest.approx(28.43, abs=0.01)
    assert means["bicubic"].ssim == pytest.approx(0.8113, abs=0.0005)
    on_set5 = "Set5, bicubic shrinking without blur"
    figures = {each.name: each.value for each in card.measurements if each.data.startswith(on_set5)}
    assert means["net"].psnr == pytest.approx(figures["PSNR, net"], abs=0.01)
    assert means["net"].ssim == pytest.approx(figures["SSIM, net"], abs=0.001)
