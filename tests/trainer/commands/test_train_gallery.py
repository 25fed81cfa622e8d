"""The command `impasto train gallery`, run in processes of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from model_store.nets.interpolation import interpolate
from model_store.store import Store

from ...command import Impasto
from ..killed import killed_at_checkpoint

IMPASTO = Path(sys.executable).with_name("impasto")

GALLERY = """
    [defaults]
    loss_networks = ["vgg16-caffe"]
    style_taps = ["relu1_2", "relu2_2"]
    content_taps = ["relu1_2"]
    width = 4
    residual_blocks = 1
    size = 64
    style_size = 64
    batch = 2
    steps = 20
    precision = "float32"

    [warm]
    picture = "stripes.png"

    [cold]
    picture = "stripes.png"
    style_weight = 3
    """


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "IMPASTO_STORE": str(tmp_path / "store"), "COLUMNS": "120"}


@pytest.fixture
def words(tmp_path: Path, style_picture: Path, photos: Path, vgg16_weights: Path) -> list[str]:
    assert style_picture.parent == tmp_path
    (tmp_path / "gallery.toml").write_text(GALLERY)
    network = ["--loss-network", f"vgg16-caffe:{vgg16_weights}"]
    return ["train", "gallery", "gallery.toml", "--photos", str(photos), "--held-out", "2", *network]


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.training
@pytest.mark.process
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_killed_gallery_goes_on_and_publishes_two_styles_that_blend(
    impasto: Impasto, words: list[str], environment: dict[str, str], tmp_path: Path, photo: Path, jobs: str
) -> None:
    words += ["--jobs", jobs, "--save-every", "0", "--preview", str(photo)]
    killed = killed_at_checkpoint(7, words, environment, tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list(tmp_path.glob("runs/gallery/*/checkpoint.safetensors"))
    assert len(list(tmp_path.glob("runs/gallery/*/published.txt"))) < 2

    resumed = impasto(*words)
    assert resumed.returncode == 0, resumed.stderr
    for style in ("warm", "cold"):
        assert f"{style}: published stylize/{style}@1; style error " in resumed.stderr
    assert "wrote runs/gallery/sheet.jpg" in resumed.stdout
    with Image.open(tmp_path / "runs/gallery/sheet.jpg") as sheet:
        assert sheet.height > 2 * 256

    store = Store(tmp_path / "store")
    warm, cold = (store.open("stylize", name) for name in ("warm", "cold"))
    assert [figure.name for figure in warm.card.measurements] == [
        "relative style error at relu1_2, relu2_2, relu3_3, relu4_3 of vgg16-caffe, photos",
        "relative style error at relu1_2, relu2_2, relu3_3, relu4_3 of vgg16-caffe, stylised",
        "relative content error at relu2_2 of vgg16-caffe, stylised",
    ]
    assert str(tmp_path) not in warm.card.model_dump_json()
    assert store.preview("stylize", "warm") is not None
    blended = interpolate([warm.net, cold.net], [0.5, 0.5])(torch.rand(1, 3, 64, 64))
    assert torch.isfinite(blended).all()

    again = impasto(*words)
    assert again.returncode == 0
    assert store.versions("stylize", "warm") == [1]


@pytest.mark.training
@pytest.mark.process
def test_ctrl_c_stops_all_processes_with_one_sentence(
    words: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "gallery.toml"
    path.write_text(path.read_text().replace("steps = 20", "steps = 100000"))
    words += ["--jobs", "2", "--save-every", "0"]
    started = subprocess.Popen(
        [IMPASTO, *words], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_until(lambda: all((tmp_path / f"runs/gallery/{name}/losses.csv").exists() for name in ("warm", "cold")))
    os.killpg(started.pid, signal.SIGINT)  # as a terminal does
    _, errors = started.communicate(timeout=60)  # ends when no process is left that could write
    assert started.returncode == 1
    assert errors.rstrip().endswith("impasto: stopped; the same command goes on with what is in runs/gallery")
    assert "Traceback" not in errors


@pytest.mark.training
def test_the_exit_code_reports_a_style_that_failed_and_the_others_are_published(
    impasto: Impasto, words: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "gallery.toml"
    path.write_text(path.read_text().replace('[warm]\n    picture = "stripes.png"', '[warm]\n    picture = "no.png"'))
    result = impasto(*words)
    assert result.returncode == 1
    assert "impasto: 1 of 2 styles failed: warm: cannot read the picture" in result.stderr
    assert Store(tmp_path / "store").names("stylize") == ["cold"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--style", "wram"], "there is no style wram in the gallery (did you mean warm?)"),
        (["--loss-network", "vgg19:weights.safetensors"], "no style of the gallery has the loss network vgg19"),
        (["--minutes", "0"], "--minutes"),
        (["--pictures", "nowhere"], "--pictures"),
    ],
)
def test_bad_options_are_refused_in_one_sentence_before_training(
    impasto: Impasto, words: list[str], tmp_path: Path, options: list[str], sentence: str
) -> None:
    result = impasto(*words, *options)
    assert result.returncode != 0
    assert sentence in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "runs").exists()
