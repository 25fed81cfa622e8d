"""The loop: schedule, checkpoints, resuming, stopping."""

import itertools
import os
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor

from model_store.nets import TransformNet
from trainer.errors import BadRun, Diverged, Stopped
from trainer.super_resolution_training import SuperResolutionRecipe
from trainer.training import Progress, Schedule, Training, has_checkpoint, prepare_folder, train

CPU = torch.device("cpu")


class Brightness:
    """Wants every picture to be bright; each batch is random."""

    weights = {"darkness": 1.0}  # noqa: RUF012

    def terms(self, net: TransformNet, generator: torch.Generator) -> dict[str, Tensor]:
        return {"darkness": (1 - net(torch.rand(2, 3, 16, 16, generator=generator))).square().mean()}


class Breaking(Brightness):
    """Becomes NaN at the fourth step."""

    def __init__(self) -> None:
        self.steps = itertools.count(1)

    def terms(self, net: TransformNet, generator: torch.Generator) -> dict[str, Tensor]:
        factor = float("nan") if next(self.steps) >= 4 else 1.0
        return {"darkness": super().terms(net, generator)["darkness"] * factor}


class Interrupting(Brightness):
    """Ctrl-C is pressed in the middle of a step."""

    def __init__(self, at: int) -> None:
        self.at, self.steps = at, itertools.count(1)

    def terms(self, net: TransformNet, generator: torch.Generator) -> dict[str, Tensor]:
        if next(self.steps) == self.at:
            os.kill(os.getpid(), signal.SIGINT)
        return super().terms(net, generator)


def recipe(steps: int, **schedule: float) -> SuperResolutionRecipe:
    return SuperResolutionRecipe(
        factor=2,
        channels=4,
        residual_blocks=1,
        schedule=Schedule(**{"steps": steps, "batch": 2, "learning_rate": 1e-3, **schedule}),
    )


def ignore(_progress: Progress) -> None:
    pass


def same(one: TransformNet, other: TransformNet) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_rate_warms_up_then_falls_to_its_final_share() -> None:
    schedule = Schedule(steps=1000, batch=1, learning_rate=1.0, warm_up=0.1, final_rate=0.01)
    rates = [schedule.rate_at(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01, abs=0.001)
    assert max(rates) == rates[100] == 1.0
    assert all(a < b for a, b in itertools.pairwise(rates[:101]))
    assert all(a > b for a, b in itertools.pairwise(rates[100:]))
    assert rates[-1] == pytest.approx(0.01, abs=0.001)


def test_the_loss_falls() -> None:
    losses = []
    training = Training(recipe(60, learning_rate=1e-2), CPU)
    objective = Brightness()
    while training.step < 60:
        losses.append(float(training.advance(objective)["objective"]))
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_what_comes_out_is_the_moving_average_ready_for_use(tmp_path: Path) -> None:
    training = Training(recipe(5), CPU)
    net = train(training, Brightness(), tmp_path, ignore)
    assert not net.training
    assert not same(net, training.net)


def test_the_last_step_is_reported(tmp_path: Path) -> None:
    reports: list[Progress] = []
    train(Training(recipe(5), CPU), Brightness(), tmp_path, reports.append)
    assert reports[-1].step == 5
    assert reports[-1].losses.keys() == {"darkness", "objective", "gradient"}


def test_the_same_seed_gives_the_same_net_and_another_seed_another(tmp_path: Path) -> None:
    nets = [
        train(Training(recipe(3, seed=seed), CPU), Brightness(), tmp_path / str(number), ignore)
        for number, seed in enumerate((1, 1, 2))
    ]
    assert same(nets[0], nets[1])
    assert not same(nets[0], nets[2])


def test_a_resumed_run_ends_bit_for_bit_like_one_that_was_not_stopped(tmp_path: Path) -> None:
    whole = train(Training(recipe(8), CPU), Brightness(), tmp_path / "whole", ignore)

    stopped = Training(recipe(8), CPU)
    with pytest.raises(Stopped, match="add --resume"):
        train(stopped, Interrupting(at=3), tmp_path / "parts", ignore)
    resumed = Training(recipe(8), CPU)
    resumed.restore(tmp_path / "parts")
    assert resumed.step == stopped.step == 3
    assert same(train(resumed, Brightness(), tmp_path / "parts", ignore), whole)


def test_ctrl_c_finishes_the_step_and_saves(tmp_path: Path) -> None:
    training = Training(recipe(100), CPU)
    with pytest.raises(Stopped, match="add --resume"):
        train(training, Interrupting(at=2), tmp_path, ignore)
    assert training.step == 2
    assert has_checkpoint(tmp_path)


def test_a_checkpoint_that_cannot_be_written_is_said_and_the_last_one_stays(tmp_path: Path) -> None:
    training = Training(recipe(3), CPU)
    training.save(tmp_path)
    training.advance(Brightness())
    (tmp_path / "checkpoint.safetensors.writing").mkdir()
    with pytest.raises(BadRun, match="cannot write the checkpoint of step 1"):
        training.save(tmp_path)
    kept = Training(recipe(3), CPU)
    kept.restore(tmp_path)
    assert kept.step == 0


def test_time_spent_adds_up_over_resumed_runs(tmp_path: Path) -> None:
    first = Training(recipe(3), CPU)
    with pytest.raises(Stopped, match="add --resume"):
        train(first, Interrupting(at=1), tmp_path, ignore)
    second = Training(recipe(3), CPU)
    second.restore(tmp_path)
    train(second, Brightness(), tmp_path, ignore)
    assert second.seconds > first.seconds > 0


def test_a_loss_that_is_no_number_stops_with_the_step_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"darkness is nan at step \d+; the checkpoint in .* is from before"):
        train(Training(recipe(100), CPU), Breaking(), tmp_path, ignore, save_every=0)
    kept = Training(recipe(100), CPU)
    kept.restore(tmp_path)
    assert kept.step == 3
    assert all(torch.isfinite(parameter).all() for parameter in kept.net.parameters())


def test_a_run_is_not_resumed_with_another_recipe(tmp_path: Path) -> None:
    train(Training(recipe(2), CPU), Brightness(), tmp_path, ignore)
    with pytest.raises(BadRun, match="whose steps was 2, not 3"):
        Training(recipe(3), CPU).restore(tmp_path)


def test_a_run_is_not_resumed_on_other_photos(tmp_path: Path) -> None:
    first, second = Training(recipe(2), CPU), Training(recipe(2), CPU)
    first.data, second.data = {"photos": "these"}, {"photos": "those"}
    train(first, Brightness(), tmp_path, ignore)
    with pytest.raises(BadRun, match="whose photos was these, not those"):
        second.restore(tmp_path)


def test_a_gradient_that_is_no_number_is_never_saved(tmp_path: Path) -> None:
    class Steep(Brightness):
        def terms(self, net: TransformNet, generator: torch.Generator) -> dict[str, Tensor]:
            darkness = super().terms(net, generator)["darkness"]
            return {"darkness": darkness + (darkness - darkness.detach()).sqrt()}

    with pytest.raises(Diverged, match="gradient is"):
        train(Training(recipe(3), CPU), Steep(), tmp_path, ignore, save_every=0)
    assert not has_checkpoint(tmp_path)


def test_a_folder_is_checked_before_a_run_begins(tmp_path: Path) -> None:
    prepare_folder(tmp_path / "new", resume=False)
    with pytest.raises(BadRun, match="there is no run to resume"):
        prepare_folder(tmp_path / "new", resume=True)
    train(Training(recipe(1), CPU), Brightness(), tmp_path / "new", ignore)
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
        Training(recipe(2), CPU).restore(tmp_path)
