"""The services of compose.yaml, on a machine without a GPU."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import yaml
from PIL import Image

from service.client import Client, UnknownModel

pytestmark = pytest.mark.process

PROJECT = Path(__file__).parents[2]
SERVICES = yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"]
TINY = (
    "train style /data/painting.jpg --photos /data/photos --name tiny --width 4 --size 32 --style-size 32 --steps 2 "
    "--batch 2 --held-out 1 --loss-network vgg19-normalised:/data/vgg19.safetensors"
)


class Compose(NamedTuple):
    """The compose command with the services of a test, and their addresses."""

    command: list[str]
    environment: dict[str, str]

    def __call__(self, words: str) -> None:
        subprocess.run([*self.command, *words.split()], cwd=PROJECT, env=self.environment, check=True)

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"http://127.0.0.1:{self.environment['PORT']}"

    @property
    def prometheus(self) -> str:
        """The address of Prometheus."""
        return f"http://127.0.0.1:{self.environment['PROMETHEUS_PORT']}"


@pytest.fixture
def compose(engine: str, free_port: Callable[[], int], training_data: Path) -> Iterator[Compose]:
    """Return a function that runs compose commands; what they made is removed at the end of the test."""
    program = ["podman-compose"] if engine == "podman" else ["docker", "compose"]
    own = {
        "BUILDAH_FORMAT": "docker",
        "COMPOSE_PROFILES": "",
        "PORT": str(free_port()),
        "PROMETHEUS_PORT": str(free_port()),
        "TRAINING_DATA": str(training_data),
    }
    compose = Compose([*program, "-p", "impasto-test"], os.environ | own)
    try:
        yield compose
    finally:
        compose("--profile cpu --profile monitoring --profile train-cpu down -v")


def can_be_pulled(engine: str, image: str) -> bool:
    tries = ([engine, "image", "inspect", image], [engine, "pull", image])
    return any(subprocess.run(words, capture_output=True, check=False).returncode == 0 for words in tries)


def test_the_profile_cpu_serves(
    compose: Compose, wait_until_ready: Callable[[str], None], photo: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small.png"
    Image.open(photo).resize((60, 40)).save(small)
    compose("--profile cpu up -d")
    wait_until_ready(compose.url)
    loaded = {model["name"] for model in httpx.get(f"{compose.url}/models").json() if model["loaded"]}
    assert loaded == {"muse", "x4-pixel"}, "the settings of .env are the server's"
    with Client(compose.url) as client:
        assert client.stylize(photo, style="muse").to_pil().size == Image.open(photo).size
        assert client.super_resolve(small, factor=4).to_pil().size == (240, 160)


def test_prometheus_of_the_profile_monitoring_scrapes_the_server(
    compose: Compose, wait_until_ready: Callable[[str], None], engine: str
) -> None:
    if not can_be_pulled(engine, SERVICES["prometheus"]["image"]):
        pytest.skip("needs Prometheus' image, which cannot be pulled")
    compose("--profile cpu --profile monitoring up -d cpu prometheus")
    wait_until_ready(compose.url)
    deadline = time.monotonic() + 60
    health: list[str] = []
    while health != ["up"] and time.monotonic() < deadline:
        time.sleep(1)
        try:
            targets = httpx.get(f"{compose.prometheus}/api/v1/targets").json()["data"]["activeTargets"]
        except httpx.TransportError:  # Prometheus is still starting
            continue
        health = [target["health"] for target in targets]
    assert health == ["up"]
    groups = httpx.get(f"{compose.prometheus}/api/v1/rules").json()["data"]["groups"]
    assert {rule["name"] for group in groups for rule in group["rules"]} >= {"ImpastoDown", "ImpastoDeviceLost"}


def test_a_model_of_the_trainer_is_served_without_a_restart(
    compose: Compose, wait_until_ready: Callable[[str], None], photo: Path
) -> None:
    compose("--profile cpu up -d")
    wait_until_ready(compose.url)
    with Client(compose.url) as client:
        with pytest.raises(UnknownModel):
            client.stylize(photo, style="tiny")
        compose(f"--profile train-cpu run --rm -T trainer-cpu {TINY}")
        assert client.stylize(photo, style="tiny").model == "tiny@1"

        compose(f"--profile train-cpu run --rm -T trainer-cpu {TINY} --run runs/again")
        deadline = time.monotonic() + 60
        while (model := client.stylize(photo, style="tiny").model) == "tiny@1" and time.monotonic() < deadline:
            time.sleep(1)
        assert model == "tiny@2"
