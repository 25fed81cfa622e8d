"""Measure a step of style training, compared with the same step written plainly and with that of another checkout.

    python tests/benchmarks/training_step.py --size 256 --batch 8
    python tests/benchmarks/training_step.py --objective deep --batch 2 --threads 1 --against ../before

The plain step is a direct translation of the losses: eager PyTorch in float32, torch's convolutions, all taps for both
photos and pictures, Adam. The step of the other checkout is computed by the packages in its folder, in a process that
otherwise waits. All train the same net with the same losses on the same photos, one step of each in turn. The loss
networks have random weights, which take as much time as real ones.
"""

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from timing import interleaved, synchronise
from torch import Tensor, nn

from model_store.nets import build
from trainer.data.batches import Batch
from trainer.objectives import losses
from trainer.objectives.loss_networks import LossNetwork, load_loss_network, parse_taps
from trainer.objectives.style_objective import StyleLosses, StyleObjective
from trainer.recipes import StyleRecipe
from trainer.training.processes import Processes
from trainer.training.training import Training

WARM_UP = {"cpu": 2, "cuda": 5}


class Objective(NamedTuple):
    """A loss network and its taps."""

    layout: str
    """The name of the loss network's layout."""
    convolutions: dict[int, tuple[int, int]]
    """The input and output channels of each convolution, by the number in the layer's name."""
    taps: dict[str, tuple[str, ...]]
    """The taps, as fields of the recipe; without any, the recipe's defaults are used."""


OBJECTIVES = {
    "default": Objective(
        "vgg19-normalised", {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256)}, {}
    ),
    "deep": Objective(
        "vgg16-caffe",
        {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256), 14: (256, 256)}
        | {17: (256, 512), 19: (512, 512), 21: (512, 512)},
        {"content_taps": ("relu2_2", "relu3_3"), "style_taps": ("relu1_2", "relu2_2", "relu3_3", "relu4_3")},
    ),
}


def main() -> None:
    """Print the milliseconds of each step and their ratios to ours, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objective", choices=OBJECTIVES, default="default", help="deep: VGG-16 down to relu4_3")
    parser.add_argument("--size", type=int, default=256, help="side of the photos in pixels")
    parser.add_argument("--batch", type=int, default=8, help="number of photos in a step")
    parser.add_argument("--steps", type=int, default=20, help="number of measured steps")
    parser.add_argument(
        "--precision", choices=("auto", "float32", "bfloat16"), default="auto", help="type of activations"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="number of threads on a CPU")
    parser.add_argument("--compile", action="store_true", help="compile the step")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cuda or cpu")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another checkout of this project")
    parser.add_argument("--on-request", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    objective = OBJECTIVES[options.objective]
    with tempfile.TemporaryDirectory() as folder:
        source = f"{objective.layout}:{made_weights(objective, Path(folder))}"
        recipe = StyleRecipe(
            size=options.size,
            batch=options.batch,
            precision=options.precision,
            loss_networks=(source,),
            **objective.taps,
        )
        network = load_loss_network(recipe.loss_networks, (*recipe.content_taps, *recipe.style_taps)).to(device)
    style_picture = torch.rand(1, 3, recipe.style_size, recipe.style_size)
    photos = torch.rand(recipe.batch, 3, recipe.size, recipe.size, device=device)
    batch = Batch(photos, torch.rand(recipe.batch, device=device))
    style_objective = StyleObjective(StyleLosses(recipe, network, style_picture))
    training = Training(recipe, style_objective, Processes(device), compiled=options.compile)
    if options.on_request:
        step_on_request(lambda: training.advance(batch), device)
        return
    steps = {
        "ours": lambda: training.advance(batch),
        "plain": plain_step(recipe, network, style_picture.to(device), photos),
    }
    if options.against:
        steps["before"] = step_of(options.against.resolve())
    times = dict(
        zip(steps, interleaved(tuple(steps.values()), options.steps, WARM_UP[device.type], device), strict=True)
    )
    print(
        json.dumps(
            {
                "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
                "threads": torch.get_num_threads(),
                "objective": options.objective,
                "size": recipe.size,
                "batch": recipe.batch,
                "precision": training.precision,
                "compiled": options.compile,
                **{f"{name}_ms": round(time, 2) for name, time in times.items()},
                **{f"{name}_to_ours": round(time / times["ours"], 2) for name, time in times.items() if name != "ours"},
            }
        )
    )


def step_of(checkout: Path) -> Callable[[], object]:
    """Return a step that is computed by the packages of another checkout, with the options of this process."""
    child = subprocess.Popen(
        [sys.executable, __file__, *sys.argv[1:], "--on-request"],
        env=os.environ | {"PYTHONPATH": str(checkout)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    requests, answers = child.stdin, child.stdout
    assert requests is not None
    assert answers is not None

    def step() -> None:
        requests.write(b"\n")
        if not answers.readline():
            raise SystemExit(f"the step of {checkout} failed")

    return step


def step_on_request(step: Callable[[], object], device: torch.device) -> None:
    """Do a step for each line of standard input, and answer it with a line."""
    for _ in sys.stdin:
        step()
        synchronise(device)
        print(flush=True)


def plain_step(recipe: StyleRecipe, network: LossNetwork, style_picture: Tensor, photos: Tensor) -> Callable[[], None]:
    """Return the step written plainly."""
    net = build(recipe.architecture, recipe.parameters).to(photos.device).train()
    optimiser = torch.optim.Adam(net.parameters(), recipe.learning_rate)
    content_taps, style_taps = (
        parse_taps(taps, recipe.loss_networks) for taps in (recipe.content_taps, recipe.style_taps)
    )
    network = plain_network(network)
    with torch.no_grad():
        grams = {tap: plain_gram_matrix(features) for tap, features in network(style_picture).items()}

    def step() -> None:
        with torch.no_grad():
            targets = network(photos)
        pictures = net(photos)
        features = network(pictures)
        content = [losses.relative_feature_reconstruction(features[tap], targets[tap]) for tap in content_taps]
        style = [
            losses.relative_style_reconstruction(plain_gram_matrix(features[tap]), grams[tap]) for tap in style_taps
        ]
        total = (
            recipe.content_weight * torch.stack(content).mean()
            + recipe.style_weight * torch.stack(style).mean()
            + recipe.variation_weight * losses.mean_squared_variation(pictures)
        )
        optimiser.zero_grad()
        total.backward()
        optimiser.step()

    return step


def plain_network(network: LossNetwork) -> LossNetwork:
    """Return a copy of a loss network that has torch's own convolutions."""
    network = copy.deepcopy(network)
    for layers in (each.features for each in network.networks.values()):
        for name, layer in layers.items():
            if isinstance(layer, nn.Conv2d):
                layers[name] = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1, device=network.device)
                layers[name].load_state_dict(layer.state_dict())
    return network.requires_grad_(requires_grad=False)


def plain_gram_matrix(features: Tensor) -> Tensor:
    """Return the Gram matrices of features (Johnson et al. 2016, equation 3), `(N, C, C)`."""
    flat = features.flatten(2)
    return flat @ flat.mT / features[0].numel()


def made_weights(objective: Objective, folder: Path) -> Path:
    """Write random weights of a loss network to a file in a folder, and return its path."""
    weights = {"conv0.weight": torch.eye(3)[..., None, None].contiguous(), "conv0.bias": torch.zeros(3)}
    for index, (inputs, outputs) in objective.convolutions.items():
        weights[f"features.{index}.weight"] = torch.randn(outputs, inputs, 3, 3) * (2 / (9 * inputs)) ** 0.5
        weights[f"features.{index}.bias"] = torch.zeros(outputs)
    path = folder / "vgg.safetensors"
    safetensors.torch.save_file(weights, path)
    return path


if __name__ == "__main__":
    main()
