"""The paintings that a light net learns."""

from pathlib import Path

import pytest
import torch

from model_store.nets import StyleNet
from trainer.data.squares import load_crops
from trainer.distillation.paintings import paint, painted
from trainer.errors import BadRun

CPU = torch.device("cpu")


@pytest.fixture
def net() -> StyleNet:
    return StyleNet(width=4, residual_blocks=1).eval()


def test_each_photo_comes_with_its_painting(net: StyleNet, photos: Path, tmp_path: Path) -> None:
    squares = load_crops([photos], 48).train
    told: list[tuple[int, int]] = []
    pairs = painted(net, squares, 5, CPU, tmp_path / "paintings", "muse", lambda *done: told.append(done))
    assert pairs.shape == (5, 6, 48, 48)
    assert torch.equal(pairs[3, :3], squares[3])
    assert (pairs[:, 3:].int() - paint(net, pairs[:, :3]).int()).abs().max() <= 1
    assert told == [(5, 5)]


def test_paintings_are_read_again_and_one_that_was_cut_off_is_made_again(
    net: StyleNet, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.distillation.paintings._PART", 2)
    squares, folder = load_crops([photos], 48).train, tmp_path / "paintings"
    first = painted(net, squares, 6, CPU, folder, "muse")
    cut, *kept = sorted(folder.iterdir())
    cut.write_bytes(cut.read_bytes()[:100])
    written = [path.stat().st_mtime_ns for path in kept]
    assert torch.equal(painted(net, squares, 6, CPU, folder, "muse"), first)
    assert [path.stat().st_mtime_ns for path in kept] == written
    assert cut.stat().st_size > 100


def test_paintings_of_another_net_are_refused(net: StyleNet, photos: Path, tmp_path: Path) -> None:
    squares = load_crops([photos], 48).train
    painted(net, squares, 2, CPU, tmp_path / "paintings", "muse")
    with pytest.raises(BadRun, match="paintings of another net or of other photos"):
        painted(net, squares, 2, CPU, tmp_path / "paintings", "candy")
