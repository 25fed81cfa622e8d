"""Measuring nets."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from model_store.nets import SuperResolutionNet, TransformNet
from model_store.store import BUNDLED, Store
from trainer.evaluation import compare_folder, compare_tiles, mean_comparison, measure_style
from trainer.loss_networks import load_loss_network
from trainer.photos import load_crops, load_picture, load_tiles
from trainer.style_training import StyleRecipe

CPU = torch.device("cpu")


class Identity(TransformNet):
    """Leaves pictures as they are."""

    def transform(self, pictures: Tensor) -> Tensor:
        return pictures


@pytest.fixture
def bicubic_net() -> TransformNet:
    net = SuperResolutionNet(4, channels=4, residual_blocks=1).eval()
    for parameter in net.last.parameters():
        nn.init.zeros_(parameter)
    return net


def test_a_net_that_is_bicubic_scores_like_bicubic(bicubic_net: TransformNet, photos: Path) -> None:
    comparisons = list(compare_folder(bicubic_net, photos, CPU))
    assert [comparison.name for comparison in comparisons] == [f"{number:02}" for number in range(12)]
    assert all(comparison.net == pytest.approx(comparison.bicubic) for comparison in comparisons)


def test_the_mean_is_over_pictures(bicubic_net: TransformNet, photos: Path) -> None:
    comparisons = list(compare_folder(bicubic_net, photos, CPU))
    mean = mean_comparison(comparisons)
    assert mean.bicubic.psnr == pytest.approx(sum(each.bicubic.psnr for each in comparisons) / 12)
    tiles = load_tiles(photos, 64).train
    assert compare_tiles(bicubic_net, tiles, CPU).name == "mean"


def test_a_net_that_changes_nothing_leaves_the_style_error(
    photos: Path, style_picture: Path, vgg19_weights: Path
) -> None:
    network = load_loss_network([f"vgg19-normalised:{vgg19_weights}"], ["relu1_1", "relu2_1/2"])
    crops = load_crops(photos, 48).train
    error = measure_style(Identity().eval(), crops, load_picture(style_picture), network, network.taps)
    assert error.after == pytest.approx(error.before)
    assert error.before > 0


def test_the_style_picture_itself_has_no_style_error(style_picture: Path, vgg19_weights: Path) -> None:
    network = load_loss_network([f"vgg19-normalised:{vgg19_weights}"], ["relu1_1", "relu2_1/2"])
    picture = load_picture(style_picture)
    same = picture.mul(255).round().byte()
    assert measure_style(Identity().eval(), same, picture, network, network.taps).before == pytest.approx(0, abs=1e-6)


def test_no_photos_to_measure_on_are_refused(style_picture: Path, vgg19_weights: Path) -> None:
    network = load_loss_network([f"vgg19-normalised:{vgg19_weights}"], ["relu1_1"])
    none = torch.empty(0, 3, 32, 32, dtype=torch.uint8)
    with pytest.raises(ValueError, match="no photos"):
        measure_style(Identity().eval(), none, load_picture(style_picture), network, network.taps)


def test_bundled_x4_beats_bicubic_on_set5_as_its_card_says(research_data: Path) -> None:
    card, net = Store(BUNDLED).open("super-resolve", "x4-pixel")
    mean = mean_comparison(list(compare_folder(net, research_data / "benchmarks/Set5", CPU)))
    assert mean.bicubic.psnr == pytest.approx(28.43, abs=0.01)
    assert mean.bicubic.ssim == pytest.approx(0.8113, abs=0.0005)
    assert mean.net.psnr > 31.5
    figures = {(each.name, each.data.partition(",")[0]): each.value for each in card.measurements}
    assert mean.net.psnr == pytest.approx(figures["PSNR, net", "Set5"], abs=0.01)
    assert mean.net.ssim == pytest.approx(figures["SSIM, net", "Set5"], abs=0.001)


def test_bundled_muse_takes_photos_to_a_fifth_of_their_style_error_as_its_card_says(research_data: Path) -> None:
    card, net = Store(BUNDLED).open("stylize", "muse")
    recipe = StyleRecipe()
    file = research_data / "loss_networks/vgg19-normalised-conv3_1.safetensors"
    network = load_loss_network([f"vgg19-normalised:{file}"], recipe.style_taps)
    photos = load_crops(research_data / "benchmarks/BSD100", recipe.size, held_out=32).held_out
    picture = load_picture(research_data / "styles/muse.jpg", recipe.style_size)
    error = measure_style(net, photos, picture, network, network.taps)
    assert error.after < 0.2 * error.before
    figures = {each.name: each.value for each in card.measurements}
    assert error.before == pytest.approx(figures["relative style error, photos"], abs=0.001)
    assert error.after == pytest.approx(figures["relative style error, stylised"], abs=0.001)
