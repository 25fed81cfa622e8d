"""What goes along to a rented host."""

from pathlib import Path

import pytest

from check_gpu.kit import NETS, PROJECT, copy_checkout, is_used
from model_store.store import BUNDLED, Store

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    ("name", "used"),
    [
        ("pyproject.toml", True),
        ("service/inference/cuda/kernels.py", True),
        ("model_store/bundled/stylize/muse/1/model.safetensors", True),
        ("model_store/bundled/stylize/great-wave/1/model.safetensors", False),
        ("model_store/bundled/super-resolve/x4-pixel-blurred/1/card.json", False),
        ("model_store/bundled/styles.jpg", False),
    ],
)
def test_bundled_nets_that_the_check_does_not_use_stay_behind(name: str, used: bool) -> None:
    assert is_used(name) == used


def test_the_nets_that_it_uses_are_bundled() -> None:
    bundled = {f"{task}/{name}" for task in ("stylize", "super-resolve") for name in Store(BUNDLED).names(task)}  # type: ignore[arg-type]
    assert set(NETS) <= bundled


@pytest.mark.process
@pytest.mark.skipif(not (PROJECT / ".git").exists(), reason="needs the repository")
def test_the_rest_of_the_checkout_is_whole(tmp_path: Path) -> None:
    copy_checkout(tmp_path)
    for name in ("Makefile", "tests/check_gpu/__main__.py", "tests/pictures/coffee.jpg", "docs/gpu.md"):
        assert (tmp_path / name).read_bytes() == (PROJECT / name).read_bytes()
    assert not (tmp_path / ".git").exists()
    assert len(list(tmp_path.glob("model_store/bundled/*/*"))) == len(NETS)
