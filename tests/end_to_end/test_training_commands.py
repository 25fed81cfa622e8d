"""Every command of the documents that trains or measures, as typed there, on tiny data."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from ..command import Done, Impasto
from ..service.video.films import pictures, write_film

pytestmark = pytest.mark.training

PROJECT = Path(__file__).parents[2]
DOCUMENTS = [PROJECT / name for name in ("README.md", "docs/training.md", "docs/figures.md")]
LINES = [line for document in DOCUMENTS for line in document.read_text().splitlines()]
COMMANDS = [
    line
    for line in dict.fromkeys(LINES)
    if re.match(r"impasto (train|evaluate|optimize|reconstruct) ", line)
    and "--resume" not in line
    and "gallery bundled" not in line
]
"""A resumed run is in tests/trainer/commands, and the bundled gallery in tests/trainer/galleries."""
GALLERY = re.findall(r"^```toml\n(.*?)^```", (PROJECT / "docs/training.md").read_text(), re.DOTALL | re.MULTILINE)[0]

SMALL_STYLE = "--steps 2 --batch 2 --size 32 --style-size 32 --held-out 2"
SMALLER = {
    "train style": f"{SMALL_STYLE} --width 4",
    "train style --from": SMALL_STYLE,
    "train gallery": "--held-out 2",
    "train light": "--steps 2 --end-steps 1 --batch 2 --size 64 --paintings 2 --held-out 2 --width 4",
    "train super-resolution": "--steps 2 --batch 2 --tile 64 --patch 64 --held-out 1 --channels 4 --residual-blocks 1",
    "train super-resolution --from": "--steps 2 --batch 2 --tile 128 --patch 128 --held-out 1",
    "train sparse-coding": "--atoms 16 --tile 64 --held-out 1",
    "optimize": "--iterations 2 --size 32",
    "reconstruct": "--iterations 2 --size 32",
    "evaluate super-resolution": "",
    "evaluate style": "--size 32 --iterations 2 --held-out 2 --gatys-photos 1",
    "evaluate gallery": "--style muse",
    "evaluate video": "--size 64 --frames 3",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with all the files that the commands name."""
    generator = np.random.default_rng(0)
    sets = (("photos", 4, (160, 144)), *((name, 1, (128, 128)) for name in ("Set5", "Set14", "BSD100")))
    for name, count, size in sets:
        (tmp_path / name).mkdir()
        for number in range(count):
            blocks = Image.fromarray(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8))
            blocks.resize(size).save(tmp_path / name / f"{number}.png")
    for name in ("painting.jpg", "photo.jpg"):
        Image.open(tmp_path / "photos/0.png").save(tmp_path / name)
    for name in ("film.mp4", "painted.mp4", "by-frame.mp4"):
        write_film(tmp_path / name, pictures(3))
    small = "[defaults]\nsteps = 2\nbatch = 2\nsize = 32\nstyle_size = 32\n"
    (tmp_path / "styles.toml").write_text(GALLERY.replace("[defaults]\n", small))
    return tmp_path


@pytest.fixture(scope="module")
def torch_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with random weights where torchvision keeps what it has downloaded."""
    home = tmp_path_factory.mktemp("torch")
    checkpoints = home / "hub/checkpoints"
    checkpoints.mkdir(parents=True)
    for name in ("vgg16", "vgg19"):
        weights = torchvision.models.get_model_weights(name).DEFAULT
        with torch.device("meta"):
            shapes = getattr(torchvision.models, name)(weights=None).features.state_dict()
        drawn = {f"features.{key}": 0.02 * torch.randn(like.shape) for key, like in shapes.items()}
        torch.save(drawn, checkpoints / weights.url.rsplit("/", 1)[-1])
    return home


def smaller(command: str) -> str:
    """Return the options that make a command's work tiny."""
    kind = next(kind for kind in SMALLER if command.startswith(f"impasto {kind}"))
    return SMALLER.get(f"{kind} --from" if "--from" in command else kind, SMALLER[kind])


def test_the_documents_have_every_command_of_training_and_evaluation() -> None:
    kinds = {kind for kind in SMALLER if any(line.startswith(f"impasto {kind}") for line in COMMANDS)}
    assert kinds == {kind for kind in SMALLER if "--from" not in kind}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_works_as_typed(impasto: Impasto, command: str, folder: Path, torch_home: Path) -> None:
    def run(command: str) -> Done:
        words = [*shlex.split(command)[1:], *shlex.split(smaller(command))]
        return impasto(*words, TORCH_HOME=str(torch_home))

    if "my-style" in command.partition("--photos")[0]:
        assert run("impasto train style painting.jpg --photos photos/ --name my-style").returncode == 0
    if "--init" in command:
        assert run("impasto train light --from muse --photos photos/").returncode == 0
    result = run(command)
    assert result.returncode == 0, result.stderr
    if command.startswith(("impasto train style", "impasto train light", "impasto train super-resolution")):
        assert "published" in result.stdout
    if command.startswith("impasto train gallery"):
        assert (folder / "runs/styles/sheet.jpg").exists()
    if " -o " in command:
        assert (folder / command.rpartition(" ")[2]).exists()
    elif command.startswith("impasto evaluate video"):
        assert "warping error" in result.stdout
    elif "evaluate" in command:
        assert list((folder / "evaluation").rglob("report.md"))
