"""How long a step of style training takes, against the same step written plainly.

    python tests/benchmarks/training_step.py --size 256 --batch 8

The peer is what the losses say, written down: eager PyTorch in float32, all taps for photos and pictures, Adam. Both
train the same net with the same losses on the same photos, one step of each in turn; loss networks have random weights,
which cost what real ones do.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch
from timing import interleaved
from torch import Tensor

from model_store.nets import build
from trainer.data.batches import Batch
from trainer.objectives import losses
from trainer.objectives.loss_networks import LossNetwork, load_loss_network, parse_taps
from trainer.objectives.style_objective import StyleLosses, StyleObjective
from trainer.recipes import StyleRecipe
from trainer.training.processes import Processes
from trainer.training.training import Training

WARM_UP = 5


def main() -> None:
    """Prints the milliseconds of both and their ratio, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        source = f"vgg19-normalised:{made_weights(Path(folder))}"
        recipe = StyleRecipe(size=options.size, batch=options.batch, loss_networks=(source,))
        network = load_loss_network(recipe.loss_networks, (*recipe.content_taps, *recipe.style_taps)).to(device)
    style_picture = torch.rand(1, 3, recipe.style_size, recipe.style_size)
    photos = torch.rand(recipe.batch, 3, recipe.size, recipe.size, device=device)

    objective = StyleObjective(StyleLosses(recipe, network, style_picture))
    training = Training(recipe, objective, Processes(device), compiled=options.compile)
    batch = Batch(photos, torch.rand(recipe.batch, device=device))
    plain = plain_step(recipe, network, style_picture.to(device), photos)
    ours, peer = interleaved((lambda: training.advance(batch), plain), options.steps, WARM_UP, device)
    print(
        json.dumps(
            {
                "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
                "threads": torch.get_num_threads(),
                "size": recipe.size,
                "batch": recipe.batch,
                "precision": training.precision,
                "compiled": options.compile,
                "plain_ms": round(peer, 2),
                "ours_ms": round(ours, 2),
                "speed_up": round(peer / ours, 2),
            }
        )
    )


def plain_step(recipe: StyleRecipe, network: LossNetwork, style_picture: Tensor, photos: Tensor) -> Callable[[], None]:
    """The peer."""
    net = build(recipe.architecture, recipe.parameters).to(photos.device).train()
    optimiser = torch.optim.Adam(net.parameters(), recipe.learning_rate)
    content_taps, style_taps = (
        parse_taps(taps, recipe.loss_networks) for taps in (recipe.content_taps, recipe.style_taps)
    )
    with torch.no_grad():
        grams = {tap: losses.gram_matrix(features) for tap, features in network(style_picture).items()}

    def step() -> None:
        with torch.no_grad():
            targets = network(photos)
        pictures = net(photos)
        features = network(pictures)
        content = [losses.relative_feature_reconstruction(features[tap], targets[tap]) for tap in content_taps]
        style = [
            losses.relative_style_reconstruction(losses.gram_matrix(features[tap]), grams[tap]) for tap in style_taps
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


def made_weights(folder: Path) -> Path:
    """Random weights of a normalised VGG-19 that ends at conv3_1."""
    weights = {"conv0.weight": torch.eye(3)[..., None, None].contiguous(), "conv0.bias": torch.zeros(3)}
    for index, inputs, outputs in ((0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256)):
        weights[f"features.{index}.weight"] = torch.randn(outputs, inputs, 3, 3) * (2 / (9 * inputs)) ** 0.5
        weights[f"features.{index}.bias"] = torch.zeros(outputs)
    path = folder / "vgg19.safetensors"
    safetensors.torch.save_file(weights, path)
    return path


if __name__ == "__main__":
    main()
