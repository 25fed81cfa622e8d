"""The whole way from a painting to a painted photo: a style is trained, published and used over HTTP."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from service.client import Client, UnknownModel

pytestmark = pytest.mark.process

IMPASTO = Path(sys.executable).with_name("impasto")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "IMPASTO_STORE": str(tmp_path / "store")}


@pytest.fixture
def server(environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """Start a server with an empty store and return its address."""
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen([IMPASTO, "serve", "--port", "0"], env=environment, stderr=log)
    try:
        yield wait_until_ready(process, tmp_path / "server.log")
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0


def wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if match := re.search(r"running on (http://\S+)", log.read_text()):
            assert httpx.get(f"{match[1]}/readyz").is_success
            return match[1]
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def test_a_style_trained_while_the_server_runs_can_be_used_at_once(
    server: str, environment: dict[str, str], training_data: Path, tmp_path: Path, photo: Path
) -> None:
    with Client(server) as client:
        with pytest.raises(UnknownModel, match=r"there is no style 'coffee'; known: .*muse"):
            client.stylize(photo, style="coffee")

        words = (
            "train style painting.jpg --photos photos --name coffee --loss-network vgg19-normalised:vgg19.safetensors"
        )
        options = " --width 4 --size 32 --style-size 32 --steps 2 --batch 2 --held-out 1"
        subprocess.run([IMPASTO, *(words + options).split()], env=environment, cwd=training_data, check=True)

        answer = client.stylize(photo, style="coffee")
        assert answer.model == "coffee@1"
        assert Image.open(answer.save(tmp_path / "out.jpg")).size == Image.open(photo).size
        assert {"coffee", "muse"} <= {card.name for card in client.models() if card.task == "stylize"}


def test_the_server_and_the_command_line_paint_the_same_picture(
    server: str, environment: dict[str, str], tmp_path: Path, photo: Path
) -> None:
    small = tmp_path / "small.png"
    Image.open(photo).resize((120, 80)).save(small)
    with Client(server) as client:
        client.stylize(small, style="muse").save(tmp_path / "served.png")
        client.super_resolve(small, factor=4).save(tmp_path / "enlarged.png")
    subprocess.run(
        [IMPASTO, "stylize", small, "-o", tmp_path / "local.png", "--style", "muse"], env=environment, check=True
    )
    served, local = (np.array(Image.open(tmp_path / name), dtype=int) for name in ("served.png", "local.png"))
    assert np.abs(served - local).max() <= 1
    assert np.abs(served - np.array(Image.open(small), dtype=int)).mean() > 20
    assert Image.open(tmp_path / "enlarged.png").size == (480, 320)
