"""The command `impasto train light`, run on nets and photos of the least size."""

from pathlib import Path

import pytest

from model_store.nets import LightStyleNet, StyleNet
from model_store.nets.interpolation import interpolate
from model_store.store import Store

from ...command import Impasto
from ...drafts import draft_of

pytestmark = pytest.mark.training

TAPS = {"content_taps": ["relu1_2"], "style_taps": ["relu1_2", "relu2_2"], "loss_networks": ["vgg16-caffe:vgg16"]}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Make the store of the command with a full net, `muse`."""
    store = Store(tmp_path / "store")
    draft = draft_of("stylize", "muse", title="The Muse", licence="MIT", recipe={**TAPS, "style_size": 32})
    store.publish(draft, StyleNet(4, 1).state_dict())
    return store


@pytest.fixture
def words(photos: Path, store: Store) -> list[str]:
    del store
    options = "--width 4 --residual-blocks 1 --size 64 --batch 2 --paintings 6 --held-out 2 --precision float32"
    return ["train", "light", "--from", "muse", "--photos", str(photos), *options.split(), "--steps", "3"]


@pytest.fixture
def whole(words: list[str], style_picture: Path, vgg16_weights: Path) -> list[str]:
    """Words that also train and measure by the full net's objective."""
    network = ["--loss-network", f"vgg16-caffe:{vgg16_weights}", "--feature-window", "32"]
    return [*words, *network, "--picture", str(style_picture), "--end-steps", "2"]


def test_a_light_net_learns_paintings_and_then_the_objective_and_its_card_says_what_it_lost(
    impasto: Impasto, tmp_path: Path, whole: list[str], store: Store, photo: Path
) -> None:
    result = impasto(*whole, "--preview", photo)
    assert result.returncode == 0, result.stderr
    assert "photo 6/6" in result.stderr
    assert "published stylize/muse-light@1" in result.stdout
    card, net = store.open("stylize", "muse-light")
    assert isinstance(net, LightStyleNet)
    assert (card.title, card.licence, card.light_of) == ("The Muse, light", "MIT", "muse@1")
    assert [figure.name for figure in card.measurements if figure.unit == "dB"] == [
        "PSNR of luma to the paintings of muse@1"
    ]
    assert {"objective, light net", "objective, muse@1", "style, light net"} <= {
        each.name for each in card.measurements
    }
    assert card.recipe["sha256"]["full net"].startswith("muse@1 ")
    assert (card.recipe["steps"], card.recipe["end"]["steps"]) == (3, 2)
    assert card.recipe["end"]["content_taps"] == ["relu1_2"]
    assert str(tmp_path) not in card.model_dump_json()
    assert store.preview("stylize", "muse-light")


def test_without_the_style_picture_a_light_net_learns_paintings_alone(
    impasto: Impasto, words: list[str], store: Store
) -> None:
    result = impasto(*words, "--name", "small-muse", "--title", "Small")
    assert result.returncode == 0, result.stderr
    card = store.card("stylize", "small-muse")
    assert (card.title, card.loss_network) == ("Small", "none")
    assert [figure.name for figure in card.measurements] == ["PSNR of luma to the paintings of muse@1"]
    assert "end" not in card.recipe


def test_light_nets_that_start_from_one_another_can_be_blended(
    impasto: Impasto, words: list[str], store: Store
) -> None:
    assert impasto(*words).returncode == 0
    kept = [word for word in words if word not in ("--width", "4", "--residual-blocks", "1")]
    result = impasto(*kept, "--name", "other-light", "--init", "muse-light", "--seed", "3")
    assert result.returncode == 0, result.stderr
    card = store.card("stylize", "other-light")
    assert card.parameters == {"width": 4, "residual_blocks": 1}
    assert card.recipe["sha256"]["from"].startswith("muse-light@1 ")
    interpolate([store.open("stylize", name).net for name in ("muse-light", "other-light")], [0.5, 0.5])


def test_paintings_are_kept_and_a_run_goes_on_where_it_was(
    impasto: Impasto, tmp_path: Path, whole: list[str], store: Store
) -> None:
    assert impasto(*whole, "--name", "first", "--run", "run").returncode == 0
    run = tmp_path / "run"
    written = [path.stat().st_mtime_ns for path in (run / "paintings").iterdir()]
    (run / "published.txt").unlink()
    (run / "end" / "checkpoint.safetensors").unlink()
    refused = impasto(*whole, "--name", "first", "--run", "run")
    assert "add --resume run to go on with it" in refused.stderr
    result = impasto(*whole, "--name", "second", "--resume", "run")
    assert result.returncode == 0, result.stderr
    assert [path.stat().st_mtime_ns for path in (run / "paintings").iterdir()] == written
    assert store.card("stylize", "first").sha256 == store.card("stylize", "second").sha256


def test_paintings_of_another_net_are_not_taken(
    impasto: Impasto, whole: list[str], store: Store, tmp_path: Path
) -> None:
    from model_store.nets import StyleNet

    assert impasto(*whole, "--run", "run").returncode == 0
    (tmp_path / "run" / "checkpoint.safetensors").unlink()
    store.publish(store.card("stylize", "muse"), StyleNet(4, 1).state_dict())
    result = impasto(*whole, "--run", "run")
    assert result.returncode == 1
    assert "has paintings of another net or of other photos: give another folder with --run" in result.stderr


def test_an_objective_whose_loss_network_is_not_given_is_refused_before_anything_is_painted(
    impasto: Impasto, tmp_path: Path, words: list[str], style_picture: Path
) -> None:
    result = impasto(*words, "--picture", style_picture)
    assert result.returncode == 1
    assert "muse@1 was trained with vgg16-caffe: give --loss-network LAYOUT:FILE" in result.stderr
    assert not (tmp_path / "runs/muse-light/paintings").exists()
