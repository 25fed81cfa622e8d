"""The training loop: checkpoints, resuming, stopping, reports."""

import itertools
import os
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor

from model_store.nets import TransformNet
from trainer.data.batches import Batch, Batches, Views
from trainer.data.squares import load_tiles
from trainer.errors import BadRun, Diverged, Stopped
from trainer.recipes import SuperResolutionRecipe
from trainer.training.checkpoint import has_checkpoint, mark_published, prepare_folder, restore, save
from trainer.training.loop import TrainingProgress, train
from trainer.training.processes import Processes
from trainer.training.training import Training

pytestmark = pytest.mark.training

CPU = torch.device("cpu")


class Brightness:
    """An objective that is lowest for bright pictures."""

    weights = {"darkness": 1.0}  # noqa: RUF012

    def terms(self, net: TransformNet, batch: Batch) -> dict[str, Tensor]:
        return {"darkness": (1 - net(batch.pictures)).square().mean()}


class Breaking(Brightness):
    """An objective that is NaN from the fourth step on."""

    def __init__(self) -> None:
        self.steps = itertools.count(1)

    def terms(self, net: TransformNet, batch: Batch) -> dict[str, Tensor]:
        factor = float("nan") if next(self.steps) >= 4 else 1.0
        return {"darkness": super().terms(net, batch)["darkness"] * factor}


class Interrupting(Brightness):
    """An objective in the middle of whose step Ctrl-C is typed."""

    def __init__(self, at: int) -> None:
        self.at, self.steps = at, itertools.count(1)

    def terms(self, net: TransformNet, batch: Batch) -> dict[str, Tensor]:
        if next(self.steps) == self.at:
            os.kill(os.getpid(), signal.SIGINT)
        return super().terms(net, batch)


def begin(steps: int, objective: Brightness | None = None, **settings: object) -> Training:
    recipe = SuperResolutionRecipe.model_validate(
        {"factor": 2, "channels": 4, "residual_blocks": 1, "steps": steps, "batch": 2, "precision": "float32"}
        | settings
    )
    return Training(recipe, objective or Brightness(), Processes(CPU))


@pytest.fixture
def batches(photos: Path) -> Batches:
    tiles = load_tiles([photos], 32).train
    return Batches(tiles, Views(len(tiles), 32, 2, seed=0, smallest=16, ways=range(8)), lambda _: 16, CPU)


def ignore(_progress: TrainingProgress) -> None:
    pass


def same(one: TransformNet, other: TransformNet) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_loss_falls(batches: Batches) -> None:
    training = begin(60, learning_rate=1e-2)
    losses = [float(training.advance(batch)["objective"]) for batch in batches.since(0, 60)]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_training_returns_the_moving_average_in_evaluation_mode(batches: Batches, tmp_path: Path) -> None:
    training = begin(5)
    net = train(training, batches, tmp_path, ignore)
    assert not net.training
    assert not same(net, training.net)


def test_without_a_moving_average_training_returns_the_net_itself(batches: Batches, tmp_path: Path) -> None:
    training = begin(5, ema=0.0)
    assert same(train(training, batches, tmp_path, ignore), training.net)


def test_the_last_step_is_reported(batches: Batches, tmp_path: Path) -> None:
    reports: list[TrainingProgress] = []
    train(begin(5), batches, tmp_path, reports.append)
    assert reports[-1].step == 5
    assert reports[-1].losses.keys() == {"darkness", "objective", "gradient"}


def test_pictures_are_shown_every_so_many_steps(batches: Batches, tmp_path: Path) -> None:
    shown: list[int] = []
    train(begin(7), batches, tmp_path, ignore, show=shown.append, show_every=3)
    assert shown == [3, 6]


def test_the_same_seed_gives_the_same_net_and_another_seed_gives_another(batches: Batches, tmp_path: Path) -> None:
    nets = [
        train(begin(3, seed=seed), batches, tmp_path / str(number), ignore) for number, seed in enumerate((1, 1, 2))
    ]
    assert same(nets[0], nets[1])
    assert not same(nets[0], nets[2])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_resumed_run_ends_bit_for_bit_like_one_that_was_not_stopped(
    batches: Batches, tmp_path: Path, precision: str
) -> None:
    whole = train(begin(8, precision=precision), batches, tmp_path / "whole", ignore)

    stopped = begin(8, Interrupting(at=3), precision=precision)
    with pytest.raises(Stopped, match="add --resume"):
        train(stopped, batches, tmp_path / "parts", ignore)
    resumed = begin(8, precision=precision)
    restore(resumed, tmp_path / "parts")
    assert resumed.step == stopped.step == 3
    assert same(train(resumed, batches, tmp_path / "parts", ignore), whole)


def test_ctrl_c_finishes_the_step_and_saves(batches: Batches, tmp_path: Path) -> None:
    training = begin(100, Interrupting(at=2))
    with pytest.raises(Stopped, match=f"stopped at step 2; .* add --resume {tmp_path} to go on"):
        train(training, batches, tmp_path, ignore)
    assert training.step == 2
    assert has_checkpoint(tmp_path)


def test_time_spent_adds_up_over_resumed_runs(batches: Batches, tmp_path: Path) -> None:
    first = begin(3, Interrupting(at=1))
    with pytest.raises(Stopped, match="add --resume"):
        train(first, batches, tmp_path, ignore)
    second = begin(3)
    restore(second, tmp_path)
    train(second, batches, tmp_path, ignore)
    assert second.seconds > first.seconds > 0


def test_a_loss_that_is_not_a_number_stops_the_run_and_keeps_the_last_good_checkpoint(
    batches: Batches, tmp_path: Path
) -> None:
    with pytest.raises(Diverged, match=r"darkness is nan at step \d+; the checkpoint in .* is from before"):
        train(begin(100, Breaking()), batches, tmp_path, ignore, save_every=0)
    kept = begin(100)
    restore(kept, tmp_path)
    assert kept.step == 3
    assert all(torch.isfinite(parameter).all() for parameter in kept.net.parameters())


def test_a_gradient_that_is_not_a_number_is_never_saved(batches: Batches, tmp_path: Path) -> None:
    class Steep(Brightness):
        def terms(self, net: TransformNet, batch: Batch) -> dict[str, Tensor]:
            darkness = super().terms(net, batch)["darkness"]
            return {"darkness": darkness + (darkness - darkness.detach()).sqrt()}

    with pytest.raises(Diverged, match="gradient is"):
        train(begin(3, Steep()), batches, tmp_path, ignore, save_every=0)
    assert not has_checkpoint(tmp_path)


def test_a_checkpoint_that_cannot_be_written_is_reported_and_the_last_one_stays(
    batches: Batches, tmp_path: Path
) -> None:
    training = begin(3)
    save(training, tmp_path)
    training.advance(batches[0]._replace(pictures=batches[0].pictures / 255))
    (tmp_path / "checkpoint.safetensors.writing").mkdir()
    with pytest.raises(BadRun, match="cannot write the checkpoint of step 1"):
        save(training, tmp_path)
    kept = begin(3)
    restore(kept, tmp_path)
    assert kept.step == 0


def test_a_run_is_not_resumed_with_another_recipe(batches: Batches, tmp_path: Path) -> None:
    train(begin(2), batches, tmp_path, ignore)
    with pytest.raises(BadRun, match="whose steps was 2, not 3"):
        restore(begin(3), tmp_path)


def test_a_run_is_not_resumed_on_other_photos(batches: Batches, tmp_path: Path) -> None:
    first, second = begin(2), begin(2)
    first.data, second.data = {"photos": "these"}, {"photos": "those"}
    train(first, batches, tmp_path, ignore)
    with pytest.raises(BadRun, match="whose photos was these, not those"):
        restore(second, tmp_path)


def test_a_run_that_was_published_is_not_resumed(batches: Batches, tmp_path: Path) -> None:
    train(begin(2), batches, tmp_path, ignore)
    mark_published(tmp_path, "super-resolve/x2-pixel@1")
    with pytest.raises(BadRun, match="has ended and was published as super-resolve/x2-pixel@1"):
        prepare_folder(tmp_path, resume=True)


def test_a_run_in_a_cleared_folder_can_be_resumed_again(batches: Batches, tmp_path: Path) -> None:
    mark_published(tmp_path, "super-resolve/x2-pixel@1")
    prepare_folder(tmp_path, resume=False)
    train(begin(2), batches, tmp_path, ignore)
    prepare_folder(tmp_path, resume=True)


def test_a_folder_is_checked_before_a_run_begins(batches: Batches, tmp_path: Path) -> None:
    prepare_folder(tmp_path / "new", resume=False)
    with pytest.raises(BadRun, match="there is no run to resume"):
        prepare_folder(tmp_path / "new", resume=True)
    train(begin(1), batches, tmp_path / "new", ignore)
    with pytest.raises(BadRun, match="holds an earlier run: add --resume"):
        prepare_folder(tmp_path / "new", resume=False)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadRun, match="cannot write checkpoints"):
        prepare_folder(tmp_path / "file", resume=False)


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint"])
def test_a_checkpoint_that_is_missing_or_damaged_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "checkpoint.safetensors").write_bytes(content)
    with pytest.raises(BadRun, match=r"cannot resume from .*checkpoint\.safetensors"):
        restore(begin(2), tmp_path)
