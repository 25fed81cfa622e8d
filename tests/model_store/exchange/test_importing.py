"""The import of nets that others published."""

import os
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from model_store.card import Task
from model_store.errors import CannotImport
from model_store.exchange.importing import import_model
from model_store.nets import StyleNet, SuperResolutionNet
from model_store.store import Store
from service.inference import inference_form

from .published import FastNeuralStyle, PublishedEDSR, PublishedSRResNet

PICTURE = torch.rand(1, 3, 40, 52, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def saved(weights: Any, path: Path) -> Path:
    torch.save(weights, path)
    return path


def imported(store: Path, path: Path, name: str) -> None:
    import_model(Store(store), path, name, licence="BSD-3-Clause", author="others")


def difference(store: Path, task: Task, name: str, wanted: Tensor) -> float:
    """Return the largest difference between what an imported model makes of the picture and what is wanted, in 255ths.

    The model is run in the form in which servers run it.
    """
    form = inference_form(Store(store).open(task, name).net)
    with torch.inference_mode():
        return ((form(PICTURE) - wanted.clamp(0, 1)).abs().max() * 255).item()


def styled(net: nn.Module) -> Tensor:
    with torch.inference_mode():
        return net(PICTURE * 255) / 255


def as_after_training(net: FastNeuralStyle) -> FastNeuralStyle:
    """Spread the results over the range of pixels, as those of a trained net are."""
    with torch.no_grad():
        net.deconv3.conv2d.weight *= 100
        net.deconv3.conv2d.bias += 127
    return net


def test_a_style_of_pytorchs_example_paints_the_same(tmp_path: Path) -> None:
    net = as_after_training(FastNeuralStyle())

    imported(tmp_path, saved(net.state_dict(), tmp_path / "mosaic.pth"), "mosaic")

    assert difference(tmp_path, "stylize", "mosaic", styled(net)) < 1
    card = Store(tmp_path).card("stylize", "mosaic")
    assert (card.licence, card.author, card.architecture) == ("BSD-3-Clause", "others", "fast-neural-style")
    assert card.recipe["imported_from"] == "mosaic.pth"


def test_the_running_statistics_of_the_first_files_are_left_out(tmp_path: Path) -> None:
    net = as_after_training(FastNeuralStyle(8, 2))
    weights = dict(net.state_dict())
    for key in [key for key in weights if ".in" in f".{key}" and key.endswith("weight")]:
        weights[key.replace("weight", "running_mean")] = torch.rand_like(weights[key])
        weights[key.replace("weight", "running_var")] = torch.rand_like(weights[key])

    imported(tmp_path, saved(weights, tmp_path / "candy.pth"), "candy")

    assert difference(tmp_path, "stylize", "candy", styled(net)) < 1


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_edsr_enlarges_the_same(tmp_path: Path, factor: int) -> None:
    net = PublishedEDSR(factor, 16, 3)

    imported(tmp_path, saved({"params": net.state_dict()}, tmp_path / "edsr.pth"), f"x{factor}-pixel")

    with torch.inference_mode():
        assert difference(tmp_path, "super-resolve", f"x{factor}-pixel", net(PICTURE)) < 1


def test_the_large_edsr_scales_its_branches(tmp_path: Path) -> None:
    net = PublishedEDSR(2, 256, 1, 0.1)

    imported(tmp_path, saved({"params_ema": net.state_dict()}, tmp_path / "edsr.pth"), "x2-pixel")

    with torch.inference_mode():
        assert difference(tmp_path, "super-resolve", "x2-pixel", net(PICTURE)) < 1


@pytest.mark.parametrize("factor", [2, 4])
def test_srresnet_enlarges_the_same(tmp_path: Path, factor: int) -> None:
    net = PublishedSRResNet(factor, 16, 3)

    imported(tmp_path, saved({"params": net.state_dict()}, tmp_path / "srresnet.pth"), f"x{factor}-feature")

    with torch.inference_mode():
        assert difference(tmp_path, "super-resolve", f"x{factor}-feature", net(PICTURE)) < 1


@pytest.mark.parametrize(
    ("net", "task", "name"),
    [(StyleNet(8, 2), "stylize", "own"), (SuperResolutionNet(4, 8, 2), "super-resolve", "x4-pixel")],
    ids=["style", "super-resolution"],
)
def test_impastos_own_safetensors_are_recognised(tmp_path: Path, net: nn.Module, task: Task, name: str) -> None:
    path = tmp_path / "own.safetensors"
    safetensors.torch.save_file(net.state_dict(), path)

    imported(tmp_path, path, name)

    with torch.inference_mode():
        assert difference(tmp_path, task, name, net.eval()(PICTURE)) < 1


def test_keys_of_parallel_training_lose_their_prefix(tmp_path: Path) -> None:
    net = as_after_training(FastNeuralStyle(8, 1))
    weights = {f"module.{key}": tensor for key, tensor in net.state_dict().items()}

    imported(tmp_path, saved({"state_dict": weights, "epoch": 2}, tmp_path / "udnie.pth"), "udnie")

    assert difference(tmp_path, "stylize", "udnie", styled(net)) < 1


class Executes:
    """An object whose pickle runs a command when it is read by plain `torch.load`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def test_a_pickle_that_would_execute_something_is_refused(tmp_path: Path) -> None:
    trap = tmp_path / "executed"
    path = saved({"conv1.conv2d.weight": Executes(trap)}, tmp_path / "trap.pth")

    with pytest.raises(CannotImport, match="could execute a program"):
        imported(tmp_path / "store", path, "trap")

    assert not trap.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not weights", "is not a file of weights"),
        (b"", "is not a file of weights"),
        (b"\x89PNG\r\n\x1a\n", "is not a file of weights"),
    ],
)
def test_what_is_no_file_of_weights_is_told(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(content)

    with pytest.raises(CannotImport, match=said):
        imported(tmp_path / "store", path, "net")


def test_a_net_that_is_not_known_is_told_with_what_was_found(tmp_path: Path) -> None:
    path = saved({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "vgg.pth")

    with pytest.raises(CannotImport, match=r"features\.0\.weight \(64, 3, 3, 3\)"):
        imported(tmp_path / "store", path, "vgg")


@pytest.mark.parametrize("weights", [{}, [1, 2], {"epoch": 3}], ids=str)
def test_a_file_without_weights_is_told(tmp_path: Path, weights: Any) -> None:
    with pytest.raises(CannotImport, match="state_dict"):
        imported(tmp_path / "store", saved(weights, tmp_path / "net.pth"), "net")


def test_a_layout_with_other_shapes_is_told(tmp_path: Path) -> None:
    path = saved({"params": PublishedEDSR(3, 8, 1).state_dict()}, tmp_path / "x3.pth")

    with pytest.raises(CannotImport, match="EDSR of BasicSR, but does not fit"):
        imported(tmp_path / "store", path, "x2-pixel")


def test_a_net_that_servers_would_not_find_is_told_what_to_be_called(tmp_path: Path) -> None:
    path = saved({"params": PublishedEDSR(2, 8, 1).state_dict()}, tmp_path / "edsr.pth")

    with pytest.raises(CannotImport, match="call it x2-pixel"):
        imported(tmp_path / "store", path, "edsr")
