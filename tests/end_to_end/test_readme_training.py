"""Every command of the README's section on training, as typed there, on tiny data."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

README = Path(__file__).parents[2] / "README.md"
IMPASTO = Path(sys.executable).with_name("impasto")

COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README.read_text().partition("## Train")[2], re.DOTALL)
    for line in block.splitlines()
    if line
]

SMALL_STYLE = "--steps 2 --batch 2 --size 32 --style-size 32 --held-out 2"
SMALLER = {
    "train style": f"{SMALL_STYLE} --width 4",
    "train style --from": SMALL_STYLE,
    "train super-resolution": "--steps 2 --batch 2 --tile 64 --patch 64 --held-out 1 --channels 4 --residual-blocks 1",
    "train super-resolution --from": "--steps 2 --batch 2 --tile 128 --patch 128 --held-out 1",
    "train gallery": "--held-out 1",
    "train sparse-coding": "--atoms 16 --tile 64 --held-out 1",
    "optimize": "--iterations 2 --size 32",
    "reconstruct": "--iterations 2 --size 32",
    "evaluate super-resolution": "",
    "evaluate style": "--size 32 --iterations 2 --held-out 2 --gatys-photos 1",
    "evaluate gallery": "--style muse",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with all the files that the commands name."""
    generator = np.random.default_rng(0)
    for name in ("photos/{}.png", "Set5/{}.png", "Set14/{}.png"):
        (tmp_path / name).parent.mkdir()
        for number in range(4):
            blocks = Image.fromarray(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8))
            blocks.resize((160, 144)).save(tmp_path / name.format(number))
    for name in ("painting.jpg", "photo.jpg"):
        Image.open(tmp_path / "photos/0.png").save(tmp_path / name)
    style = "steps = 2\nbatch = 2\nsize = 32\nstyle_size = 32\nwidth = 4"
    (tmp_path / "gallery.toml").write_text(f'[defaults]\n{style}\n[my-style]\npicture = "painting.jpg"\n')
    return tmp_path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment with an empty store, and random weights in torchvision's folder of downloads."""
    checkpoints = tmp_path / "torch/hub/checkpoints"
    checkpoints.mkdir(parents=True)
    for name in ("vgg16", "vgg19"):
        weights = torchvision.models.get_model_weights(name).DEFAULT
        features = getattr(torchvision.models, name)(weights=None, num_classes=1).features.state_dict()
        file = checkpoints / weights.url.rsplit("/", 1)[-1]
        torch.save({f"features.{key}": value for key, value in features.items()}, file)
    own = {"TORCH_HOME": str(tmp_path / "torch"), "IMPASTO_STORE": str(tmp_path / "store"), "COLUMNS": "120"}
    return {**os.environ, **own}


def smaller(command: str) -> str:
    """Return the options that make a command's work tiny."""
    kind = next(kind for kind in SMALLER if command.startswith(f"impasto {kind}"))
    return SMALLER.get(f"{kind} --from" if "--from" in command else kind, SMALLER[kind])


def test_the_section_has_every_command_of_training_and_evaluation() -> None:
    kinds = {kind for kind in SMALLER if any(line.startswith(f"impasto {kind}") for line in COMMANDS)}
    assert kinds == {kind for kind in SMALLER if "--from" not in kind}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_works_as_typed(command: str, folder: Path, environment: dict[str, str]) -> None:
    if command.startswith("impasto evaluate style"):
        assert run(COMMANDS[0], folder, environment).returncode == 0
    result = run(command, folder, environment)
    assert result.returncode == 0, result.stderr
    if command.startswith(("impasto train style", "impasto train super-resolution")):
        assert "published" in result.stdout
    if command.startswith("impasto train gallery"):
        assert (folder / "runs/gallery/sheet.jpg").exists()
    if " -o " in command:
        assert (folder / command.rpartition(" ")[2]).exists()
    elif "evaluate" in command:
        assert list((folder / "evaluation").rglob("report.md"))


def run(command: str, folder: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    words = [*shlex.split(command)[1:], *shlex.split(smaller(command))]
    return subprocess.run([IMPASTO, *words], env=environment, cwd=folder, capture_output=True, text=True, check=False)
