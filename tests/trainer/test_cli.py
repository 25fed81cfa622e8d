"""`impasto train` and `impasto evaluate`, as typed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from model_store.store import Store

IMPASTO = Path(sys.executable).with_name("impasto")
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "IMPASTO_STORE": str(tmp_path / "store"), "COLUMNS": "120"}


@pytest.fixture
def impasto(tmp_path: Path, environment: dict[str, str]) -> Command:
    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [IMPASTO, *words], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture
def style_words(style_picture: Path, photos: Path, vgg19_weights: Path) -> list[str]:
    words = f"train style {style_picture} --photos {photos} --name stripes --loss-network vgg19-normalised:"
    options = " --width 4 --size 32 --style-size 32 --batch 2 --held-out 2"
    return (words + str(vgg19_weights) + options).split()


def test_a_style_is_trained_published_and_shown_with_a_full_card(
    impasto: Command, tmp_path: Path, style_words: list[str], photo: Path
) -> None:
    result = impasto(*style_words, "--steps", "3", "--preview", str(photo), "--title", "Stripes", "--author", "Ada")
    assert result.returncode == 0, result.stderr
    assert "10 squares of 32×32 from photos, 2 more held out" in result.stdout
    assert "published stylize/stripes@1" in result.stdout
    assert "objective" in result.stderr
    store = Store(tmp_path / "store")
    card = store.card("stylize", "stripes")
    assert (card.title, card.author) == ("Stripes", "Ada")
    assert card.recipe["schedule"]["steps"] == 3
    assert str(tmp_path) not in card.model_dump_json()
    assert [figure.name for figure in card.measurements] == [
        "relative style error, photos",
        "relative style error, stylised",
    ]
    assert card.recipe["sha256"].keys() == {"style picture", "photos"}
    assert store.preview("stylize", "stripes")[:2] == b"\xff\xd8"


def test_an_interrupted_style_says_how_to_go_on_and_does(
    impasto: Command, environment: dict[str, str], tmp_path: Path, style_words: list[str]
) -> None:
    words = [*style_words, "--steps", "100000"]
    started = subprocess.Popen([IMPASTO, *words], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert started.stderr is not None
    first_report = next(line for line in started.stderr if "step" in line)
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=60)
    assert "objective" in first_report
    assert started.returncode == 1
    assert "add --resume to go on" in errors
    assert (tmp_path / "runs/stripes/checkpoint.safetensors").exists()

    assert "add --resume to go on with it" in impasto(*words).stderr
    resumed = subprocess.Popen(
        [IMPASTO, *words, "--resume"], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert resumed.stderr is not None
    assert any("step" in line for line in resumed.stderr)
    resumed.terminate()
    resumed.communicate(timeout=60)
    assert resumed.returncode == 1


def test_a_super_resolution_net_is_trained_published_and_evaluated(
    impasto: Command, tmp_path: Path, photos: Path
) -> None:
    options = "--factor 2 --channels 4 --residual-blocks 1 --tile 64 --patch 32 --batch 2 --steps 3 --held-out 2"
    trained = impasto("train", "super-resolution", "--photos", photos, *options.split())
    assert trained.returncode == 0, trained.stderr
    assert "published super-resolve/x2-pixel@1" in trained.stdout
    assert Store(tmp_path / "store").open("super-resolve", "x2-pixel").net.factor == 2
    evaluated = impasto("evaluate", "super-resolution", "--model", "x2-pixel", "--hr", photos)
    lines = [line.split() for line in evaluated.stdout.splitlines() if line.split()[:1] in (["00"], ["mean"])]
    assert [line[0] for line in lines] == ["00", "mean"]
    assert all(len(line) == 5 for line in lines)


def test_a_style_is_evaluated(impasto: Command, style_picture: Path, photos: Path, vgg19_weights: Path) -> None:
    result = impasto(
        *("evaluate", "style", "--model", "muse", "--style-picture", style_picture, "--photos", photos),
        *("--loss-network", f"vgg19-normalised:{vgg19_weights}", "--held-out", "2"),
    )
    assert "relative style error on 2 photos: photos " in result.stdout, result.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--loss-network", "vgg19-normalised:missing.safetensors"), "a layout is given twice"),
        (("--held-out", "12"), "give it more photos"),
        (("--losses", "absolute"), "needs --content-weight, --style-weight and --variation-weight"),
        (("--style-tap", "relu9_9"), "'relu9_9' is not a tap"),
        (("--resume",), "there is no run to resume in runs/stripes"),
        (("--name", "../escape"), "'../escape' cannot name a model"),
        (("--steps", "0"), "--steps"),
    ],
)
def test_bad_input_is_said_in_one_sentence_before_training(
    impasto: Command, tmp_path: Path, style_words: list[str], options: tuple[str, ...], sentence: str
) -> None:
    result = impasto(*style_words, "--steps", "2", *options)
    assert result.returncode != 0
    assert sentence in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "store" / "stylize").exists()
    assert not list(tmp_path.glob("runs/*/*"))


def test_cards_can_be_read_as_json(impasto: Command) -> None:
    assert json.loads(impasto("models", "show", "muse").stdout)["loss_network"].startswith("VGG-19")
