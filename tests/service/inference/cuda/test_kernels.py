"""Tests that kernels compile for several devices, none of which the machine needs to have."""

import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("triton")

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from service.inference.cuda import kernels

pytestmark = pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter compiles nothing")

SIZES = dict.fromkeys(("rows", "parts", "rows_of_part", "height", "width", "blocks"), "i32")
STRIDES = dict.fromkeys(("by_picture", "by_channel", "by_row", "by_column"), "i32")
POINTERS = {"sums": "*fp32", "statistics": "*fp32", "gain": "*fp32", "bias": "*fp32", "pictures": "*fp32"}
WIDE = {"CHANNELS": 128, "BLOCK_CHANNELS": 128}
INTO_CELLS = {"FROM_CELLS": True, "TO_CELLS": True, "MARGIN": 4, "ADDS": False, "RESIDUAL_MARGIN": 0}
INTO_SUM = {"FROM_CELLS": False, "TO_CELLS": False, "MARGIN": 1, "ADDS": True, "RESIDUAL_MARGIN": 1}
FRAMED = {"BLOCK_PIXELS": 32, "REFLECTS": True, "LARGEST": 65504.0}


@pytest.mark.process
@pytest.mark.parametrize("capability", [75, 80, 86, 89, 90, 100, 120])
@pytest.mark.parametrize(
    ("kernel", "constants"),
    [
        (kernels.sum_up, WIDE | {"BLOCK_ROWS": 32}),
        (kernels.combine, {"CHANNELS": 128, "BLOCK_CHANNELS": 32, "BLOCK_PARTS": 64}),
        (kernels.normalise, WIDE | FRAMED | INTO_CELLS),
        (kernels.normalise, WIDE | FRAMED | INTO_SUM),
        (kernels.frame_pictures, {"MARGIN": 4, "BLOCK_PIXELS": 512}),
        (kernels.paint, {"BLOCK_PIXELS": 512}),
    ],
    ids=["sum_up", "combine", "normalise into cells", "normalise into a sum", "frame_pictures", "paint"],
)
def test_a_kernel_compiles(
    kernel: Any, constants: dict[str, Any], capability: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    types = SIZES | STRIDES | {"eps": "fp32"} | POINTERS
    names = [parameter.name for parameter in kernel.params]
    source = ASTSource(
        kernel,
        signature={name: "constexpr" if name in constants else types.get(name, "*fp16") for name in names},
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={
            (place,): [["tt.divisibility", 16]]
            for place, name in enumerate(names)
            if name not in constants and types.get(name, "*fp16").startswith("*")
        },
    )

    assert triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]
