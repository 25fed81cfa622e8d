"""Fixtures for Triton's kernels: the device that they run on, and guards around the memory that they may touch."""

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

_GUARD = 4096
_HAS_TRITON = importlib.util.find_spec("triton") is not None
_RUNS_KERNELS = _HAS_TRITON and (torch.cuda.is_available() or os.environ.get("TRITON_INTERPRET") == "1")

# Where they cannot run, test_interpreted.py runs them in a process of its own.
collect_ignore = (
    []
    if _RUNS_KERNELS
    else ["test_normalisation.py", "test_style_net.py", "test_large_layers.py", "test_architectures_on_cuda.py"]
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that run kernels as tests of CUDA where they run them on a CUDA device."""
    if torch.cuda.is_available():
        for item in items:
            if Path(__file__).parent in item.path.parents and "device" in getattr(item, "fixturenames", ()):
                item.add_marker("cuda")


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """Return CUDA, with float32 in its full precision, or the CPU, where Triton's interpreter runs the kernels."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    return torch.device("cuda")


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Tensor], Tensor]]:
    """Yield a function that copies a tensor to memory with guards of NaN on both sides, which must stay as they are.

    `new_empty` allocates such memory as well from then on.
    """
    wholes: list[tuple[Tensor, int]] = []

    def allocate(like: Tensor, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        length = shape.numel()
        whole = torch.full((length + 2 * _GUARD,), float("nan"), dtype=dtype, device=like.device)
        wholes.append((whole, length))
        return whole[_GUARD : _GUARD + length].view(shape)

    plain = Tensor.new_empty

    def new_empty(like: Tensor, *shape: Any, dtype: torch.dtype | None = None, **elsewhere: Any) -> Tensor:
        if elsewhere:  # called by the interpreter, and not for a kernel
            return plain(like, *shape, dtype=dtype, **elsewhere)
        sides = shape[0] if isinstance(shape[0], tuple) else shape
        return allocate(like, torch.Size(sides), dtype or like.dtype)

    monkeypatch.setattr(Tensor, "new_empty", new_empty)
    yield lambda tensor: allocate(tensor, tensor.shape, tensor.dtype).copy_(tensor)
    for whole, length in wholes:
        assert whole[:_GUARD].isnan().all()
        assert whole[_GUARD + length :].isnan().all()
