"""Loss networks: their activations compared with torchvision's VGG, and their files and taps."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from torch import Tensor, nn

from trainer.data.photos import load_picture
from trainer.data.squares import load_crops
from trainer.errors import BadLossNetwork
from trainer.objectives.loss_networks import Tap, load_loss_network, weigh_taps
from trainer.objectives.losses import gram_matrix


def layers(model: str, count: int) -> nn.Sequential:
    """Return the first layers of a VGG of torchvision without the others, whose 100 million weights take seconds."""
    with torch.device("meta"):
        vgg = getattr(torchvision.models, model)(weights=None)
    return vgg.features[:count].to_empty(device="cpu").eval()


def truncated(model: str, count: int) -> dict[str, Tensor]:
    """Return random weights of the first layers of a VGG."""
    torch.manual_seed(0)
    weights = {}
    for name, value in layers(model, count).state_dict().items():
        is_bias = name.endswith("bias")
        weights[f"features.{name}"] = torch.zeros_like(value) if is_bias else nn.init.kaiming_normal_(value)
    return weights


def torchvision_activation(model: str, weights: dict[str, Tensor], pictures: Tensor) -> Tensor:
    """Return the activations behind the last layer with weights, and its ReLU."""
    features = layers(model, 2 + max(int(key.split(".")[1]) for key in weights))
    features.load_state_dict({key.removeprefix("features."): value for key, value in weights.items()})
    with torch.inference_mode():
        return features(pictures)


@pytest.mark.parametrize(("model", "tap", "count"), [("vgg16", "relu3_3", 16), ("vgg19", "relu3_4", 18)])
def test_taps_are_the_activations_of_torchvisions_vgg(tmp_path: Path, model: str, tap: str, count: int) -> None:
    weights = truncated(model, count)
    safetensors.torch.save_file(weights, tmp_path / "vgg.safetensors")
    network = load_loss_network([f"{model}:{tmp_path}/vgg.safetensors"], [tap])
    pictures = torch.rand(1, 3, 32, 40)
    mean, deviation = (torch.tensor(each).view(3, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    expected = torchvision_activation(model, weights, (pictures - mean) / deviation)
    # Winograd's convolutions round to 1e-5 of the largest activation.
    tolerance = 1e-5 * float(expected.max())
    torch.testing.assert_close(network(pictures)[Tap(model, tap, 1)], expected, rtol=1e-5, atol=tolerance)


def test_caffe_weights_see_bgr_from_0_to_255_without_the_mean(tmp_path: Path) -> None:
    weights = truncated("vgg16", 4)
    safetensors.torch.save_file(weights, tmp_path / "vgg.safetensors")
    network = load_loss_network([f"vgg16-caffe:{tmp_path}/vgg.safetensors"], ["relu1_2"])
    pictures = torch.rand(1, 3, 32, 40)
    prepared = pictures.flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    expected = torchvision_activation("vgg16", weights, prepared)
    torch.testing.assert_close(network(pictures)[Tap("vgg16-caffe", "relu1_2", 1)], expected, rtol=1e-4, atol=1e-3)


def test_torchvisions_weights_are_loaded_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    url = torchvision.models.VGG16_Weights.IMAGENET1K_V1.url
    weights = truncated("vgg16", 4)
    torch.save(weights, checkpoints / url.rsplit("/", 1)[-1])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    network = load_loss_network(["vgg16"], ["relu1_2"])
    assert torch.equal(network.networks["vgg16"].features["2"].weight, weights["features.2.weight"])


def test_a_network_is_built_only_down_to_its_deepest_tap(vgg19_weights: Path) -> None:
    network = load_loss_network([f"vgg19-normalised:{vgg19_weights}"], ["relu1_1"])
    assert sum(parameter.numel() for parameter in network.parameters()) == 3 * 3 + 3 + 64 * 27 + 64


def test_a_pyramid_tap_reads_the_picture_pooled(vgg19_weights: Path) -> None:
    network = load_loss_network([f"vgg19-normalised:{vgg19_weights}"], ["relu2_1", "relu2_1/2", "relu2_1/4"])
    pictures = torch.rand(1, 3, 32, 32)
    features = network(pictures)
    for scale in (2, 4):
        pooled = network(F.avg_pool2d(pictures, scale))[Tap("vgg19-normalised", "relu2_1", 1)]
        torch.testing.assert_close(features[Tap("vgg19-normalised", "relu2_1", scale)], pooled)


def test_taps_may_come_from_several_networks(tmp_path: Path, vgg19_weights: Path) -> None:
    safetensors.torch.save_file(truncated("vgg16", 4), tmp_path / "vgg16.safetensors")
    network = load_loss_network(
        [f"vgg19-normalised:{vgg19_weights}", f"vgg16:{tmp_path}/vgg16.safetensors"], ["relu2_1", "vgg16:relu1_2"]
    )
    shapes = {str(tap): features.shape[1:] for tap, features in network(torch.rand(1, 3, 32, 32)).items()}
    assert shapes == {"vgg19-normalised:relu2_1": (128, 16, 16), "vgg16:relu1_2": (64, 32, 32)}


def test_a_loss_network_never_learns_but_passes_gradients_on(vgg19_weights: Path) -> None:
    network = load_loss_network([f"vgg19-normalised:{vgg19_weights}"], ["relu1_1"])
    pictures = torch.rand(1, 3, 16, 16, requires_grad=True)
    network(pictures)[Tap("vgg19-normalised", "relu1_1", 1)].sum().backward()
    assert pictures.grad is not None
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("source", "tap", "sentence"),
    [
        ("vgg11", "relu1_1", "there is no layout 'vgg11'; known: vgg16"),
        ("vgg19-normalised", "relu1_1", "needs a file of weights"),
        ("vgg16:missing.safetensors", "relu1_1", "cannot read the weights of vgg16"),
        ("vgg16:{weights}", "relu6_1", "is not a tap"),
        ("vgg16:{weights}", "conv1_1", "is not a tap"),
        ("vgg16:{weights}", "relu3_4", "there is no relu3_4 in this network"),
        ("vgg19-normalised:{weights}", "relu4_1", "ends before relu4_1"),
        ("vgg19-normalised:{weights}", "relu1_1 vgg16:relu1_1", "a network that was not given"),
        ("vgg19-distilled:{weights}", "relu1_1", "it has no conv11.weight"),
        ("vgg19-distilled:{weights}", "relu1_2", "cannot be tapped at relu1_2"),
        ("vgg19-normalised:{weights}", "relu3_1 relu1_3", "there is no relu1_3 in vgg19-normalised"),
        ("vgg19-normalised:{weights}", "relu3_1=heavy", "the weight of a tap is a number above 0"),
        ("vgg19-normalised:{weights}", "relu3_1=0", "the weight of a tap is a number above 0"),
    ],
)
def test_a_source_or_tap_that_does_not_fit_is_refused(
    vgg19_weights: Path, source: str, tap: str, sentence: str
) -> None:
    with pytest.raises(BadLossNetwork, match=sentence):
        load_loss_network([source.format(weights=vgg19_weights)], tap.split())


def test_a_network_without_a_tap_or_given_twice_is_refused(vgg19_weights: Path) -> None:
    source = f"vgg19-normalised:{vgg19_weights}"
    with pytest.raises(BadLossNetwork, match="no tap is on vgg16"):
        load_loss_network([source, "vgg16"], ["relu1_1"])
    with pytest.raises(BadLossNetwork, match="given twice"):
        load_loss_network([source, source], ["relu1_1"])


def test_weights_of_other_shapes_are_refused_with_both_shapes(tmp_path: Path) -> None:
    weights = {"features.0.weight": torch.zeros(32, 3, 3, 3), "features.0.bias": torch.zeros(32)}
    safetensors.torch.save_file(weights, tmp_path / "narrow.safetensors")
    with pytest.raises(BadLossNetwork, match=r"features\.0\.weight is \(32, 3, 3, 3\), not \(64, 3, 3, 3\)"):
        load_loss_network([f"vgg16:{tmp_path}/narrow.safetensors"], ["relu1_1"])


def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_text("not weights")
    with pytest.raises(BadLossNetwork, match="cannot read the weights"):
        load_loss_network([f"vgg16:{tmp_path}/weights.safetensors"], ["relu1_1"])


def test_taps_may_carry_weights(vgg19_weights: Path) -> None:
    sources = [f"vgg19-normalised:{vgg19_weights}"]
    assert {str(tap): weight for tap, weight in weigh_taps(["relu1_1", "relu2_1/2=0.5"], sources).items()} == {
        "vgg19-normalised:relu1_1": 1,
        "vgg19-normalised:relu2_1/2": 0.5,
    }
    with pytest.raises(BadLossNetwork, match="is given twice"):
        weigh_taps(["relu1_1", "relu1_1=2"], sources)


def test_only_the_taps_asked_for_are_computed(vgg19_weights: Path) -> None:
    network = load_loss_network([f"vgg19-normalised:{vgg19_weights}"], ["relu1_1", "relu2_1", "relu3_1/2"])
    asked = network.taps[1]
    pictures = torch.rand(1, 3, 32, 32)
    some = network(pictures, [asked])
    assert list(some) == [asked]
    torch.testing.assert_close(some[asked], network(pictures)[asked])


@pytest.mark.parametrize(
    ("layout", "file", "layers"),
    [
        (
            "vgg16-caffe",
            "vgg16-conv2_2",
            {"relu1_2": ("features.0", "features.2"), "relu2_2": ("features.5", "features.7")},
        ),
        (
            "vgg19-normalised",
            "vgg19-normalised-conv3_1",
            {"relu1_1": ("features.0",), "relu2_1": ("features.2", "features.5")},
        ),
    ],
)
def test_genuine_weights_give_the_same_as_arithmetic_in_double_precision(
    research_data: Path, photo: Path, layout: str, file: str, layers: dict[str, tuple[str, ...]]
) -> None:
    path = research_data / f"loss_networks/{file}.safetensors"
    weights = {key: value.double().numpy() for key, value in safetensors.torch.load_file(path).items()}
    picture = load_picture(photo, 24)[..., :32]
    pixels = picture[0].double().numpy()
    if layout == "vgg16-caffe":
        features = pixels[::-1] * 255 - np.array([103.939, 116.779, 123.68])[:, None, None]
    else:
        features = np.einsum("oi,ihw->ohw", weights["conv0.weight"][..., 0, 0], pixels)
        features = features + weights["conv0.bias"][:, None, None]
    activations = load_loss_network([f"{layout}:{path}"], list(layers))(picture)
    for layer, convolutions in layers.items():
        for name in convolutions:
            if name == "features.5":
                channels, height, width = features.shape
                features = features.reshape(channels, height // 2, 2, width // 2, 2).max((2, 4))
            kernels, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            padded = np.pad(features, ((0, 0), (1, 1), (1, 1)))
            windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
            features = np.maximum(np.einsum("ihwyx,oiyx->ohw", windows, kernels) + bias[:, None, None], 0)
        found = activations[Tap(layout, layer, 1)][0].double().numpy()
        np.testing.assert_allclose(found, features, rtol=1e-3, atol=1e-4 * features.max())
        assert features.std() > 0


@pytest.mark.training
def test_normalised_activations_have_mean_1_on_photos(research_data: Path) -> None:
    file = research_data / "loss_networks/vgg19-normalised-conv3_1.safetensors"
    network = load_loss_network([f"vgg19-normalised:{file}"], ["relu1_1", "relu2_1", "relu3_1"])
    photos = load_crops([research_data / "benchmarks/Set14"], 256).train.decode() / 255
    means = [float(features.mean()) for features in network(photos).values()]
    np.testing.assert_allclose(means, 1, atol=0.25)


def test_distilled_activations_approximate_those_of_the_whole_network(research_data: Path) -> None:
    folder = research_data / "loss_networks"
    layers = ["relu1_1", "relu2_1", "relu3_1"]
    network = load_loss_network(
        [
            f"vgg19-normalised:{folder}/vgg19-normalised-conv3_1.safetensors",
            f"vgg19-distilled:{folder}/vgg19-distilled-conv5_1.safetensors",
        ],
        [*layers, *(f"vgg19-distilled:{layer}" for layer in layers)],
    )
    features = network(load_crops([research_data / "benchmarks/Set14"], 128).train.decode() / 255)
    for layer, at_least in zip(layers, (0.95, 0.9, 0.8), strict=True):
        whole, distilled = (
            gram_matrix(features[Tap(name, layer, 1)]).flatten() for name in ("vgg19-normalised", "vgg19-distilled")
        )
        assert torch.corrcoef(torch.stack((whole, distilled)))[0, 1] > at_least


def test_a_grey_picture_is_read_like_any_other(tmp_path: Path, vgg19_weights: Path) -> None:
    Image.new("L", (32, 32), 128).save(tmp_path / "grey.png")
    network = load_loss_network([f"vgg19-normalised:{vgg19_weights}"], ["relu1_1"])
    pictures = load_crops([tmp_path], 32).train.decode() / 255
    assert torch.isfinite(network(pictures)[Tap("vgg19-normalised", "relu1_1", 1)]).all()
