"""The log of a run: losses and previews in its folder."""

import csv
from pathlib import Path

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from model_store.nets import StyleNet
from trainer.errors import BadRun
from trainer.training.loop import TrainingProgress
from trainer.training.run_log import RunLog, Shown


def write(folder: Path, steps: range, start: int = 0) -> None:
    log = RunLog(folder, start)
    for step in steps:
        log.losses(TrainingProgress(step, 4, step / 2, {"content": 1 / step}), rate=0.1)
    log.close()


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "losses.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_losses_are_kept_as_csv_and_for_tensorboard(tmp_path: Path) -> None:
    write(tmp_path, range(1, 4))
    assert rows(tmp_path)[1] == {"step": "2", "seconds": "1.0", "rate": "0.1", "content": "0.5"}
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [event.step for event in events.Scalars("content")] == [1, 2, 3]


def test_a_resumed_run_goes_on_where_its_checkpoint_was(tmp_path: Path) -> None:
    write(tmp_path, range(1, 9))
    write(tmp_path, range(6, 8), start=5)
    assert [row["step"] for row in rows(tmp_path)] == ["1", "2", "3", "4", "5", "6", "7"]


@pytest.mark.parametrize("damage", [b"\n", b"12", b"\xff\xfe,1\n", b"3,1.5,0.1\n"])
def test_lines_that_a_killed_run_left_half_written_are_dropped(tmp_path: Path, damage: bytes) -> None:
    write(tmp_path, range(1, 4))
    with (tmp_path / "losses.csv").open("ab") as file:
        file.write(damage)
    write(tmp_path, range(4, 6), start=3)
    assert [row["step"] for row in rows(tmp_path)] == ["1", "2", "3", "4", "5"]


def test_a_new_run_has_a_new_log(tmp_path: Path) -> None:
    (tmp_path / "losses.csv").write_text("step,other\n7,1\n")
    write(tmp_path, range(1, 3))
    assert [row["step"] for row in rows(tmp_path)] == ["1", "2"]


def test_previews_are_kept_as_pictures(tmp_path: Path) -> None:
    log = RunLog(tmp_path, 0, [Shown("cat", torch.rand(1, 3, 32, 48)), Shown("dog", torch.rand(1, 3, 32, 32))])
    log.previews(StyleNet(4, 1).eval(), 500)
    log.close()
    assert sorted(path.name for path in (tmp_path / "previews").iterdir()) == ["000500-cat.jpg", "000500-dog.jpg"]
    assert Image.open(tmp_path / "previews" / "000500-cat.jpg").size == (48, 32)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert events.Images("cat")[0].step == 500


def test_losses_that_cannot_be_written_are_reported(tmp_path: Path) -> None:
    log = RunLog(tmp_path, 0)
    (tmp_path / "losses.csv").mkdir()
    with pytest.raises(BadRun, match=r"cannot write .*losses\.csv"):
        log.losses(TrainingProgress(1, 4, 1.0, {}), rate=0.1)
    log.close()
