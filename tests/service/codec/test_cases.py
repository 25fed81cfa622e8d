"""The files of a folder beside the repository that were collected because they once failed, where it is there."""

import asyncio
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
import torch
from PIL import Image

from model_store.store import BUNDLED, Store
from service.contract.options import StylizeOptions, SuperResolveOptions
from service.contract.problems import Problem
from service.pipeline.runtime import Runtime
from service.pipeline.settings import ComputeSettings

from ..pipeline.making import make

FOLDER = Path(__file__).parents[4] / "shared" / "cases"
CASES: list[dict[str, Any]] = json.loads((FOLDER / "cases.json").read_text()) if FOLDER.is_dir() else []
SLOW = 6
"""Seconds that no case may take; on an idle machine none takes two."""


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    runtime = Runtime(Store(BUNDLED), torch.device("cpu"), ComputeSettings())
    yield runtime
    runtime.close()


def rgb(source: Path | io.BytesIO) -> np.ndarray:
    with Image.open(source) as image:
        return np.asarray(image.convert("RGB"), int)


@pytest.mark.skipif(not CASES, reason="the folder of cases is not there")
@pytest.mark.parametrize("case", CASES, ids=[case["file"] for case in CASES])
def test_a_collected_file_is_answered_as_it_should_be(runtime: Runtime, case: dict[str, Any]) -> None:
    url = urlsplit(case["request"])
    options_of = StylizeOptions if url.path == "/stylize" else SuperResolveOptions
    options = options_of.model_validate(dict(parse_qsl(url.query)))
    content, started = b"", time.monotonic()
    try:
        content = asyncio.run(make(runtime, options, (FOLDER / case["file"]).read_bytes())).content
        status = 200
    except Problem as problem:
        status = problem.status
    assert status in (case["should"], *case.get("or", []))
    assert time.monotonic() - started < SLOW
    for text in case.get("check", {}).get("must_not_contain", []):
        assert text.encode() not in content
    if content and "expected_pixels" in case:
        shown, expected = rgb(io.BytesIO(content)), rgb(FOLDER / case["expected_pixels"])
        assert shown.shape == expected.shape
        assert np.abs(shown - expected).max() <= case["tolerance"]
    if content and "must_not_be_size" in case:
        height, width, _ = rgb(io.BytesIO(content)).shape
        assert f"{width}x{height}" != case["must_not_be_size"]
