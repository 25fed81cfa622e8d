"""The commands of `impasto train`, run in processes of their own."""

import csv
import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from model_store.store import Store
from trainer.recipes import StyleRecipe, SuperResolutionRecipe

from ...command import Impasto
from ..killed import killed_at_checkpoint

IMPASTO = Path(sys.executable).with_name("impasto")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "IMPASTO_STORE": str(tmp_path / "store"), "COLUMNS": "120"}


@pytest.fixture
def style_words(style_picture: Path, photos: Path, vgg19_weights: Path) -> list[str]:
    words = f"train style {style_picture} --photos {photos} --name stripes --loss-network vgg19-normalised:"
    options = " --width 4 --size 32 --style-size 32 --batch 2 --held-out 2 --precision float32"
    return (words + str(vgg19_weights) + options).split()


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "losses.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.training
def test_a_style_is_trained_published_and_shown_with_a_full_card(
    impasto: Impasto, tmp_path: Path, style_words: list[str], photo: Path
) -> None:
    shown = ("--preview", str(photo), "--preview-every", "2")
    result = impasto(*style_words, "--steps", "3", *shown, "--title", "Stripes", "--author", "Ada")
    assert result.returncode == 0, result.stderr
    assert "10 squares of 32×32 from photos, 2 more held out" in result.stdout
    assert "published stylize/stripes@1" in result.stdout
    assert "objective" in result.stderr
    store = Store(tmp_path / "store")
    card = store.card("stylize", "stripes")
    assert (card.title, card.author) == ("Stripes", "Ada")
    assert card.recipe["steps"] == 3
    assert card.recipe["precision"] == "float32"
    assert str(tmp_path) not in card.model_dump_json()
    assert [figure.name for figure in card.measurements] == [
        "relative style error, photos",
        "relative style error, stylised",
    ]
    assert card.recipe["sha256"].keys() == {"style picture", "photos", "loss networks"}
    assert store.preview("stylize", "stripes")[:2] == b"\xff\xd8"
    assert (tmp_path / "runs/stripes/previews/000002-coffee.jpg").exists()
    assert rows(tmp_path / "runs/stripes")[-1].keys() >= {"step", "rate", "content", "style", "variation", "objective"}


@pytest.mark.training
def test_a_style_starts_from_another(impasto: Impasto, tmp_path: Path, style_words: list[str]) -> None:
    assert impasto(*style_words, "--steps", "2").returncode == 0
    words = [word for word in style_words if word not in ("--width", "4")]
    result = impasto(*words, "--from", "stripes", "--steps", "2", "--name", "more-stripes", "--run", "more")
    assert result.returncode == 0, result.stderr
    card = Store(tmp_path / "store").card("stylize", "more-stripes")
    assert card.parameters["width"] == 4
    assert card.recipe["sha256"]["from"].startswith("stripes@1 ")
    assert card.recipe["ema"] == 0.998


@pytest.mark.training
def test_the_papers_recipe_trains_the_papers_net(impasto: Impasto, tmp_path: Path, style_words: list[str]) -> None:
    taps = ("--content-tap", "relu2_1", "--style-tap", "relu1_1=0.01", "--style-tap", "relu2_1=0.01")
    result = impasto(*style_words, "--recipe", "paper", *taps, "--steps", "2")
    assert result.returncode == 0, result.stderr
    card = Store(tmp_path / "store").card("stylize", "stripes")
    assert card.architecture == "johnson2016"
    assert (card.recipe["losses"], card.recipe["schedule"], card.recipe["learning_rate"]) == (
        "absolute",
        "constant",
        1e-3,
    )


@pytest.mark.training
@pytest.mark.process
def test_an_interrupted_style_says_how_to_go_on_and_does(
    impasto: Impasto, environment: dict[str, str], tmp_path: Path, style_words: list[str]
) -> None:
    words = [*style_words, "--steps", "100000"]
    started = subprocess.Popen([IMPASTO, *words], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert started.stderr is not None
    first_report = next(line for line in started.stderr if "step" in line)
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=60)
    assert "objective" in first_report
    assert started.returncode == 1
    assert "add --resume runs/stripes to go on" in errors
    assert (tmp_path / "runs/stripes/checkpoint.safetensors").exists()

    assert "add --resume runs/stripes to go on with it" in impasto(*words).stderr
    resumed = subprocess.Popen(
        [IMPASTO, *words, "--resume", "runs/stripes"], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert resumed.stderr is not None
    assert any("step" in line for line in resumed.stderr)
    resumed.terminate()
    resumed.communicate(timeout=60)
    assert resumed.returncode == 1


@pytest.mark.training
@pytest.mark.process
def test_a_killed_and_resumed_run_ends_bit_for_bit_like_one_that_was_not_killed(
    impasto: Impasto, environment: dict[str, str], tmp_path: Path, style_words: list[str]
) -> None:
    words = [*style_words, "--steps", "30", "--save-every", "0"]
    whole = impasto(*words, "--name", "whole")
    assert whole.returncode == 0, whole.stderr

    killed = killed_at_checkpoint(13, words, environment, tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert rows(tmp_path / "runs/stripes")[-1]["step"] == "13"
    assert not (tmp_path / "runs/stripes/published.txt").exists()

    resumed = impasto(*words, "--resume", "runs/stripes")
    assert resumed.returncode == 0, resumed.stderr
    assert [int(row["step"]) for row in rows(tmp_path / "runs/stripes")] == list(range(1, 31))
    store = Store(tmp_path / "store")
    assert store.card("stylize", "stripes").sha256 == store.card("stylize", "whole").sha256
    again = impasto(*words, "--resume", "runs/stripes")
    assert "has ended and was published as stylize/stripes@1" in again.stderr


@pytest.mark.training
@pytest.mark.process
def test_a_full_disk_stops_with_one_sentence_and_leaves_the_last_checkpoint(
    environment: dict[str, str], tmp_path: Path, style_words: list[str]
) -> None:
    words = [*style_words, "--steps", "100000", "--save-every", "0"]

    def leave_little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    result = subprocess.run(
        [IMPASTO, *words], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
        preexec_fn=leave_little_room,
    )  # fmt: skip
    assert result.returncode == 1
    assert "cannot write" in result.stderr
    assert "File too large" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list((tmp_path / "runs/stripes").glob("*.writing"))


@pytest.mark.training
@pytest.mark.process
def test_two_processes_train_like_one(
    impasto: Impasto, environment: dict[str, str], tmp_path: Path, style_words: list[str]
) -> None:
    words = [
        *style_words,
        "--batch",
        "4",
        "--steps",
        "4",
        "--save-every",
        "0",
        "--precision",
        "float32",
    ]  # after more steps, Adam amplifies rounding, and bfloat16 rounds batches of other sizes differently
    assert impasto(*words, "--name", "one").returncode == 0
    launch = [IMPASTO.with_name("torchrun"), "--nproc-per-node", "2", IMPASTO]
    both = subprocess.run(
        [*launch, *words, "--name", "two"],
        env={**environment, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert both.returncode == 0, both.stderr
    assert both.stdout.count("published stylize/two@1") == 1
    one, two = (rows(tmp_path / "runs" / name) for name in ("one", "two"))
    assert [row["step"] for row in one] == [row["step"] for row in two] == ["1", "2", "3", "4"]
    for term in ("content", "style", "variation", "objective"):
        alone, together = ([float(row[term]) for row in each] for each in (one, two))
        assert together == pytest.approx(alone, rel=1e-4, abs=1e-4)
    assert Store(tmp_path / "store").card("stylize", "two").recipe["processes"] == 2


@pytest.mark.training
def test_super_resolution_nets_are_trained_from_one_another(
    impasto: Impasto, tmp_path: Path, photos: Path, vgg19_weights: Path
) -> None:
    small = ["--channels", "4", "--residual-blocks", "1", "--batch", "2", "--steps", "2", "--held-out", "2"]
    common = ("train", "super-resolution", "--photos", photos, "--tile", "64", "--patch", "64")
    pixel = impasto(*common, *small)
    assert pixel.returncode == 0, pixel.stderr
    assert "published super-resolve/x4-pixel@" in pixel.stdout
    features = ("--loss", "feature", "--loss-network", f"vgg19-normalised:{vgg19_weights}", "--feature-tap", "relu2_1")
    feature = impasto(*common, *small[4:], "--from", "x4-pixel", *features)
    assert "published super-resolve/x4-feature@" in feature.stdout, feature.stderr
    common = ("train", "super-resolution", "--photos", photos.parent / "large", "--tile", "128", "--patch", "128")
    (photos.parent / "large").mkdir()
    for path in photos.iterdir():
        Image.open(path).resize((160, 160)).save(photos.parent / "large" / path.name)
    large = impasto(*common, *small[4:], "--from", "x4-pixel", "--factor", "8", "--degradation", "drawn")
    assert "published super-resolve/x8-pixel@" in large.stdout, large.stderr
    store = Store(tmp_path / "store")
    assert store.open("super-resolve", "x8-pixel").net.factor == 8
    assert store.card("super-resolve", "x4-feature").loss_network == "vgg19-normalised:vgg19.safetensors"


@pytest.mark.training
def test_a_net_trained_on_blurred_photos_is_not_published_over_that_for_sharp_ones(
    impasto: Impasto, tmp_path: Path, photos: Path
) -> None:
    small = "--channels 4 --residual-blocks 1 --tile 64 --patch 64 --batch 2 --steps 2 --held-out 2".split()  # noqa: SIM905
    result = impasto("train", "super-resolution", "--photos", photos, *small, "--degradation", "blur")
    assert "published super-resolve/x4-pixel-blurred@" in result.stdout, result.stderr
    assert Store(tmp_path / "store").card("super-resolve", "x4-pixel-blurred").recipe["degradation"] == "blur"


@pytest.mark.training
def test_srcnn_is_trained(impasto: Impasto, tmp_path: Path, photos: Path) -> None:
    options = "--recipe srcnn --kernels 9-5-5 --tile 64 --batch 2 --steps 2 --held-out 2".split()  # noqa: SIM905
    result = impasto("train", "super-resolution", "--photos", photos, *options)
    assert "published super-resolve/x4-srcnn@" in result.stdout, result.stderr
    assert Store(tmp_path / "store").card("super-resolve", "x4-srcnn").parameters["kernels"] == "9-5-5"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--loss-network", "vgg19-normalised:missing.safetensors"), "a layout is given twice"),
        (("--held-out", "12"), "give it more photos"),
        (("--losses", "absolute"), "need --content-weight, --style-weight and --variation-weight"),
        (("--style-tap", "relu9_9"), "'relu9_9' is not a tap"),
        (("--resume", "runs/stripes"), "there is no run to resume in runs/stripes"),
        (("--name", "../escape"), "'../escape' cannot name a model"),
        (("--steps", "0"), "--steps"),
        (("--from", "muse"), "muse@1 does not fit this net: its encoder.0.weight is (32, 3, 9, 9), not (4, 3, 9, 9)"),
        (("--from", "muse", "--recipe", "paper"), "--recipe paper is for johnson2016, and muse@1 is style-net"),
        (("--style-tap", "relu2_1/32"), "nothing is left of pictures of 32 pixels at vgg19-normalised:relu2_1/32"),
        (("--run", "a", "--resume", "b"), "leave --run out"),
        (("--photos", "nowhere"), "cannot read photos from nowhere"),
        (("--learning-rate", "-1"), "learning_rate: Input should be greater than 0"),
    ],
)
def test_bad_input_is_refused_in_one_sentence_before_training(
    impasto: Impasto, tmp_path: Path, style_words: list[str], options: tuple[str, ...], sentence: str
) -> None:
    result = impasto(*style_words, "--steps", "2", *options)
    assert result.returncode != 0
    assert sentence in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "store" / "stylize").exists()
    assert not list(tmp_path.glob("runs/*/*"))


def test_an_empty_folder_of_photos_is_refused(impasto: Impasto, tmp_path: Path, style_words: list[str]) -> None:
    (tmp_path / "empty").mkdir()
    words = [str(tmp_path / "empty") if word == str(tmp_path / "photos") else word for word in style_words]
    result = impasto(*words, "--steps", "2")
    assert result.returncode == 1
    assert "has 0 usable photos (0 skipped)" in result.stderr


def test_cards_can_be_read_as_json(impasto: Impasto) -> None:
    assert json.loads(impasto("models", "show", "muse").stdout)["loss_network"].startswith("VGG-19")


def test_help_shows_every_setting_of_a_recipe_with_its_default(impasto: Impasto) -> None:
    for kind, recipe in (("style", StyleRecipe), ("super-resolution", SuperResolutionRecipe)):
        shown = " ".join(re.sub("[│─]", " ", impasto("train", kind, "--help").stdout).split())
        for name, field in recipe.model_fields.items():
            option = (
                name.replace("_", "-").removesuffix("s") if isinstance(field.default, tuple) else name.replace("_", "-")
            )
            assert f"--{option} " in shown
            if isinstance(field.default, int | float):
                assert f"Default: {field.default}." in shown
