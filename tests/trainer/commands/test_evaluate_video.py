"""The command `impasto evaluate video`."""

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from model_store.nets import StyleNet
from model_store.settings import StoreSettings
from trainer.cli import app

from ...drafts import draft_of
from ..evaluation.films.test_measures import PICTURES, frames_of, write


def run(*words: str | Path) -> Any:
    return CliRunner().invoke(app, ["evaluate", "video", *map(str, words)])


@pytest.fixture
def films(tmp_path: Path) -> list[str | Path]:
    """A film, one that was painted from it calmly, and one that jumps and is sharper."""
    frames = frames_of("coffee", 4)
    jumping = [(frame // 2 + level).astype(np.uint8) for frame, level in zip(frames, (0, 20, 0, 20), strict=True)]
    calm = [cv2.GaussianBlur(frame // 2, (0, 0), 1) for frame in frames]
    named = {"source": frames, "painted": calm, "frame-by-frame": jumping}
    return [word for name, each in named.items() for word in (f"--{name}", write(tmp_path / f"{name}.mkv", each))]


def test_a_painted_film_is_compared_with_the_one_that_was_painted_frame_by_frame(films: list[str | Path]) -> None:
    done = run(*films, "--json")
    assert done.exit_code == 0, done.output
    rows = {row["film"]: row for row in json.loads(done.output)["rows"]}
    assert list(rows) == ["source", "painted", "frame by frame"]
    painted, jumping = rows["painted"], rows["frame by frame"]
    assert {row["shot"] for row in rows.values()} == {"frames 1 to 4"}
    for name in ("warping error", "flicker", "sharpness"):
        assert painted[f"{name}, % of frame by frame"] == pytest.approx(100 * painted[name] / jumping[name])
        assert painted[name] < jumping[name] / 2
        assert rows["source"][f"{name}, % of frame by frame"] is None


def test_without_another_film_the_measures_stand_alone(films: list[str | Path]) -> None:
    done = run(*films[:4])
    assert done.exit_code == 0, done.output
    assert "frames 1 to 4" in done.output
    assert "frame by frame" not in done.output


def test_a_net_is_measured_on_clips_whose_motion_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_STORE", str(tmp_path / "store"))
    torch.manual_seed(0)
    StoreSettings().open().publish(draft_of("stylize", "restless"), StyleNet(4, residual_blocks=1).state_dict())
    done = run("--photo", PICTURES / "coffee.jpg", "--model", "restless", "--size", "96", "--frames", "3", "--json")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.output)["rows"]
    assert [(row["clip"], row["film"]) for row in rows] == [
        (clip, film) for clip in ("pan", "zoom", "noise") for film in ("source", "painted")
    ]
    assert all(row["warping error"] > 0 for row in rows)


def test_films_and_clips_are_not_mixed(films: list[str | Path]) -> None:
    for words in ([], films[:2], [*films[:4], "--model", "muse"]):
        done = run(*words)
        assert done.exit_code == 2
        assert "give --source and --painted for films" in done.output


def test_without_the_extra_the_command_names_it(films: list[str | Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith("trainer.evaluation.films"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cv2", None)
    done = run(*films[:4])
    assert done.exit_code == 2
    assert "films need cv2" in done.output
